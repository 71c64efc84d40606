//! The status that operators see: the shared memory, and the SQL functions that read it. Nothing
//! here changes anything else, waits, or needs a writable server.

mod functions;
mod latency;
mod pipeline_status;
mod processes;
mod row;
mod shared_memory;
mod state;
mod summary;
mod text;
mod worker_status;

pub use pipeline_status::PipelineStatus;
pub use processes::{control_changes, count_control_change, heartbeat, pids, set_pid};
pub use shared_memory::{Slot, dead_letters, pipeline, update_pipeline, update_worker};
pub use state::{BreakerState, ConnectionState, State};

/// Requests the shared memory. Call it once, from `_PG_init` under `shared_preload_libraries`.
pub fn request() {
    shared_memory::request();
    processes::request();
}
