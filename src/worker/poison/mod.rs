//! Poison messages: messages that crash the whole process. A journal in a file survives the crash
//! and shows which messages were being written.

mod journal;
mod suspects;

pub use journal::CrashJournal;
