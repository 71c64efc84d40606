//! Waiting for a condition, with a deadline: the only place where a test waits.
//!
//! A wait that times out panics with the awaited condition and the last state seen, so that the
//! message alone shows how far things got.

use std::fmt::Display;
use std::time::{Duration, Instant};

/// Time between two probes: short compared with the awaited event, long compared with a probe's
/// cost.
const STEP: Duration = Duration::from_millis(40);

/// Timeout of a probe on a busy machine, after which it counts as hanging.
const PROBE_TIMEOUT: Duration = Duration::from_secs(30);

/// The result of a probe: the value, or the reason why it is not there yet.
pub trait Outcome {
    /// The type that [`eventually`] returns.
    type Value;

    /// Returns the value, or what was seen instead of it.
    fn settle(self) -> Result<Self::Value, String>;
}

impl Outcome for bool {
    type Value = ();

    fn settle(self) -> Result<(), String> {
        if self {
            Ok(())
        } else {
            Err("false".to_owned())
        }
    }
}

impl<T> Outcome for Option<T> {
    type Value = T;

    fn settle(self) -> Result<T, String> {
        self.ok_or_else(|| "nothing".to_owned())
    }
}

impl<T, E: Display> Outcome for Result<T, E> {
    type Value = T;

    fn settle(self) -> Result<T, String> {
        self.map_err(|seen| seen.to_string())
    }
}

/// Probes until `probe` is satisfied, and returns its value.
///
/// Panics after `within`, with `what` and the result of the last probe.
pub async fn eventually<O: Outcome>(
    within: Duration,
    what: impl Display,
    probe: impl AsyncFnMut() -> O,
) -> O::Value {
    match try_eventually(within, what, probe).await {
        Ok(value) => value,
        Err(timeout) => panic!("{timeout}"),
    }
}

/// Like [`eventually`], but returns the message instead of panicking with it.
pub async fn try_eventually<O: Outcome>(
    within: Duration,
    what: impl Display,
    mut probe: impl AsyncFnMut() -> O,
) -> Result<O::Value, String> {
    let began = Instant::now();
    let mut seen = "nothing: the first look did not end".to_owned();
    loop {
        let left = within.saturating_sub(began.elapsed());
        match tokio::time::timeout(left.max(STEP), probe())
            .await
            .map(Outcome::settle)
        {
            Ok(Ok(value)) => return Ok(value),
            Ok(Err(reason)) => seen = reason,
            Err(_) => {}
        }
        if began.elapsed() >= within {
            return Err(format!(
                "waited {:.1} s in vain for: {what}; last seen: {seen}",
                began.elapsed().as_secs_f32()
            ));
        }
        tokio::time::sleep(STEP).await;
    }
}

/// Probes until the value of `probe` equals `expected`.
pub async fn eventually_equal<T, E>(
    within: Duration,
    what: impl Display,
    expected: T,
    mut probe: impl AsyncFnMut() -> Result<T, E>,
) where
    T: PartialEq + Display,
    E: Display,
{
    eventually(
        within,
        format_args!("{what} = {expected}"),
        async || match probe().await {
            Ok(value) if value == expected => Ok(()),
            Ok(value) => Err(value.to_string()),
            Err(error) => Err(error.to_string()),
        },
    )
    .await;
}

/// Probes repeatedly for the time `span`; panics as soon as `probe` is *not* satisfied.
///
/// For conditions that must keep holding ("no row appears while paused"), and to let an outage
/// last.
pub async fn throughout<O: Outcome>(
    span: Duration,
    what: impl Display,
    mut probe: impl AsyncFnMut() -> O,
) {
    let began = Instant::now();
    while began.elapsed() < span {
        let looked = tokio::time::timeout(span + PROBE_TIMEOUT, probe()).await;
        let seen = looked.map_or_else(|_| Err("the look did not end".to_owned()), Outcome::settle);
        if let Err(seen) = seen {
            panic!(
                "after {:.1} s it no longer held that {what}: {seen}",
                began.elapsed().as_secs_f32()
            );
        }
        tokio::time::sleep(STEP).await;
    }
}

/// Like [`eventually`], where no runtime is available (`Drop`); returns false on timeout.
pub fn blocking(within: Duration, mut probe: impl FnMut() -> bool) -> bool {
    let began = Instant::now();
    loop {
        if probe() {
            return true;
        }
        if began.elapsed() >= within {
            return false;
        }
        std::thread::park_timeout(STEP);
    }
}
