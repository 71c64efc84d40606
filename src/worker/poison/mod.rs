//! Poison messages: those that take the whole process down. A journal in a file outlives the crash
//! and says what was being written.

mod journal;
mod suspects;

pub use journal::CrashJournal;
