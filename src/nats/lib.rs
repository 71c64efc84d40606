//! The NATS side of a message's path: connect, fetch, decode, batch, and at the end acknowledge.
//!
//! To follow a message, read in this order: [`runtime`] starts the thread, [`connection`] holds the
//! one connection, [`subscription`] is the main thread's end of a pipeline, [`session`] takes a
//! pipeline to its first message (its position through [`resume`], its consumer through
//! [`consumer`]), [`fetch`] turns messages into batches, [`publish`] tells the server which
//! messages are durable; [`unreadable`] reads messages that would make the client lose its
//! connection. No PostgreSQL call may appear here: this code runs on a thread of its own, and only
//! the worker's main thread may call PostgreSQL.

mod backoff;
mod batch;
mod budget;
mod connection;
mod consumer;
mod context;
mod error;
mod fetch;
mod publish;
mod resume;
mod runtime;
mod sequences;
mod session;
mod settings;
mod shared;
mod state;
mod stream_id;
mod subject;
mod subscription;
#[cfg(test)]
mod testing;
mod threads;
mod unreadable;
mod version;
mod watch;

pub use backoff::Backoff;
pub use batch::{AckMode, Batch, FetchedMessage, Tail, receipts_for};
pub use connection::refusals::Refusal;
pub use connection::state::{Connection, Connectivity, Problem};
pub use publish::ack::Receipt;
pub use publish::dead_letter::DeadLetterMessage;
pub use resume::{MessageIdentity, PositionReply, PositionRequest, TimeLookup, VerifyResult};
pub use runtime::Nats;
pub use sequences::Sequences;
pub use settings::{Authentication, ClientCertificate, PipelineSettings, Settings, Tls};
pub use state::{Phase, PhaseKind, PipelineState};
pub use stream_id::StreamId;
pub use subject::matches;
pub use subscription::Subscription;
pub use unreadable::headers::Headers;

pub use async_nats::ServerAddr;
