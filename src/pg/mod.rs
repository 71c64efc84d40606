//! PostgreSQL made safe: thin wrappers, one thing of the server each, and most of the unsafe code.
//! Nothing here knows what this project is about. To be called on the main thread only, but for
//! [`waker`].

pub mod activity;
pub mod clock;
mod deferred;
pub mod failure;
pub mod heartbeat;
pub mod invalidation;
pub mod latch;
pub mod other_processes;
pub mod search_path;
pub mod server;
pub mod session_defaults;
pub mod signals;
pub mod sql_state;
pub mod subtransaction;
mod timeout;
pub mod transaction;
pub mod user_context;
pub mod waker;
pub mod wal;

pub use deferred::OfSession;
