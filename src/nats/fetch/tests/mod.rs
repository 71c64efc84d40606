//! Tests of fetch, on a clock that the tests control.

mod running;

use super::MESSAGE_OVERHEAD;
use crate::batch::Tail;
use crate::error::SessionError;
use crate::settings::PipelineSettings;
use crate::state::PhaseKind;
use running::{POSITION, Running, pipeline, settings};
use std::sync::Arc;
use std::sync::atomic::Ordering;
use std::time::Duration;
use tokio::time::{Instant, sleep};

#[tokio::test(start_paused = true)]
async fn a_quiet_stream_is_recorded_to_its_end_after_ten_seconds() {
    let start = Instant::now();
    let mut fetch = Running::start();
    fetch.server.lock().last_sequence = 20;
    let batch = fetch.batches.recv().await.unwrap();
    assert_eq!(start.elapsed(), Duration::from_secs(10));
    let end = Tail {
        first: 11,
        last: 20,
        newest: None,
    };
    assert_eq!((batch.len(), batch.tail()), (0, Some(end)));
    fetch.deliver(1, 23);
    let batch = fetch.batches.recv().await.unwrap();
    assert_eq!(
        batch.messages[0].accounts_from, 21,
        "it goes on behind what is recorded"
    );
}

#[tokio::test(start_paused = true)]
async fn a_quiet_stream_is_recorded_later_while_a_batch_waits() {
    let mut fetch = Running::start();
    fetch.deliver(1, 11);
    fetch.server.lock().last_sequence = 20;
    fetch.server.lock().counts.deliveries = 1;
    sleep(Duration::from_secs(15)).await;
    assert_eq!(fetch.batch().await, [11]);
    let batch = fetch.batches.recv().await.unwrap();
    assert_eq!(
        batch.tail().map(|tail| (tail.first, tail.last)),
        Some((12, 20))
    );
}

#[tokio::test(start_paused = true)]
async fn when_nobody_takes_batches_any_more_it_waits_to_be_dropped() {
    let mut fetch = Running::start();
    for number in 1..=3 {
        fetch.deliver(number, POSITION + number);
    }
    assert_eq!(fetch.batch().await, [11]);
    fetch.batches.close();
    fetch.deliver(4, 14);
    sleep(Duration::from_secs(60)).await;
    assert!(!fetch.ended.is_finished());
    let state = Arc::downgrade(&fetch.state);
    fetch.ended.abort();
    assert!(fetch.ended.await.unwrap_err().is_cancelled());
    drop(fetch.state);
    drop(fetch.batches);
    assert!(
        state.upgrade().is_none(),
        "all that it held is dropped with it"
    );
}

#[tokio::test(start_paused = true)]
async fn a_lost_delivery_ends_the_session() {
    let mut fetch = Running::start();
    fetch.deliver(1, 11);
    fetch.deliver(3, 13);
    assert_eq!(fetch.batch().await, [11]);
    assert!(matches!(fetch.error().await, SessionError::Lost(1)));
}

#[tokio::test(start_paused = true)]
async fn what_does_not_come_ends_the_session_at_the_second_look() {
    let start = Instant::now();
    for (deliveries, pending, error) in [
        (2, 0, "2 messages were lost on the way; reading them again"),
        (0, 3, "3 messages are waiting and none comes; asking again"),
    ] {
        let begun = start.elapsed();
        let fetch = Running::start();
        fetch.server.lock().counts.deliveries = deliveries;
        fetch.server.lock().counts.pending = pending;
        assert_eq!(fetch.error().await.to_string(), error);
        assert_eq!(start.elapsed() - begun, Duration::from_secs(10 + 4));
    }
}

#[tokio::test(start_paused = true)]
async fn what_comes_after_the_first_look_was_only_late() {
    let mut fetch = Running::start();
    fetch.server.lock().counts.deliveries = 1;
    sleep(Duration::from_secs(12)).await;
    fetch.deliver(1, 11);
    assert_eq!(fetch.batch().await, [11]);
    sleep(Duration::from_secs(60)).await;
    assert!(!fetch.ended.is_finished());
}

#[tokio::test(start_paused = true)]
async fn a_consumer_that_was_moved_behind_messages_ends_the_session() {
    let fetch = Running::start();
    fetch.server.lock().is_empty = false;
    // The first delivery skips 11 and 12.
    fetch.deliver(1, 13);
    assert!(matches!(fetch.error().await, SessionError::ConsumerMoved));
}

