//! The NATS side of the way of a message: connect, fetch, decode, batch, and later acknowledge.
//!
//! Read it in this order: [`runtime`] starts the threads, [`connection`] holds the one connection,
//! [`session`] brings a pipeline to its first message, [`fetch`] turns messages into batches,
//! [`ack`] tells the server what is durable. No PostgreSQL call may appear here: this code runs on
//! threads of its own, and PostgreSQL belongs to the worker's main thread.

mod ack;
mod backoff;
mod batch;
mod budget;
mod careful;
mod caution;
mod connection;
mod consumer;
mod error;
mod fetch;
mod headers;
mod lookup;
mod notice;
mod open;
mod order;
mod pace;
mod pull;
mod runtime;
mod sequences;
mod session;
mod settings;
mod state;
mod stored;
mod subject;
mod terms;
mod version;

pub use ack::Receipt;
pub use backoff::Backoff;
pub use batch::{Acks, Batch, Message, Source, Tail};
pub use headers::Headers;
pub use notice::Notice;
pub use runtime::Handle;
pub use sequences::Sequences;
pub use session::{Answer, Found, ResumeRequest, Testimony, Witness};
pub use settings::{Pipeline, Settings};
pub use state::{Connection, Link, Phase, PhaseKind, Progress};
pub use subject::matches;
