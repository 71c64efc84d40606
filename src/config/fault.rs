//! Faults that a test build commits on request. They show that the checks of the soak run detect
//! what they exist for. Only with cargo feature `faults`, which no installed build has; without it
//! [`fault`] is a constant, and the compiler removes the code of the faults.

use pgrx::guc::PostgresGucEnum;

/// A fault that is committed on purpose.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, PostgresGucEnum)]
pub enum Fault {
    /// No fault.
    #[default]
    #[name = c"none"]
    None,
    /// Messages are acknowledged before they are written.
    #[name = c"ack_before_commit"]
    AckBeforeCommit,
    /// The recorded position is ignored.
    #[name = c"forget_position"]
    ForgetPosition,
    /// The main thread panics.
    #[name = c"panic_on_main_thread"]
    PanicOnMainThread,
    /// The NATS thread panics.
    #[name = c"panic_on_other_thread"]
    PanicOnOtherThread,
    /// Cells that the decoders leave NULL are written as absent.
    #[name = c"null_is_absent"]
    NullIsAbsent,
}

/// Returns the fault to commit at present.
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

    /// Returns the fault to commit at present.
    pub fn fault() -> Fault {
        FAULT.get()
    }
}
