//! What operators see: a page of shared memory and the SQL functions that read it. Nothing here
//! changes anything, waits, or needs a writable server.

mod functions;
mod latency;
pub mod page;
mod report;
mod text;

pub use page::{State, request};
