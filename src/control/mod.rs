//! The SQL functions that change something, and the decoder as a function. They talk to the
//! workers only through tables and a number in shared memory, never directly.

mod decoder;
mod pause;