#[tokio::test(start_paused = true)]
async fn silence_ends_the_pull_also_when_nothing_is_missing() {
    let start = Instant::now();
    let fetch = Running::start();
    fetch.missed_heartbeat.store(true, Ordering::Relaxed);
    let error = fetch.error().await;
    assert!(matches!(error, SessionError::MissedHeartbeat));
    assert_eq!(start.elapsed(), Duration::from_secs(10));
}

#[tokio::test(start_paused = true)]
async fn batches_with_holes_are_confirmed_at_most_ten_times_a_second() {
    let mut fetch = Running::start();
    let (mut batches, mut messages) = (0, 0);
    for number in 1..=1_000 {
        fetch.deliver(number, POSITION + 2 * number);
        sleep(Duration::from_millis(1)).await;
        if let Ok(batch) = fetch.batches.try_recv() {
            batches += 1;
            messages += batch.len();
        }
    }
    while messages < 1_000 {
        messages += fetch.batch().await.len();
    }
    let confirmed = fetch.server.lock().confirmed.clone();
    let apart = |pair: &[Instant]| pair[1] - pair[0] >= Duration::from_millis(100);
    assert!(confirmed.windows(2).all(apart), "{confirmed:?}");
    assert!((9..=11).contains(&batches), "{batches}");
}

#[tokio::test(start_paused = true)]
async fn a_complete_batch_waits_for_its_confirmation_and_not_for_its_timeout() {
    let start = Instant::now();
    let mut fetch = Running::start();
    fetch.deliver(1, POSITION + 5);
    assert_eq!(fetch.batch().await, [POSITION + 5]);
    assert_eq!(start.elapsed(), Duration::from_millis(100));
}

#[tokio::test(start_paused = true)]
async fn without_holes_nothing_is_confirmed_and_nothing_waits() {
    let start = Instant::now();
    let mut fetch = Running::start();
    for number in 1..=100 {
        fetch.deliver(number, POSITION + number);
        assert_eq!(fetch.batch().await, [POSITION + number]);
    }
    assert_eq!(start.elapsed(), Duration::ZERO);
    assert!(fetch.server.lock().confirmed.is_empty());
}

#[tokio::test(start_paused = true)]
async fn a_copy_of_what_was_fetched_is_counted_and_not_handed_over() {
    let mut fetch = Running::start();
    fetch.deliver(1, 11);
    fetch.deliver(2, 11);
    fetch.deliver(3, 12);
    assert_eq!(fetch.batch().await, [11]);
    assert_eq!(fetch.batch().await, [12]);
    let duplicates = &fetch.state.duplicates_in_flight;
    assert_eq!(duplicates.load(Ordering::Relaxed), 1);
}

#[tokio::test(start_paused = true)]
async fn a_message_waits_for_memory_and_after_two_seconds_that_is_shown() {
    // Enough for one message in each half of the budget.
    let mut fetch = Running::start_with(pipeline(), 2 * (MESSAGE_OVERHEAD + 8));
    for number in 1..=3 {
        fetch.deliver(number, POSITION + number);
    }
    sleep(Duration::from_millis(1_900)).await;
    assert_eq!(fetch.phase(), PhaseKind::Fetching);
    sleep(Duration::from_millis(200)).await;
    assert_eq!(fetch.phase(), PhaseKind::OutOfMemory);
    let mut written = Vec::new();
    while written.len() < 3 {
        written.extend(fetch.batch().await);
    }
    assert_eq!(written, [11, 12, 13]);
    assert_eq!(fetch.phase(), PhaseKind::Fetching);
}

#[tokio::test(start_paused = true)]
async fn a_rate_spreads_messages_over_time() {
    let limited = PipelineSettings {
        max_rate: 10,
        batch_timeout: Duration::from_millis(50),
        ..pipeline()
    };
    let start = Instant::now();
    let mut fetch = Running::start_with(limited, settings().buffer_bytes);
    for number in 1..=21 {
        fetch.deliver(number, POSITION + number);
    }
    let mut written = Vec::new();
    while written.len() < 21 {
        written.extend(fetch.batch().await);
    }
    assert_eq!(start.elapsed(), Duration::from_secs(2));
}
