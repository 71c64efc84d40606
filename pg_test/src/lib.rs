//! Fixtures for the tests: real servers, PostgreSQL with TimescaleDB and NATS with JetStream.
//!
//! A test starts the servers that it needs, on ports of its own, and leaves neither a process (even
//! when the test itself is killed) nor a file. Read the modules in this order:
//!
//! - [`stack`]: both servers, the streams and the tables, ready to use. Most tests start here.
//! - [`postgres`], [`nats`]: one server each, with the faults that a test can inflict on it.
//! - [`secret_files`], [`certificates`]: what servers and the writer identify themselves with.
//! - [`proxy`]: network faults between the writer and NATS.
//! - [`feed`], [`messages`]: the seven streams, and realistic messages with unique markers.
//! - [`soak`]: long runs with a schedule of faults, and an account at the end.
//! - [`recorded`]: checks how far the database has recorded a stream.
//! - [`wait`]: the only place where tests wait.
//! - [`placement`], [`directory`], [`port`], [`process`], [`random`]: the basis of the servers.
#![allow(
    clippy::unwrap_used,
    clippy::expect_used,
    clippy::panic,
    reason = "test code: a fixture that fails ends the test, with its message"
)]

pub mod certificates;
pub mod directory;
pub mod feed;
pub mod messages;
pub mod nats;
pub mod placement;
pub mod port;
pub mod postgres;
pub mod process;
pub mod proxy;
pub mod random;
pub mod recorded;
pub mod secret_files;
pub mod soak;
pub mod stack;
pub mod wait;
