//! Faults that a test build can be told to have, so that tests can show that the checks of the soak
//! run find what they are there to find. Only with cargo feature `faults`, which no installed build
//! has; without it [`fault`] is a constant and the code behind it is not there.

use pgrx::guc::PostgresGucEnum;

/// What is done wrong on purpose.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, PostgresGucEnum)]
pub enum Fault {
    /// Nothing.
    #[default]
    #[name = c"none"]
    None,
    /// Messages are acknowledged before they are written.
    #[name = c"ack_before_commit"]
    AckBeforeCommit,
    /// The recorded position is not looked at.
    #[name = c"forget_position"]
    ForgetPosition,
    /// The main thread panics.
    #[name = c"panic_on_main_thread"]
    PanicOnMainThread,
    /// A thread of the NATS side panics.
    #[name = c"panic_on_other_thread"]
    PanicOnOtherThread,
    /// What the decoders leave NULL counts as absent.
    #[name = c"null_is_absent"]
    NullIsAbsent,
}

/// Returns what is done wrong at the moment.
#[cfg(not(feature = "faults"))]
pub const fn fault() -> Fault {
    Fault::None
}

#[cfg(feature = "faults")]
pub use setting::{define, fault};

#[cfg(feature = "faults")]
mod setting {
    use super::Fault;
    use crate::config::setting::{Choice, Setting};

    static FAULT: Choice<Fault> = Choice::new(
        c"sr_event_writer.fault",
        c"What this test build does wrong.",
        c"",
        Fault::None,
    );

    /// Defines `sr_event_writer.fault`.
    pub fn define() {
        FAULT.define();
    }

    /// Returns what is done wrong at the moment.
    pub fn fault() -> Fault {
        FAULT.get()
    }
}
