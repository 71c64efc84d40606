//! Decides from cut connections how the next session reads. One cut means nothing. Two in a row,
//! each soon after fetching began, may mean that the client cannot parse a message and treats the
//! connection as broken. Then the next messages are read one by one before fetching starts.

use std::time::Duration;
use tokio::time::Instant;

/// A connection that is cut within this time after fetching began may have been cut by a message.
const SOON_AFTER_FETCHING: Duration = Duration::from_secs(5);

/// Number of such cuts in a row after which messages are read one by one. A server that is
/// restarted twice within so short a time is rare.
const CUTS_BEFORE_ONE_BY_ONE: u32 = 2;

/// The way in which a session reads its first messages.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum ReadMode {
    /// By pull requests, as usual.
    Fetch,
    /// One by one, as JSON.
    OneByOne,
}

/// The cut connections in the sessions of a pipeline.
#[derive(Debug)]
pub(crate) struct CutHistory {
    /// The way in which the next session reads.
    mode: ReadMode,
    /// When the current session began to fetch.
    fetching_since: Option<Instant>,
    /// Number of cuts in a row that came soon after fetching began.
    cuts: u32,
}

impl Default for CutHistory {
    fn default() -> Self {
        Self {
            mode: ReadMode::Fetch,
            fetching_since: None,
            cuts: 0,
        }
    }
}

impl CutHistory {
    /// Begins a session. Returns how it must read.
    pub(crate) fn begin(&mut self) -> ReadMode {
        self.fetching_since = None;
        self.mode
    }

    /// Records that the session has begun to fetch.
    pub(crate) fn record_fetching(&mut self) {
        self.fetching_since = Some(Instant::now());
    }

    /// Records that the session ended with another error than a cut.
    pub(crate) fn record_end(&mut self) {
        if self.fetching_since.is_some() {
            *self = Self::default();
        }
    }

    /// Records that the connection was cut. Returns whether that has happened several times in a
    /// row.
    pub(crate) fn record_cut(&mut self) -> Cut {
        match self.fetching_since {
            Some(since) if since.elapsed() < SOON_AFTER_FETCHING => {
                self.cuts = CUTS_BEFORE_ONE_BY_ONE.min(self.cuts + 1);
                if self.cuts == CUTS_BEFORE_ONE_BY_ONE {
                    self.mode = ReadMode::OneByOne;
                }
            }
            Some(_) => *self = Self::default(),
            // The session had not begun to fetch, so no message can have caused it.
            None => {}
        }
        match self.cuts {
            ..CUTS_BEFORE_ONE_BY_ONE => Cut::Once,
            CUTS_BEFORE_ONE_BY_ONE.. => Cut::Twice,
        }
    }
}

/// The number of cuts in a row that came soon after fetching began.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Cut {
    /// Once at most, usually because the server was restarted.
    Once,
    /// Twice or more.
    Twice,
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn only_cuts_right_after_fetching_began_make_it_read_one_by_one() {
        let mut history = CutHistory::default();
        assert_eq!(history.begin(), ReadMode::Fetch);
        history.record_fetching();
        history.fetching_since = Instant::now().checked_sub(SOON_AFTER_FETCHING);
        assert_eq!(history.record_cut(), Cut::Once);
        assert_eq!(history.begin(), ReadMode::Fetch);
        history.record_fetching();
        assert_eq!(history.record_cut(), Cut::Once);
        assert_eq!(history.begin(), ReadMode::Fetch);
        history.record_fetching();
        assert_eq!(history.record_cut(), Cut::Twice);
        // A cut while it reads one by one does not change the mode.
        assert_eq!(history.begin(), ReadMode::OneByOne);
        assert_eq!(history.record_cut(), Cut::Twice);
        assert_eq!(history.begin(), ReadMode::OneByOne);
        history.record_fetching();
        assert_eq!(history.record_cut(), Cut::Twice);
        history.begin();
        history.record_fetching();
        history.record_end();
        assert_eq!(history.begin(), ReadMode::Fetch);
    }
}
