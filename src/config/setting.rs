//! The kinds of settings. A setting is one static: its name, what it means, its default, the values
//! that it takes and, once PostgreSQL knows it, its value.

use pgrx::guc::{GucContext, GucEnum, GucFlags, GucRegistry, GucSetting};
use pgrx::prelude::*;
use std::ffi::{CStr, CString};
use std::ops::RangeInclusive;
use std::time::Duration;

/// A setting that PostgreSQL can be told about.
pub(super) trait Setting: Sync {
    /// Makes the setting known to PostgreSQL.
    fn define(&'static self);
}

/// Makes a misspelt name with this prefix an error, from here on.
pub(super) fn reserve_prefix(prefix: &'static CStr) {
    // SAFETY: a string that ends with NUL; it is only read.
    unsafe { pg_sys::MarkGUCPrefixReserved(prefix.as_ptr()) };
}

/// When a changed value is used.
#[derive(Clone, Copy)]
enum Change {
    /// After a reload of the configuration.
    Reload,
    /// After a restart of the server.
    Restart,
}

impl Change {
    fn context(self) -> GucContext {
        match self {
            Self::Reload => GucContext::Sighup,
            Self::Restart => GucContext::Postmaster,
        }
    }
}

/// What PostgreSQL counts a [`Number`] in when it is given without a unit.
#[derive(Clone, Copy)]
pub(super) enum Unit {
    /// Things, not an amount of anything.
    Count,
    Kilobytes,
    Milliseconds,
    Seconds,
}

impl Unit {
    fn flags(self) -> GucFlags {
        match self {
            Self::Count => GucFlags::empty(),
            Self::Kilobytes => GucFlags::UNIT_KB,
            Self::Milliseconds => GucFlags::UNIT_MS,
            Self::Seconds => GucFlags::UNIT_S,
        }
    }

    /// Converts a value into things, bytes or milliseconds.
    fn base(self, value: u64) -> u64 {
        match self {
            Self::Count | Self::Milliseconds => value,
            Self::Kilobytes => value * 1024,
            Self::Seconds => value * 1000,
        }
    }
}

/// A whole number, perhaps with a unit.
pub(super) struct Number {
    name: &'static CStr,
    doc: &'static CStr,
    value: GucSetting<i32>,
    min: i32,
    max: i32,
    unit: Unit,
    change: Change,
}

impl Number {
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
            change: Change::Reload,
        }
    }

    pub(super) const fn at_restart(self) -> Self {
        let change = Change::Restart;
        Self { change, ..self }
    }

    /// Returns the value in things, bytes or milliseconds.
    fn base(&self) -> u64 {
        self.unit.base(u64::try_from(self.value.get()).unwrap_or(0))
    }

    /// Returns the number of things.
    pub(super) fn count(&self) -> u32 {
        u32::try_from(self.base()).unwrap_or(u32::MAX)
    }

    /// Returns the number of things in memory, or of bytes.
    pub(super) fn size(&self) -> usize {
        usize::try_from(self.base()).unwrap_or(usize::MAX)
    }

    /// Returns the bytes, or nothing for 0, which means no limit.
    pub(super) fn size_limit(&self) -> Option<u64> {
        Some(self.base()).filter(|&bytes| bytes > 0)
    }

    /// Returns the time.
    pub(super) fn duration(&self) -> Duration {
        Duration::from_millis(self.base())
    }

    /// Returns the time, or nothing for 0, which means no limit.
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
            self.change.context(),
            self.unit.flags(),
        );
    }
}

/// A text, perhaps with a check hook of [`super::check`].
pub(super) struct Text {
    name: &'static CStr,
    doc: &'static CStr,
    value: GucSetting<Option<CString>>,
    check: pg_sys::GucStringCheckHook,
    change: Change,
}

impl Text {
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
            change: Change::Reload,
        }
    }

    pub(super) const fn checked(self, check: pg_sys::GucStringCheckHook) -> Self {
        Self { check, ..self }
    }

    pub(super) const fn at_restart(self) -> Self {
        let change = Change::Restart;
        Self { change, ..self }
    }

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
                self.change.context(),
                GucFlags::empty(),
                self.check,
                None,
                None,
            );
        }
    }
}

/// On or off.
pub(super) struct Switch {
    name: &'static CStr,
    doc: &'static CStr,
    value: GucSetting<bool>,
}

impl Switch {
    pub(super) const fn new(name: &'static CStr, doc: &'static CStr, default: bool) -> Self {
        let value = GucSetting::<bool>::new(default);
        Self { name, doc, value }
    }

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
            Change::Reload.context(),
            GucFlags::empty(),
        );
    }
}

/// One of a few words.
pub(super) struct Choice<E: GucEnum> {
    name: &'static CStr,
    doc: &'static CStr,
    /// What each word means.
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
            Change::Reload.context(),
            GucFlags::empty(),
        );
    }
}
