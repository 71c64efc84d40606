//! Safe, thin wrappers around PostgreSQL, one facility of the server each; most of the unsafe code
//! is here. Nothing in this folder knows what the project is about. Call it on the main thread
//! only; [`waker`] is the one exception.

pub mod activity;
pub mod clock;
mod deferred;
pub mod failure;
pub mod heartbeat;
pub mod invalidation;
pub mod latch;
pub mod message;
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

pub use deferred::SessionConstraints;
