//! The stream of a pipeline, and its durable consumer there: [`stream`] finds the stream, [`ready`]
//! creates the consumer and sets it to its position, [`spec`] checks that it stays unchanged,
//! [`lookup`] asks the stream about messages and times, [`stored`] reads its messages by sequence.

pub(crate) mod lookup;
pub(crate) mod ready;
pub(crate) mod spec;
pub(crate) mod stored;
pub(crate) mod stream;
