//! Actions of others on single messages.

use async_nats::jetstream::stream::Stream;

use super::super::account::Removed;
use super::super::databases::RECOVERY_TIMEOUT;
use super::super::load::Load;
use super::super::servers::Servers;
use super::Outcome;
use crate::feed::Feed;
use crate::recorded;
use crate::wait::eventually;

/// Most unread messages that are removed.
const REMOVED: u64 = 40;

impl Servers {
    /// Deletes single messages that are not read yet.
    pub(super) async fn delete_messages(&self, load: &Load, feed: Feed) -> Outcome {
        let unread = self.collect_unread(load, feed).await;
        for (sequence, number) in unread.messages.iter().step_by(3) {
            let deleted = eventually(RECOVERY_TIMEOUT, "a message is deleted", async || {
                match unread.stream.delete_message(*sequence).await {
                    // The answer to an earlier attempt may have been lost.
                    Err(error) if is_gone(&error) => Ok(()),
                    other => other.map(drop).map_err(|error| error.to_string()),
                }
            });
            deleted.await;
            load.was_removed(feed, *number, unread.removed(*sequence));
        }
        self.read_on(feed).await;
        unread.outcome()
    }

    /// Purges the oldest messages that are not read yet.
    pub(super) async fn purge_messages(&self, load: &Load, feed: Feed) -> Outcome {
        let unread = self.collect_unread(load, feed).await;
        let half = unread.messages.len() / 2;
        if let Some((until, _)) = unread.messages.get(half) {
            let purged = eventually(RECOVERY_TIMEOUT, "messages are purged", async || {
                let purge = unread.stream.purge().sequence(*until).await;
                purge.map_err(|error| error.to_string())
            });
            purged.await;
            for (sequence, number) in &unread.messages[..half] {
                load.was_removed(feed, *number, unread.removed(*sequence));
            }
        }
        self.read_on(feed).await;
        unread.outcome()
    }

    /// Pauses the pipeline until some messages are pending.
    async fn collect_unread(&self, load: &Load, feed: Feed) -> Unread {
        let name = feed.name();
        let pause = format!("SELECT sr_event_writer_pause('{name}')");
        let paused = format!(
            "SELECT state = 'paused' FROM sr_event_writer.stream_status WHERE name = '{name}'"
        );
        eventually(RECOVERY_TIMEOUT, "the pipeline is paused", async || {
            // Another fault may resume it.
            self.primary().try_execute(&pause).await?;
            self.primary().try_value::<bool>(&paused).await
        })
        .await;
        let before = load.next_number(feed);
        eventually(RECOVERY_TIMEOUT, "messages wait", async || {
            load.next_number(feed) >= before + REMOVED
        })
        .await;
        let _quiet = load.hold(feed).await;
        let stream = self.stream(feed).await;
        let created = recorded::created(stream.cached_info());
        let floor: i64 = self.value(&recorded::floor_of(feed, created)).await;
        // Messages that were read and are removed now cannot be read again, so the standby must
        // have their rows.
        self.databases.standby_has_all().await;
        let mut messages = load.behind(feed, floor.unsigned_abs());
        messages.truncate(REMOVED as usize);
        Unread {
            created,
            messages,
            stream,
        }
    }

    async fn read_on(&self, feed: Feed) {
        self.databases
            .lastingly(&format!("SELECT sr_event_writer_resume('{}')", feed.name()))
            .await;
    }
}

/// Returns whether the server reports that the message does not exist.
fn is_gone(error: &impl std::fmt::Display) -> bool {
    let text = error.to_string();
    text.contains("no message found") || text.contains("deleted message")
}

/// Unread messages of a paused pipeline, by sequence and number.
struct Unread {
    stream: Stream,
    created: i64,
    messages: Vec<(u64, u64)>,
}

impl Unread {
    fn outcome(&self) -> Outcome {
        match self.messages.len() {
            0 | 1 => Outcome::Missed("everything was read already"),
            _ => Outcome::Hit,
        }
    }

    fn removed(&self, sequence: u64) -> Removed {
        Removed {
            created: self.created,
            sequence,
        }
    }
}
