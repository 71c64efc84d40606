//! The types of settings. Each setting is one static with its name, description, default and
//! permitted values, and with its current value once it is defined in PostgreSQL.

use pgrx::guc::{GucContext, GucEnum, GucFlags, GucRegistry, GucSetting};
use pgrx::prelude::*;
use std::ffi::{CStr, CString};
use std::ops::RangeInclusive;
use std::time::Duration;

/// A setting that can be defined in PostgreSQL.
pub(super) trait Setting: Sync {
    /// Defines the setting in PostgreSQL.
    fn define(&'static self);
}

/// Reserves a prefix: from here on, an unknown name with it is an error.
pub(super) fn reserve_prefix(prefix: &'static CStr) {
    // SAFETY: a string that ends with NUL; it is only read.
    unsafe { pg_sys::MarkGUCPrefixReserved(prefix.as_ptr()) };
}

/// When a changed value takes effect.
#[derive(Clone, Copy)]
enum TakesEffect {
    /// At a reload of the configuration.
    AtReload,
    /// At a restart of the server.
    AtRestart,
}

impl TakesEffect {
    /// Returns PostgreSQL's term for it.
    fn context(self) -> GucContext {
        match self {
            Self::AtReload => GucContext::Sighup,
            Self::AtRestart => GucContext::Postmaster,
        }
    }
}

/// The unit of a [`Number`] that is given without one.
#[derive(Clone, Copy)]
pub(super) enum Unit {
    /// None: the number counts things.
    Count,
    Kilobytes,
    Milliseconds,
    Seconds,
}

impl Unit {
    /// Returns PostgreSQL's flag for it.
    fn flags(self) -> GucFlags {
        match self {
            Self::Count => GucFlags::empty(),
            Self::Kilobytes => GucFlags::UNIT_KB,
            Self::Milliseconds => GucFlags::UNIT_MS,
            Self::Seconds => GucFlags::UNIT_S,
        }
    }

    /// Converts a value to bytes or milliseconds; a count is left unchanged.
    fn base(self, value: u64) -> u64 {
        match self {
            Self::Count | Self::Milliseconds => value,
            Self::Kilobytes => value * 1024,
            Self::Seconds => value * 1000,
        }
    }
}

/// A setting that is a whole number, perhaps with a unit.
pub(super) struct Number {
    name: &'static CStr,
    doc: &'static CStr,
    value: GucSetting<i32>,
    min: i32,
    max: i32,
    unit: Unit,
    when: TakesEffect,
}

impl Number {
    /// Creates a number that takes effect after a reload. Default and range are in `unit`.
    pub(super) const fn new(
        name: &'static CStr,
        doc: &'static CStr,
        default: i32,
        range: RangeInclusive<i32>,
        unit: Unit,
    ) -> Self {
        Self {
            name,
            doc,
            value: GucSetting::<i32>::new(default),
            min: *range.start(),
            max: *range.end(),
            unit,
            when: TakesEffect::AtReload,
        }
    }

    /// Makes a change take effect only after a restart of the server.
    pub(super) const fn at_restart(self) -> Self {
        let when = TakesEffect::AtRestart;
        Self { when, ..self }
    }

    /// Returns the value in bytes or milliseconds, or the count.
    fn base(&self) -> u64 {
        self.unit.base(u64::try_from(self.value.get()).unwrap_or(0))
    }

    /// Returns the count.
    pub(super) fn count(&self) -> u32 {
        u32::try_from(self.base()).unwrap_or(u32::MAX)
    }

    /// Returns the value as a size in memory: bytes, or a count.
    pub(super) fn size(&self) -> usize {
        usize::try_from(self.base()).unwrap_or(usize::MAX)
    }

    /// Returns the bytes, or `None` for 0, which means no limit.
    pub(super) fn size_limit(&self) -> Option<u64> {
        Some(self.base()).filter(|&bytes| bytes > 0)
    }

    /// Returns the time.
    pub(super) fn duration(&self) -> Duration {
        Duration::from_millis(self.base())
    }

