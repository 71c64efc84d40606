//! The SQL functions that change something, and the decoder as a function. They talk to the
//! workers only through tables, a number in shared memory and signals, never directly; replay does
//! the worker's work in the caller's transaction.

mod decoder;
mod pause;
mod replay;
mod replayer;
mod restart;
mod seek;
mod wait;
mod workers;
