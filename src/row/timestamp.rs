//! Points in time as PostgreSQL stores them. No clock is read here: decoding must give the same row
//! for the same message, so the caller passes the current time.

/// A point in time: microseconds since 2000-01-01 00:00 UTC, within the range of a `timestamptz`.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct Timestamp(i64);

/// Seconds from the Unix epoch to 2000-01-01 00:00 UTC.
const EPOCH_SHIFT_SECONDS: i64 = 946_684_800;
const MICROS: i64 = 1_000_000;
/// 4714-11-24 BC, the first instant a `timestamptz` can hold.
const FIRST: i64 = -211_813_488_000_000_000;
/// 294277-01-01, the first instant a `timestamptz` cannot hold.
const END: i64 = 9_223_371_331_200_000_000;

impl Timestamp {
    /// Converts microseconds since the Unix epoch. Like all these constructors, it returns `None`
    /// outside PostgreSQL's range.
    pub fn from_unix_micros(micros: i64) -> Option<Self> {
        let value = micros.checked_sub(EPOCH_SHIFT_SECONDS * MICROS)?;
        (FIRST..END).contains(&value).then_some(Self(value))
    }

    /// Converts seconds since the Unix epoch.
    pub fn from_unix_seconds(seconds: i64) -> Option<Self> {
        Self::from_unix_micros(seconds.checked_mul(MICROS)?)
    }

    /// Converts milliseconds since the Unix epoch.
    pub fn from_unix_millis(millis: i64) -> Option<Self> {
        Self::from_unix_micros(millis.checked_mul(1_000)?)
    }

    /// Converts nanoseconds since the Unix epoch, rounded down to a microsecond.
    pub fn from_unix_nanos(nanos: i128) -> Option<Self> {
        Self::from_unix_micros(i64::try_from(nanos.div_euclid(1_000)).ok()?)
    }

    /// Converts microseconds since 2000-01-01 00:00 UTC, PostgreSQL's own representation.
    pub fn from_postgres_micros(micros: i64) -> Option<Self> {
        (FIRST..END).contains(&micros).then_some(Self(micros))
    }

    /// Returns the microseconds since 2000-01-01 00:00 UTC.
    pub fn postgres_micros(self) -> i64 {
        self.0
    }

    /// Returns the microseconds since the Unix epoch.
    pub fn unix_micros(self) -> i64 {
        self.0.saturating_add(EPOCH_SHIFT_SECONDS * MICROS)
    }

    /// Returns this point in time plus a number of microseconds, clamped to PostgreSQL's range.
    pub fn saturating_add_micros(self, micros: i64) -> Self {
        Self(self.0.saturating_add(micros).clamp(FIRST, END - 1))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn epochs_agree() {
        let t = Timestamp::from_unix_seconds(EPOCH_SHIFT_SECONDS).unwrap();
        assert_eq!(t.postgres_micros(), 0);
        assert_eq!(t.unix_micros(), EPOCH_SHIFT_SECONDS * MICROS);
    }

    #[test]
    fn milliseconds_are_a_thousand_microseconds() {
        let t = Timestamp::from_unix_millis(1_767_026_614_123).unwrap();
        assert_eq!(t.unix_micros(), 1_767_026_614_123_000);
    }

    #[test]
    fn sums_stay_within_the_range_of_postgresql() {
        let last = Timestamp::from_postgres_micros(END - 1).unwrap();
        let first = Timestamp::from_postgres_micros(FIRST).unwrap();
        assert_eq!(last.saturating_add_micros(1), last);
        assert_eq!(first.saturating_add_micros(-1), first);
        assert_eq!(first.saturating_add_micros(7).postgres_micros(), FIRST + 7);
    }

    #[test]
    fn nanoseconds_keep_microseconds_and_round_down() {
        let t = Timestamp::from_unix_nanos(1_767_026_614_123_456_789).unwrap();
        assert_eq!(t.unix_micros(), 1_767_026_614_123_456);
        let before_epoch = Timestamp::from_unix_nanos(-1).unwrap();
        assert_eq!(before_epoch.unix_micros(), -1);
    }

    #[test]
    fn what_postgresql_cannot_hold_is_refused() {
        assert_eq!(Timestamp::from_unix_millis(i64::MAX), None);
        assert_eq!(Timestamp::from_unix_seconds(i64::MIN), None);
        assert_eq!(Timestamp::from_postgres_micros(END), None);
        assert_eq!(
            Timestamp::from_postgres_micros(FIRST)
                .unwrap()
                .postgres_micros(),
            FIRST
        );
    }
}