    /// Returns the time, or `None` for 0, which means no limit.
    pub(super) fn time_limit(&self) -> Option<Duration> {
        Some(self.duration()).filter(|time| !time.is_zero())
    }
}

impl Setting for Number {
    fn define(&'static self) {
        GucRegistry::define_int_guc(
            self.name,
            self.doc,
            c"",
            &self.value,
            self.min,
            self.max,
            self.when.context(),
            self.unit.flags(),
        );
    }
}

/// A setting that is a text, perhaps with a check hook of [`super::check`].
pub(super) struct Text {
    name: &'static CStr,
    doc: &'static CStr,
    value: GucSetting<Option<CString>>,
    check: pg_sys::GucStringCheckHook,
    when: TakesEffect,
}

impl Text {
    /// Creates a text that takes effect after a reload.
    pub(super) const fn new(
        name: &'static CStr,
        doc: &'static CStr,
        default: &'static CStr,
    ) -> Self {
        Self {
            name,
            doc,
            value: GucSetting::<Option<CString>>::new(Some(default)),
            check: None,
            when: TakesEffect::AtReload,
        }
    }

    /// Adds a check hook.
    pub(super) const fn checked(self, check: pg_sys::GucStringCheckHook) -> Self {
        Self { check, ..self }
    }

    /// Makes a change take effect only after a restart of the server.
    pub(super) const fn at_restart(self) -> Self {
        let when = TakesEffect::AtRestart;
        Self { when, ..self }
    }

    /// Returns the text.
    pub(super) fn get(&self) -> String {
        let text = self.value.get();
        text.map(|text| text.to_string_lossy().into_owned())
            .unwrap_or_default()
    }

    /// Returns the text, unless it is empty.
    pub(super) fn non_empty(&self) -> Option<String> {
        Some(self.get()).filter(|text| !text.is_empty())
    }
}

impl Setting for Text {
    fn define(&'static self) {
        // SAFETY: the hooks are guarded by #[pg_guard].
        unsafe {
            GucRegistry::define_string_guc_with_hooks(
                self.name,
                self.doc,
                c"",
                &self.value,
                self.when.context(),
                GucFlags::empty(),
                self.check,
                None,
                None,
            );
        }
    }
}

/// A setting that is on or off.
pub(super) struct Switch {
    name: &'static CStr,
    doc: &'static CStr,
    value: GucSetting<bool>,
}

impl Switch {
    /// Creates a switch.
    pub(super) const fn new(name: &'static CStr, doc: &'static CStr, default: bool) -> Self {
        let value = GucSetting::<bool>::new(default);
        Self { name, doc, value }
    }

    /// Returns whether it is on.
    pub(super) fn get(&self) -> bool {
        self.value.get()
    }
}

impl Setting for Switch {
    fn define(&'static self) {
        GucRegistry::define_bool_guc(
            self.name,
            self.doc,
            c"",
            &self.value,
            TakesEffect::AtReload.context(),
            GucFlags::empty(),
        );
    }
}

/// A setting that is one of a few words.
pub(super) struct Choice<E: GucEnum> {
    name: &'static CStr,
    doc: &'static CStr,
    /// The description of each word.
    words: &'static CStr,
    value: GucSetting<E>,
}

impl<E: GucEnum> Choice<E> {
    pub(super) const fn new(
        name: &'static CStr,
        doc: &'static CStr,
        words: &'static CStr,
        default: E,
    ) -> Self {
        let value = GucSetting::<E>::new(default);
        Self {
            name,
            doc,
            words,
            value,
        }
    }

    /// Returns the chosen word.
    pub(super) fn get(&self) -> E {
        self.value.get()
    }
}

impl<E: GucEnum> Setting for Choice<E> {
    fn define(&'static self) {
        GucRegistry::define_enum_guc(
            self.name,
            self.doc,
            self.words,
            &self.value,
            TakesEffect::AtReload.context(),
            GucFlags::empty(),
        );
    }
}
