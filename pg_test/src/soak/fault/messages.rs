//! What others do to consumers and streams.

use std::time::Duration;

use async_nats::jetstream::consumer::{FromConsumer, pull};
use async_nats::jetstream::stream::Stream;

use super::super::account::Removed;
use super::super::ground::{Ground, PATIENCE, last, make_stream, retention};
use super::super::load::Load;
use crate::feed::Feed;
use crate::random::Random;
use crate::recorded;
use crate::wait::eventually;
use async_nats::jetstream::stream::RetentionPolicy;

/// Unread messages that are removed at most.
const REMOVED: u64 = 40;

fn keeps_what_nobody_reads(feed: &Feed) -> bool {
    retention(*feed) != RetentionPolicy::Interest
}

impl Ground {
    async fn stream(&self, feed: Feed) -> Stream {
        eventually(PATIENCE, "the stream answers", async || {
            let context = async_nats::jetstream::new(self.cluster.try_client().await?);
            let stream = context.get_stream(feed.stream()).await;
            stream.map_err(|error| error.to_string())
        })
        .await
    }

    /// Not of an interest stream: that forgets its messages with it.
    pub(super) async fn delete_consumer(&self, random: &mut Random) {
        let feeds: Vec<_> = Feed::ALL
            .into_iter()
            .filter(keeps_what_nobody_reads)
            .collect();
        let feed = *random.pick(&feeds);
        // It may be gone just now; then there is nothing to delete.
        let _ = self
            .stream(feed)
            .await
            .delete_consumer(&feed.consumer())
            .await;
    }

    pub(super) async fn edit_consumer(&self, feed: Feed, random: &mut Random) {
        let edits: [fn(&mut pull::Config); 3] = [
            |config| config.max_ack_pending = 1,
            |config| config.max_deliver = 1,
            |config| config.ack_wait = Duration::from_millis(1),
        ];
        let edit = *random.pick(&edits);
        let stream = self.stream(feed).await;
        eventually(PATIENCE, "the consumer is edited", async || {
            let info = stream.consumer_info(feed.consumer()).await;
            let config = info.map_err(|error| error.to_string())?.config;
            let mut config =
                pull::Config::try_from_consumer_config(config).map_err(|e| e.to_string())?;
            edit(&mut config);
            let edited = stream.update_consumer(config).await;
            edited.map(drop).map_err(|error| error.to_string())
        })
        .await;
    }

    /// Single messages that were not read yet.
    pub(super) async fn delete_messages(&self, load: &Load, feed: Feed) {
        let unread = self.collect_unread(load, feed).await;
        for (sequence, number) in unread.messages.iter().step_by(3) {
            let deleted = eventually(PATIENCE, "a message is deleted", async || {
                match unread.stream.delete_message(*sequence).await {
                    // The answer to an earlier try may have been lost.
                    Err(error) if is_gone(&error) => Ok(()),
                    other => other.map(drop).map_err(|error| error.to_string()),
                }
            });
            deleted.await;
            load.was_removed(feed, *number, unread.removed(*sequence));
        }
        self.read_on(feed).await;
    }

    /// The oldest messages that were not read yet.
    pub(super) async fn purge_messages(&self, load: &Load, feed: Feed) {
        let unread = self.collect_unread(load, feed).await;
        let half = unread.messages.len() / 2;
        if let Some((until, _)) = unread.messages.get(half) {
            let purged = eventually(PATIENCE, "messages are purged", async || {
                let purge = unread.stream.purge().sequence(*until).await;
                purge.map_err(|error| error.to_string())
            });
            purged.await;
            for (sequence, number) in &unread.messages[..half] {
                load.was_removed(feed, *number, unread.removed(*sequence));
            }
        }
        self.read_on(feed).await;
    }

    /// Pauses the pipeline until some messages are waiting.
    async fn collect_unread(&self, load: &Load, feed: Feed) -> Unread {
        let name = feed.name();
        self.surely(&format!("SELECT sr_event_writer_pause('{name}')"))
            .await;
        let paused = format!(
            "SELECT state = 'paused' FROM sr_event_writer.stream_status WHERE name = '{name}'"
        );
        eventually(PATIENCE, "the pipeline is paused", async || {
            self.primary
                .try_value::<bool>(&paused)
                .await
                .unwrap_or(false)
        })
        .await;
        let before = load.next_number(feed);
        eventually(PATIENCE, "messages wait", async || {
            load.next_number(feed) >= before + REMOVED
        })
        .await;
        let _quiet = load.hold(feed).await;
        let stream = self.stream(feed).await;
        let created = recorded::created(stream.cached_info());
        let floor: i64 = self.value(&recorded::floor_of(feed, created)).await;
        // What is read and removed now cannot be read again, so no other server may lack its rows.
        self.standby_has_all().await;
        let state = &stream.cached_info().state;
        let first = state.first_sequence.max(floor.unsigned_abs() + 1);
        let mut messages = Vec::new();
        for sequence in first..=state.last_sequence.min(first + REMOVED) {
            let message = eventually(PATIENCE, "a message is read", async || {
                match stream.get_raw_message(sequence).await {
                    Err(error) if is_gone(&error) => Ok(None),
                    other => other.map(Some).map_err(|error| error.to_string()),
                }
            });
            // What was deleted before is not there.
            if let Some(message) = message.await
                && let Some(id) = message.headers.get("Nats-Msg-Id")
                && let Some((_, number)) = id.as_str().split_once(' ')
            {
                messages.push((sequence, number.parse().expect("a number")));
            }
        }
        assert!(
            !messages.is_empty(),
            "nothing of {name} waits above {floor}"
        );
        Unread {
            created,
            messages,
            stream,
        }
    }

    async fn read_on(&self, feed: Feed) {
        self.surely(&format!("SELECT sr_event_writer_resume('{}')", feed.name()))
            .await;
    }

    /// A stream is deleted and made anew when everything in it is recorded, also where another
    /// server may take over.
    pub(super) async fn stream_anew(&self, load: &Load, random: &mut Random) {
        let feeds: Vec<_> = Feed::ALL
            .into_iter()
            .filter(keeps_what_nobody_reads)
            .collect();
        let feed = *random.pick(&feeds);
        let hold = load.hold(feed).await;
        eventually(PATIENCE, "everything is recorded", async || {
            recorded::everything(&self.primary, &self.cluster, feed).await
        })
        .await;
        self.standby_has_all().await;
        self.cluster.delete_stream(&feed.stream()).await;
        last(Duration::from_millis(random.below(1_000))).await;
        make_stream(&self.cluster, feed).await;
        drop(hold);
    }
}

/// Whether a server says that there is no such message.
fn is_gone(error: &impl std::fmt::Display) -> bool {
    let text = error.to_string();
    text.contains("no message found") || text.contains("deleted message")
}

/// Messages of a paused pipeline, by sequence and number.
struct Unread {
    stream: Stream,
    created: i64,
    messages: Vec<(u64, u64)>,
}

impl Unread {
    fn removed(&self, sequence: u64) -> Removed {
        Removed {
            created: self.created,
            sequence,
        }
    }
}
