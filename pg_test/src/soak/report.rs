//! The result of a run as a text.

use std::collections::BTreeMap;
use std::fmt::{self, Display, Formatter};
use std::fs;
use std::path::PathBuf;
use std::time::Duration;

use super::account::Account;
use super::effects::Effects;
use super::fault::Fault;
use crate::feed::Feed;

/// Most messages that are named of each error.
const NAMED: usize = 12;

/// The faults of a run.
#[derive(Debug, Default)]
pub struct Inflicted {
    /// Inflicted faults in order, and the duration of each.
    pub faults: Vec<(Fault, Duration)>,
    /// Faults that found nothing to act on, and what was missing.
    pub missed: Vec<(Fault, &'static str)>,
    /// Number of faults that were inflicted at the same time as another one.
    pub paired: usize,
    /// Effects of the faults.
    pub effects: Effects,
}

/// The result of a run.
#[derive(Debug)]
pub struct Report {
    /// Seed of the plan.
    pub seed: u64,
    /// Duration of the run.
    pub took: Duration,
    /// Time from the end of the last fault until nothing was pending.
    pub caught_up: Duration,
    /// Messages that were still pending at the timeout; empty if there were none.
    pub behind: String,
    /// Inflicted faults.
    pub inflicted: Inflicted,
    /// Deviations after the last restart.
    pub complaints: Vec<String>,
    /// Comparison of the published messages with the database.
    pub account: Account,
    /// Logs of the last two primaries, and tables of the extension, to find the cause of a failure.
    pub log: String,
}

impl Report {
    /// Returns how often each kind was inflicted.
    pub fn kinds(&self) -> BTreeMap<Fault, usize> {
        let mut kinds = BTreeMap::new();
        for (fault, _) in &self.inflicted.faults {
            *kinds.entry(*fault).or_default() += 1;
        }
        kinds
    }

    /// Writes the logs to a file, and returns its path.
    pub fn keep_log(&self) -> PathBuf {
        let path = std::env::temp_dir().join(format!("sr_event_writer-soak-{}.log", self.seed));
        fs::write(&path, &self.log).expect("write the log of a run");
        path
    }

    /// Returns whether nothing was lost or duplicated, and nothing is pending.
    pub fn is_good(&self) -> bool {
        self.account.is_even() && self.behind.is_empty() && self.complaints.is_empty()
    }
}

impl Display for Report {
    fn fmt(&self, f: &mut Formatter<'_>) -> fmt::Result {
        let account = &self.account;
        let seconds = |duration: Duration| format!("{:.1} s", duration.as_secs_f32());
        writeln!(f, "seed                  {}", self.seed)?;
        writeln!(f, "took                  {}", seconds(self.took))?;
        writeln!(f, "messages published    {}", account.published)?;
        writeln!(f, "rows                  {}", account.rows)?;
        writeln!(f, "dead letters          {}", account.letters)?;
        writeln!(f, "in recorded gaps      {}", account.in_gaps)?;
        writeln!(f, "caught up after       {}", seconds(self.caught_up))?;
        let (all, kinds) = (self.inflicted.faults.len(), self.kinds());
        writeln!(f, "faults injected       {all} of {} kinds", kinds.len())?;
        for (fault, count) in kinds {
            writeln!(f, "  {count:>4} {fault:?}")?;
        }
        writeln!(f, "two at a time         {}", self.inflicted.paired)?;
        for (fault, what) in &self.inflicted.missed {
            writeln!(f, "missed                {fault:?}: {what}")?;
        }
        if !self.behind.is_empty() {
            writeln!(f, "still behind          {}", self.behind)?;
        }
        for complaint in &self.complaints {
            writeln!(f, "in the end            {complaint}")?;
        }
        writeln!(
            f,
            "worker processes      {}",
            self.inflicted.effects.workers.len()
        )?;
        writeln!(
            f,
            "connections           {}",
            self.inflicted.effects.connections
        )?;
        writeln!(f, "frames lost           {}", self.inflicted.effects.lost)?;
        writeln!(f, "came again            {}", self.inflicted.effects.again)?;
        writeln!(f, "lost                  {}", Messages(&account.lost))?;
        writeln!(f, "duplicated            {}", Messages(&account.duplicated))?;
        writeln!(f, "gaps not recorded     {}", Messages(&account.unrecorded))?;
        writeln!(f, "wrongly set aside/in  {}", Messages(&account.misplaced))?;
        writeln!(f, "wrong values          {}", Messages(&account.wrong))?;
        writeln!(f, "too much in gaps      {}", account.too_wide)?;
        write!(f, "of nobody             {}", account.unexplained)
    }
}

struct Messages<'a>(&'a [(Feed, u64)]);

impl Display for Messages<'_> {
    fn fmt(&self, f: &mut Formatter<'_>) -> fmt::Result {
        write!(f, "{}", self.0.len())?;
        for (feed, number) in self.0.iter().take(NAMED) {
            write!(f, " {}/{number}", feed.name())?;
        }
        if self.0.len() > NAMED {
            write!(f, " …")?;
        }
        Ok(())
    }
}
