//! Soak runs: seven live streams, faults of every kind in an order that a seed decides, and an
//! account at the end. Each published message must be exactly one row or one dead letter with the
//! message's content, or have been removed from its stream on purpose and be listed in
//! `stream_gap`.
//!
//! [`servers`] and [`databases`] hold what runs, [`load`] publishes and keeps a record, [`fault`]
//! defines and inflicts the faults, [`schedule`] orders them, [`closing`] restarts the writer a
//! last time, [`books`] reads the database, [`account`] compares, [`effects`] counts what the
//! faults caused, and [`report`] prints the result. A run deliberately does not wait for recovery:
//! the next fault comes while the writer still recovers from the last.

mod account;
mod books;
mod closing;
mod databases;
mod effects;
mod fault;
mod load;
mod report;
mod schedule;
mod servers;

use std::time::{Duration, Instant};

pub use self::account::{Account, Expected, Fate, Found, Removed};
pub use self::effects::Effects;
pub use self::fault::{Fault, Outcome};
pub use self::report::{Inflicted, Report};

use self::load::Load;
use self::schedule::Schedule;
use self::servers::Servers;
use crate::random::Random;

/// The plan of a run.
#[derive(Debug, Clone)]
pub struct Plan {
    /// Seed of the random numbers, which decide the order and the details of the faults.
    pub seed: u64,
    /// Kinds of faults. Each occurs once before any occurs again.
    pub kinds: Vec<Fault>,
    /// Condition that ends the faults.
    pub end: End,
    /// Additional settings of the database servers.
    pub settings: Vec<(String, String)>,
}

/// The condition that ends the faults.
#[derive(Debug, Clone, Copy)]
pub enum End {
    /// After this number of faults.
    Faults(usize),
    /// After this time.
    Time(Duration),
}

impl Plan {
    /// Creates a plan with every kind of fault, for one or two background workers.
    pub fn everything(seed: u64, end: End) -> Self {
        let workers = 1 + seed % 2;
        Self {
            seed,
            kinds: Fault::ALL.to_vec(),
            end,
            settings: vec![("sr_event_writer.workers".to_owned(), workers.to_string())],
        }
    }

    fn is_over(&self, faults: usize, since: Instant) -> bool {
        match self.end {
            End::Faults(enough) => faults >= enough,
            End::Time(enough) => since.elapsed() >= enough,
        }
    }
}

/// Runs a plan: publishes, inflicts faults, waits until the writer has caught up, and compares.
pub async fn run(plan: &Plan) -> Report {
    let began = Instant::now();
    let servers = Servers::start(&plan.settings).await;
    let load = Load::start(servers.access(), plan.seed);
    servers.is_writing().await;
    let inflicted = inflict(plan, began, &servers, &load).await;
    let published = load.stop().await;
    let healed = Instant::now();
    servers.heal().await;
    let behind = servers.catch_up().await;
    let caught_up = healed.elapsed();
    let complaints = servers.close(&published).await;
    let account = servers.account(&published).await;
    Report {
        seed: plan.seed,
        took: began.elapsed(),
        caught_up,
        behind,
        complaints,
        inflicted,
        account,
        log: servers.log().await,
    }
}

/// Inflicts faults, one or two at a time, until the end of the plan.
async fn inflict(plan: &Plan, began: Instant, servers: &Servers, load: &Load) -> Inflicted {
    let mut random = Random::new(plan.seed);
    let mut schedule = Schedule::new(&plan.kinds, random.draw());
    let mut inflicted = Inflicted::default();
    while !plan.is_over(inflicted.faults.len(), began) {
        let (first, second) = schedule.next();
        eprintln!(
            "soak: {:>6.1} s {first:?} {}",
            began.elapsed().as_secs_f32(),
            second
                .map(|fault| format!("and {fault:?}"))
                .unwrap_or_default()
        );
        let later = Duration::from_millis(random.below(500));
        let (mut one, mut other) = (Random::new(random.draw()), Random::new(random.draw()));
        let strike = async |fault: Fault, random: &mut Random| {
            let at = Instant::now();
            let outcome = fault.inflict(servers, load, random).await;
            (fault, outcome, at.elapsed())
        };
        let struck = tokio::join!(strike(first, &mut one), async {
            let second = second?;
            servers::last(later).await;
            Some(strike(second, &mut other).await)
        });
        inflicted.paired += usize::from(second.is_some());
        for (fault, outcome, took) in std::iter::once(struck.0).chain(struck.1) {
            match outcome {
                Outcome::Hit => inflicted.faults.push((fault, took)),
                Outcome::Missed(what) => {
                    inflicted.missed.push((fault, what));
                    schedule.missed(fault);
                }
            }
        }
        inflicted.effects.add(servers).await;
        servers::last(Duration::from_millis(100 + random.below(900))).await;
    }
    inflicted
}
