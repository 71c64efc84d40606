//! Figures: processor time, memory, and statistics over several rounds.

use std::fs;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};
use std::thread::{self, JoinHandle};
use std::time::{Duration, Instant};

use nix::sys::resource::{UsageWho, getrusage};
use nix::unistd::{SysconfVar, sysconf};
use pg_test::process;
use pg_test::stack::Stack;

/// Interval between two readings of a process's memory.
const LOOK: Duration = Duration::from_millis(20);

/// The figures of one contender in one round.
#[derive(Debug, Clone, Copy)]
pub struct Round {
    /// Seconds from the start until everything is written and flushed, and acknowledged if
    /// acknowledgements are used.
    pub seconds: f64,
    /// Processor time of the PostgreSQL cluster and of the writer, in seconds.
    pub cpu: f64,
    /// Processor time of nats-server, which competes for the same processors, in seconds.
    pub nats: f64,
    /// Largest private memory of the writing process, in bytes.
    pub peak: u64,
    /// Part (0 to 1) of the machine's processor time that other processes than the benchmark's
    /// used.
    pub others: f64,
}

/// A running measurement.
pub struct Meter {
    servers: Servers,
    before: Usage,
    memory: Option<Memory>,
}

impl Meter {
    /// Starts a measurement of both servers.
    pub fn start(stack: &Stack) -> Self {
        let servers = Servers {
            postmaster: stack.pg.postmaster_pid(),
            nats: stack.nats.pid(),
        };
        Self {
            memory: None,
            before: Usage::now(&servers),
            servers,
        }
    }

    /// Watches the memory of the writing process.
    pub fn watch(&mut self, writer: i32) {
        self.memory = Some(Memory::watch(writer));
    }

    /// Ends the measurement. An external writer's processor time is known only after the process
    /// has ended, so the caller adds it later.
    pub fn stop(self) -> Round {
        let after = Usage::now(&self.servers);
        let seconds = after.at.duration_since(self.before.at).as_secs_f64();
        let own = after.own - self.before.own;
        let machine = after.machine - self.before.machine;
        Round {
            seconds,
            cpu: after.cluster - self.before.cluster,
            nats: after.nats - self.before.nats,
            peak: self.memory.map_or(0, Memory::peak),
            others: ((machine - own) / (seconds * processors())).max(0.0),
        }
    }
}

/// The processes that are measured.
struct Servers {
    postmaster: i32,
    nats: Option<i32>,
}

/// Processor time up to one moment.
struct Usage {
    at: Instant,
    /// Processor seconds of nats-server.
    nats: f64,
    /// Processor seconds of the cluster.
    cluster: f64,
    /// Processor seconds of the whole benchmark: cluster, NATS, writer and this process.
    own: f64,
    /// Processor seconds of all processes on the machine.
    machine: f64,
}

impl Usage {
    fn now(servers: &Servers) -> Self {
        let postmaster = servers.postmaster;
        let cluster = cluster_cpu(postmaster);
        let others: u64 = process::children(std::process::id().cast_signed())
            .into_iter()
            .filter(|&child| child != postmaster)
            .map(|child| ticks(child, 2))
            .sum();
        let own = cluster + seconds(others) + cpu(UsageWho::RUSAGE_SELF) + ended_children_cpu();
        Self {
            nats: servers.nats.map_or(0.0, |nats| seconds(ticks(nats, 2))),
            cluster,
            own,
            machine: machine_cpu(),
            at: Instant::now(),
        }
    }
}

/// Returns the number of processors.
fn processors() -> f64 {
    thread::available_parallelism().map_or(1.0, |number| number.get() as f64)
}

/// Returns the processor time that the machine has spent on all processes, in seconds.
fn machine_cpu() -> f64 {
    let stat = fs::read_to_string("/proc/stat").unwrap_or_default();
    let fields = stat.lines().next().unwrap_or_default();
    // user, nice, system, (idle, iowait,) irq, softirq
    let fields = fields.split_ascii_whitespace().skip(1).enumerate();
    let busy = fields.filter(|(at, _)| matches!(at, 0 | 1 | 2 | 5 | 6));
    seconds(
        busy.filter_map(|(_, field)| field.parse::<u64>().ok())
            .sum(),
    )
}

