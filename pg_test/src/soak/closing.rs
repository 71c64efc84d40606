//! The end of a run: a last restart, one more burst, and the final checks.

use std::collections::BTreeMap;
use std::time::Duration;

use async_nats::jetstream::stream::RetentionPolicy;
use futures_util::future::join_all;

use super::load::Published;
use super::servers::{Servers, retention};
use crate::feed::Feed;
use crate::wait::try_eventually;

/// Timeout from the last acknowledgement until all figures agree.
const SETTLED: Duration = Duration::from_secs(30);

impl Servers {
    /// Restarts the writer, so that anything that it wrote without recording it is written again,
    /// and publishes one more burst. Returns all deviations.
    ///
    /// The counters start with the server, so they count only this burst.
    pub(super) async fn close(&self, published: &Published) -> Vec<String> {
        self.primary().restart().await;
        self.is_consuming().await;
        let mut last = BTreeMap::new();
        for feed in Feed::ALL {
            last.insert(feed, published.burst(feed).await);
        }
        let mut complaints = vec![self.catch_up().await];
        let settled = last.into_iter().map(async |(feed, (messages, letters))| {
            let settled = tokio::join!(
                self.has_counted(feed, messages, letters),
                self.is_at_the_end(feed),
                self.is_empty(feed),
            );
            [settled.0, settled.1, settled.2]
        });
        for done in join_all(settled).await.into_iter().flatten() {
            complaints.extend(done.err());
        }
        complaints.retain(|complaint| !complaint.is_empty());
        complaints
    }

    async fn has_counted(&self, feed: Feed, messages: u64, letters: u64) -> Result<(), String> {
        let name = feed.name();
        let sql = format!(
            "SELECT concat_ws(' ', messages_total, rows_total, dead_letters_total)
             FROM sr_event_writer.stream_status WHERE name = '{name}'"
        );
        let expected = format!("{messages} {} {letters}", messages - letters);
        let what = format!("messages, rows and dead letters of {name} are {expected}");
        try_eventually(SETTLED, what, async || {
            match self.primary().try_value::<String>(&sql).await {
                Ok(counted) if counted == expected => Ok(()),
                other => Err(format!("{other:?}")),
            }
        })
        .await
    }

    /// Checks that the recorded position is the end of the stream, with nothing missing below it.
    async fn is_at_the_end(&self, feed: Feed) -> Result<(), String> {
        let name = feed.name();
        let sql = format!(
            "SELECT floor || ' ' || above::text FROM sr_event_writer.stream_position
             WHERE pipeline = '{name}' ORDER BY stream_created DESC LIMIT 1"
        );
        let end = self.cluster.stream_state(&feed.stream()).await;
        let expected = format!("{} {{}}", end.last_sequence);
        let what = format!("the position of {name} is {expected}");
        try_eventually(SETTLED, what, async || {
            match self.primary().try_value::<String>(&sql).await {
                Ok(position) if position == expected => Ok(()),
                other => Err(format!("{other:?}")),
            }
        })
        .await
    }

    /// Checks that streams that drop acknowledged messages have dropped them.
    async fn is_empty(&self, feed: Feed) -> Result<(), String> {
        if retention(feed) == RetentionPolicy::Limits {
            return Ok(());
        }
        let what = format!("{} is empty", feed.stream());
        try_eventually(SETTLED, what, async || {
            match self.cluster.stream_state(&feed.stream()).await.messages {
                0 => Ok(()),
                left => Err(format!("{left} messages")),
            }
        })
        .await
    }
}
