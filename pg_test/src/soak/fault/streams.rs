//! Actions of others on streams, and messages that they publish.

use std::time::{Duration, SystemTime};

use async_nats::jetstream::stream::{RetentionPolicy, Stream};
use futures_util::future::join_all;

use super::super::databases::RECOVERY_TIMEOUT;
use super::super::load::{BURST, Load};
use super::super::servers::{Servers, last, make_stream, retention};
use crate::feed::Feed;
use crate::nats::Nats;
use crate::random::Random;
use crate::wait::eventually;

/// Bursts of a flood of headers.
const FLOOD: u64 = 3;
/// Number of messages, at least, that a set-back removes from each stream.
const TAKEN: u64 = 2 * BURST;

pub(super) fn keeps_what_nobody_reads(feed: &Feed) -> bool {
    retention(*feed) != RetentionPolicy::Interest
}

impl Servers {
    pub(super) async fn stream(&self, feed: Feed) -> Stream {
        eventually(RECOVERY_TIMEOUT, "the stream answers", async || {
            let context = async_nats::jetstream::new(self.cluster.try_client().await?);
            let stream = context.get_stream(feed.stream()).await;
            stream.map_err(|error| error.to_string())
        })
        .await
    }

    /// Deletes a stream and creates it again, after everything in it is recorded, also by the
    /// standby that may take over.
    pub(super) async fn recreate_stream(&self, load: &Load, random: &mut Random) {
        let feeds: Vec<_> = Feed::ALL
            .into_iter()
            .filter(keeps_what_nobody_reads)
            .collect();
        let feed = *random.pick(&feeds);
        let hold = load.hold(feed).await;
        self.has_recorded(feed).await;
        eventually(RECOVERY_TIMEOUT, "the stream is deleted", async || {
            let context = async_nats::jetstream::new(self.cluster.try_client().await?);
            match context.delete_stream(feed.stream()).await {
                // The answer to an earlier attempt may have been lost.
                Err(error) if error.to_string().contains("not found") => Ok(()),
                other => other.map(drop).map_err(|error| error.to_string()),
            }
        })
        .await;
        last(Duration::from_millis(random.below(1_000))).await;
        make_stream(&self.cluster, feed).await;
        drop(hold);
    }

    /// Replaces the stores of all NATS servers by copies from a little earlier. From then on,
    /// sequences that were read belong to other messages.
    ///
    /// Everything that is removed was recorded before.
    pub(super) async fn set_back(&self, load: &Load) {
        let servers = self.cluster.servers();
        let quiet = join_all(Feed::ALL.map(|feed| load.hold(feed))).await;
        join_all(servers.iter().map(Nats::stop)).await;
        let earlier: Vec<_> = servers.iter().map(Nats::copy_store).collect();
        join_all(servers.iter().map(Nats::start)).await;
        let before = Feed::ALL.map(|feed| load.next_number(feed));
        drop(quiet);
        for (feed, before) in Feed::ALL.into_iter().zip(before) {
            eventually(
                RECOVERY_TIMEOUT,
                "messages come that are taken back",
                async || load.next_number(feed) >= before + TAKEN,
            )
            .await;
        }
        let quiet = join_all(Feed::ALL.map(|feed| load.hold(feed))).await;
        for feed in Feed::ALL {
            self.has_recorded(feed).await;
        }
        join_all(servers.iter().map(Nats::stop)).await;
        for (server, earlier) in servers.iter().zip(&earlier) {
            server.put_back(earlier);
        }
        join_all(servers.iter().map(Nats::start)).await;
        let back = SystemTime::now().duration_since(SystemTime::UNIX_EPOCH);
        let back = back.expect("after 1970").as_secs_f64();
        drop(quiet);
        self.has_noticed(back).await;
    }

    /// Waits until each pipeline has recorded a message published after that time. Until then its
    /// position claims that the new messages were read.
    async fn has_noticed(&self, since: f64) {
        let sql = format!(
            "SELECT count(DISTINCT pipeline) FROM sr_event_writer.stream_position
             WHERE newest_published > to_timestamp({since})"
        );
        eventually(
            RECOVERY_TIMEOUT,
            "new messages are recorded",
            async || match self.primary().try_value::<i64>(&sql).await {
                Ok(noticed) if noticed == Feed::ALL.len() as i64 => Ok(()),
                Ok(noticed) => Err(format!("by {noticed}")),
                Err(failure) => Err(failure.to_string()),
            },
        )
        .await;
        self.databases.standby_has_all().await;
    }

    /// Publishes one message that makes the client library treat the connection as broken.
    pub(super) async fn unreadable_message(&self, load: &Load, feed: Feed, random: &mut Random) {
        let hold = load.hold(feed).await;
        let number = load.next_number(feed) + random.below(BURST);
        load.will_be_unreadable(feed, number);
        drop(hold);
        eventually(
            RECOVERY_TIMEOUT,
            "an unreadable message is there",
            async || load.next_number(feed) > number,
        )
        .await;
    }

    /// Publishes messages with thousands of short headers.
    pub(super) async fn header_flood(&self, load: &Load, feed: Feed) {
        load.flood(feed, FLOOD);
        eventually(RECOVERY_TIMEOUT, "the flood is over", async || {
            load.floods_left(feed) == 0
        })
        .await;
    }
}
