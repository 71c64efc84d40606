//! One direction of one connection.

use std::io;
use std::sync::atomic::{AtomicU64, Ordering};
use std::time::Duration;

use tokio::io::{AsyncReadExt, AsyncWriteExt};
use tokio::net::tcp::{OwnedReadHalf, OwnedWriteHalf};
use tokio::time::{Instant, sleep_until};

use super::frames::{Frames, is_delivery, published_to};
use super::{NetworkState, Shared, Towards, lock};

const CHUNK: usize = 16 << 10;
const UNLIMITED: u64 = u64::MAX;

/// Bytes that a connection may still carry from the server.
#[derive(Debug)]
pub(super) struct Allowance(AtomicU64);

impl Allowance {
    pub(super) fn new(bytes: Option<u64>) -> Self {
        Self(AtomicU64::new(bytes.unwrap_or(UNLIMITED)))
    }

    pub(super) fn limit(&self, bytes: u64) {
        self.0.store(bytes, Ordering::Relaxed);
    }

    pub(super) fn lift(&self) {
        self.limit(UNLIMITED);
    }

    /// Returns how many of `wanted` bytes may pass.
    fn take(&self, wanted: usize) -> usize {
        let left = self.0.load(Ordering::Relaxed);
        let granted = left.min(wanted as u64);
        if left != UNLIMITED {
            self.0.store(left - granted, Ordering::Relaxed);
        }
        granted as usize
    }

    fn is_used_up(&self) -> bool {
        self.0.load(Ordering::Relaxed) == 0
    }
}

/// Carries data from the client to the server, and leaves out requests that are to be lost.
pub(super) async fn to_server(
    mut from: OwnedReadHalf,
    mut to: OwnedWriteHalf,
    shared: &Shared,
) -> io::Result<()> {
    let (mut frames, mut input, mut output) = (Frames::default(), vec![0; CHUNK], Vec::new());
    loop {
        let count = read(&mut from, &mut input).await?;
        until_data_passes(shared).await;
        output.clear();
        frames.pass(&input[..count], &mut output, |line| {
            let losses = lock(&shared.losses);
            let prefixes = &losses.requests;
            count_loss(
                shared,
                published_to(line).is_some_and(|subject| {
                    prefixes
                        .iter()
                        .any(|prefix| subject.starts_with(prefix.as_str()))
                }),
            )
        });
        throttle(shared, Towards::Server, output.len()).await;
        to.write_all(&output).await?;
    }
}

/// Carries data from the server to the client, at the limited rate and up to the allowance.
pub(super) async fn to_client(
    mut from: OwnedReadHalf,
    mut to: OwnedWriteHalf,
    shared: &Shared,
    allowance: &Allowance,
) -> io::Result<()> {
    let (mut frames, mut input, mut output) = (Frames::default(), vec![0; CHUNK], Vec::new());
    loop {
        if allowance.is_used_up() {
            return Err(io::ErrorKind::ConnectionAborted.into());
        }
        let count = read(&mut from, &mut input).await?;
        until_data_passes(shared).await;
        output.clear();
        frames.pass(&input[..count], &mut output, |line| {
            let left = &mut lock(&shared.losses).deliveries;
            let lost = *left > 0 && is_delivery(line);
            *left -= usize::from(lost);
            count_loss(shared, lost)
        });
        throttle(shared, Towards::Client, output.len()).await;
        let granted = allowance.take(output.len());
        to.write_all(&output[..granted]).await?;
        if granted < output.len() {
            return Err(io::ErrorKind::ConnectionAborted.into());
        }
    }
}

async fn read(from: &mut OwnedReadHalf, input: &mut [u8]) -> io::Result<usize> {
    match from.read(input).await? {
        0 => Err(io::ErrorKind::UnexpectedEof.into()),
        count => Ok(count),
    }
}

fn count_loss(shared: &Shared, lost: bool) -> bool {
    shared.lost.fetch_add(usize::from(lost), Ordering::Relaxed);
    lost
}

/// Waits until data may pass.
async fn until_data_passes(shared: &Shared) {
    let mut network = shared.network.subscribe();
    // The sender lives as long as the connection, so this cannot fail.
    let _ = network
        .wait_for(|network| *network != NetworkState::Blackhole)
        .await;
}

/// Waits as long as that many bytes take at the limited rate, unless the state of the network
/// changes.
async fn throttle(shared: &Shared, towards: Towards, bytes: usize) {
    let mut network = shared.network.subscribe();
    let rate = match *network.borrow_and_update() {
        NetworkState::Slow(slow, rate) if slow == towards => rate,
        _ => return,
    };
    let until = Instant::now() + Duration::from_secs_f64(bytes as f64 / rate as f64);
    tokio::select! {
        () = sleep_until(until) => {}
        _ = network.changed() => {}
    }
}
