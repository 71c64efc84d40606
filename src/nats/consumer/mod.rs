//! The stream of a pipeline, and its durable consumer there: [`stream`] finds the stream, [`ready`]
//! makes the consumer and sets it to its position, [`spec`] watches that it stays what it was made,
//! [`lookup`] asks the stream, [`stored`] reads its messages by number.

pub(crate) mod lookup;
pub(crate) mod ready;
pub(crate) mod spec;
pub(crate) mod stored;
pub(crate) mod stream;
