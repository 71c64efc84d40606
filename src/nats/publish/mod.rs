//! What is sent to NATS once it is committed: acknowledgements, and dead letters as messages.

pub(crate) mod ack;
pub(crate) mod dead_letter;
