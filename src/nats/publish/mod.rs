//! Publishes to NATS after a commit: acknowledgements, and dead letters as messages.

pub(crate) mod ack;
pub(crate) mod dead_letter;
