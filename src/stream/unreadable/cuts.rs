//! What a cut connection says about the messages that come next. One cut says nothing. Two in a row, each
//! right after fetching began, may mean that the client cannot read a message and takes the connection for
//! broken: then the next messages are looked at one by one before they are fetched.

use std::time::Duration;
use tokio::time::Instant;

/// A connection that is cut so soon after fetching began was cut by what was fetched, perhaps.
const SOON: Duration = Duration::from_secs(5);

/// So many of them in a row make cautious: a server that is restarted twice is rare.
const ENOUGH: u32 = 2;

/// How a session reads its first messages.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum ReadMode {
    /// Fetches them.
    None,
    /// Looks at them one by one.
    OneByOne,
}

/// What the sessions of a pipeline have gone through.
#[derive(Debug)]
pub(crate) struct CutHistory {
    caution: ReadMode,
    /// When the present session began to fetch.
    fetching_since: Option<Instant>,
    /// Cuts in a row, each soon after fetching began.
    cuts: u32,
}

impl Default for CutHistory {
    fn default() -> Self {
        Self {
            caution: ReadMode::None,
            fetching_since: None,
            cuts: 0,
        }
    }
}

impl CutHistory {
    /// How the session that begins now is to read.
    pub(crate) fn begin(&mut self) -> ReadMode {
        self.fetching_since = None;
        self.caution
    }

    /// The session has begun to fetch.
    pub(crate) fn fetching(&mut self) {
        self.fetching_since = Some(Instant::now());
    }

    /// The session has ended, not by a cut.
    pub(crate) fn ended(&mut self) {
        if self.fetching_since.is_some() {
            *self = Self::default();
        }
    }

    /// The session was cut. Whether that has happened several times in a row.
    pub(crate) fn cut(&mut self) -> Cut {
        match self.fetching_since {
            Some(since) if since.elapsed() < SOON => {
                self.cuts = ENOUGH.min(self.cuts + 1);
                if self.cuts == ENOUGH {
                    self.caution = ReadMode::OneByOne;
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
    fn only_a_cut_right_after_fetching_began_makes_cautious() {
        let mut experience = CutHistory::default();
        assert_eq!(experience.begin(), ReadMode::None);
        experience.fetching();
        experience.fetching_since = Instant::now().checked_sub(SOON);
        assert_eq!(experience.cut(), Cut::Once);
        assert_eq!(experience.begin(), ReadMode::None);
        experience.fetching();
        assert_eq!(experience.cut(), Cut::Once);
        assert_eq!(experience.begin(), ReadMode::None);
        experience.fetching();
        assert_eq!(experience.cut(), Cut::Twice);
        // Cut while it looks, so it looks again.
        assert_eq!(experience.begin(), ReadMode::OneByOne);
        assert_eq!(experience.cut(), Cut::Twice);
        assert_eq!(experience.begin(), ReadMode::OneByOne);
        experience.fetching();
        assert_eq!(experience.cut(), Cut::Twice);
        experience.begin();
        experience.fetching();
        experience.ended();
        assert_eq!(experience.begin(), ReadMode::None);
    }
}