/// Returns the processor time that the processes of a cluster have used since its start, in
/// seconds: the postmaster, its running children, and its children that have ended.
pub fn cluster_cpu(postmaster: i32) -> f64 {
    let live: u64 = process::children(postmaster)
        .into_iter()
        .map(|child| ticks(child, 2))
        .sum();
    // Two fields of each child, and for the postmaster also the two of children that have ended.
    seconds(live + ticks(postmaster, 4))
}

/// Returns the processor time of this process's children that have ended and were waited for, in
/// seconds.
pub fn ended_children_cpu() -> f64 {
    cpu(UsageWho::RUSAGE_CHILDREN)
}

fn cpu(who: UsageWho) -> f64 {
    let usage = getrusage(who).expect("ask for the usage");
    let seconds =
        |time: nix::sys::time::TimeVal| time.tv_sec() as f64 + time.tv_usec() as f64 / 1_000_000.0;
    seconds(usage.user_time()) + seconds(usage.system_time())
}

fn seconds(ticks: u64) -> f64 {
    let per_second = sysconf(SysconfVar::CLK_TCK)
        .expect("ask for the clock tick")
        .expect("there is a clock tick");
    ticks as f64 / per_second as f64
}

/// Returns the sum of the first `fields` of utime, stime, cutime, cstime in ticks; 0 if the process
/// is gone.
fn ticks(pid: i32, fields: usize) -> u64 {
    let stat = fs::read_to_string(format!("/proc/{pid}/stat")).unwrap_or_default();
    // The name before them is in parentheses, and may contain parentheses itself.
    let rest = stat.rfind(')').map_or("", |at| &stat[at + 1..]);
    rest.split_ascii_whitespace()
        .skip(11)
        .take(fields)
        .filter_map(|field| field.parse::<u64>().ok())
        .sum()
}

/// A thread that watches a process's memory for its maximum.
struct Memory {
    stop: Arc<AtomicBool>,
    watcher: JoinHandle<u64>,
}

impl Memory {
    fn watch(pid: i32) -> Self {
        let stop = Arc::new(AtomicBool::new(false));
        let stopped = stop.clone();
        let watcher = thread::spawn(move || {
            let mut peak = 0;
            loop {
                peak = peak.max(process::private_memory(pid).unwrap_or(0));
                if stopped.load(Ordering::Relaxed) {
                    return peak;
                }
                thread::park_timeout(LOOK);
            }
        });
        Self { stop, watcher }
    }

    fn peak(self) -> u64 {
        self.stop.store(true, Ordering::Relaxed);
        self.watcher.thread().unpark();
        self.watcher.join().expect("the memory watcher")
    }
}

/// Returns the median. For an even number of values it is the mean of the middle two.
pub fn median(values: impl IntoIterator<Item = f64>) -> f64 {
    let sorted = sorted(values);
    let middle = sorted.len() / 2;
    match sorted.len() {
        0 => f64::NAN,
        odd if odd % 2 == 1 => sorted[middle],
        _ => f64::midpoint(sorted[middle - 1], sorted[middle]),
    }
}

/// Returns the value below which the given part (0 to 1) of all values lies.
pub fn quantile(values: impl IntoIterator<Item = f64>, part: f64) -> f64 {
    let sorted = sorted(values);
    let last = sorted.len().saturating_sub(1);
    let at = (last as f64 * part).round() as usize;
    sorted.get(at).copied().unwrap_or(f64::NAN)
}

fn sorted(values: impl IntoIterator<Item = f64>) -> Vec<f64> {
    let mut sorted: Vec<f64> = values.into_iter().collect();
    sorted.sort_by(f64::total_cmp);
    sorted
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_median_is_in_the_middle() {
        assert_eq!(median([3.0, 1.0, 2.0]), 2.0);
        assert_eq!(median([4.0, 1.0, 2.0, 3.0]), 2.5);
    }

    #[test]
    fn quantiles_are_among_the_values() {
        assert_eq!(quantile((0..=100).map(f64::from), 0.99), 99.0);
        assert_eq!(quantile([7.0], 0.5), 7.0);
    }
}
