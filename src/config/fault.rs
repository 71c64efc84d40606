//! Faults that a test build can be told to have, so that tests can show that the checks of the soak
//! run find what they are there to find. Only with cargo feature `faults`, which no installed build
//! has; without it [`fault`] is a constant and the code behind it is not there.

/// What is done wrong on purpose.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
#[cfg_attr(
    not(feature = "faults"),
    allow(
        dead_code,
        reason = "nothing makes them in a build without the feature"
    )
)]
pub enum Fault {
    /// Nothing.
    #[default]
    None,
    /// Messages are acknowledged before they are written.
    AckBeforeCommit,
    /// The recorded position is not looked at.
    ForgetPosition,
    /// The main thread panics.
    PanicOnMainThread,
    /// A thread of the NATS side panics.
    PanicOnOtherThread,
}

/// What is done wrong at the moment.
#[cfg(not(feature = "faults"))]
pub const fn fault() -> Fault {
    Fault::None
}

#[cfg(feature = "faults")]
pub use setting::{define, fault};

#[cfg(feature = "faults")]
mod setting {
    use super::Fault;
    use pgrx::guc::{GucContext, GucFlags, GucRegistry, GucSetting, PostgresGucEnum};

    #[derive(Clone, Copy, PostgresGucEnum)]
    enum FaultSetting {
        #[name = c"none"]
        None,
        #[name = c"ack_before_commit"]
        AckBeforeCommit,
        #[name = c"forget_position"]
        ForgetPosition,
        #[name = c"panic_on_main_thread"]
        PanicOnMainThread,
        #[name = c"panic_on_other_thread"]
        PanicOnOtherThread,
    }

    static FAULT: GucSetting<FaultSetting> = GucSetting::<FaultSetting>::new(FaultSetting::None);

    /// Defines `sr_event_writer.fault`.
    pub fn define() {
        GucRegistry::define_enum_guc(
            c"sr_event_writer.fault",
            c"What this test build does wrong.",
            c"",
            &FAULT,
            GucContext::Sighup,
            GucFlags::empty(),
        );
    }

    /// What is done wrong at the moment.
    pub fn fault() -> Fault {
        match FAULT.get() {
            FaultSetting::None => Fault::None,
            FaultSetting::AckBeforeCommit => Fault::AckBeforeCommit,
            FaultSetting::ForgetPosition => Fault::ForgetPosition,
            FaultSetting::PanicOnMainThread => Fault::PanicOnMainThread,
            FaultSetting::PanicOnOtherThread => Fault::PanicOnOtherThread,
        }
    }
}
