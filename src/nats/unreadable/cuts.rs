//! What a cut connection says about the messages that come next. One cut says nothing. Two in a
//! row, each right after fetching began, may mean that the client cannot read a message and takes
//! the connection for broken: then the next messages are looked at one by one before they are
//! fetched.

use std::time::Duration;
use tokio::time::Instant;

/// A connection that is cut so soon after fetching began was cut by what was fetched, perhaps.
const SOON: Duration = Duration::from_secs(5);

/// After so many of them in a row messages are read one by one: a server that is restarted twice is
/// rare.
const ENOUGH: u32 = 2;

/// How a session reads its first messages.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum ReadMode {
    /// Fetches them.
    Fetch,
    /// Looks at them one by one.
    OneByOne,
}

/// The cuts that the sessions of a pipeline have met.
#[derive(Debug)]
pub(crate) struct CutHistory {
    mode: ReadMode,
    /// When the present session began to fetch.
    fetching_since: Option<Instant>,
    /// Cuts in a row, each soon after fetching began.
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
    /// Begins a session, and returns how it is to read.
    pub(crate) fn begin(&mut self) -> ReadMode {
        self.fetching_since = None;
        self.mode
    }

    /// Records that the session has begun to fetch.
    pub(crate) fn record_fetching(&mut self) {
        self.fetching_since = Some(Instant::now());
    }

    /// Records that the session has ended, not by a cut.
    pub(crate) fn record_end(&mut self) {
        if self.fetching_since.is_some() {
            *self = Self::default();
        }
    }

    /// Records that the session was cut. Returns whether that has happened several times in a row.
    pub(crate) fn record_cut(&mut self) -> Cut {
        match self.fetching_since {
            Some(since) if since.elapsed() < SOON => {
                self.cuts = ENOUGH.min(self.cuts + 1);
                if self.cuts == ENOUGH {
                    self.mode = ReadMode::OneByOne;
                }
            }
            Some(_) => *self = Self::default(),
            // It came to nothing, so it says nothing.
            None => {}
        }
        match self.cuts {
            ..ENOUGH => Cut::Once,
            ENOUGH.. => Cut::Twice,
        }
    }
}

/// How often the connection was cut.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Cut {
    /// Most losses are a restarted server.
    Once,
    /// Twice or more often in a row.
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
        history.fetching_since = Instant::now().checked_sub(SOON);
        assert_eq!(history.record_cut(), Cut::Once);
        assert_eq!(history.begin(), ReadMode::Fetch);
        history.record_fetching();
        assert_eq!(history.record_cut(), Cut::Once);
        assert_eq!(history.begin(), ReadMode::Fetch);
        history.record_fetching();
        assert_eq!(history.record_cut(), Cut::Twice);
        // Cut while it looks, so it looks again.
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
