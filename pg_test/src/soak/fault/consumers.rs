//! Actions of others on consumers.

use std::time::Duration;

use async_nats::jetstream::consumer::{FromConsumer, pull};
use async_nats::jetstream::stream::RetentionPolicy;
use serde_json::{Value, json};

use super::super::databases::RECOVERY_TIMEOUT;
use super::super::servers::{Servers, retention};
use super::Outcome;
use super::streams::keeps_what_nobody_reads;
use crate::feed::Feed;
use crate::random::Random;
use crate::wait::eventually;

impl Servers {
    /// Deletes a consumer, except of an interest stream, which drops its messages with the
    /// consumer.
    pub(super) async fn delete_consumer(&self, random: &mut Random) -> Outcome {
        let feeds: Vec<_> = Feed::ALL
            .into_iter()
            .filter(keeps_what_nobody_reads)
            .collect();
        let feed = *random.pick(&feeds);
        let stream = self.stream(feed).await;
        // If it does not exist at the moment, there is nothing to delete.
        match stream.delete_consumer(&feed.consumer()).await {
            Ok(_) => Outcome::Hit,
            Err(_) => Outcome::Missed("there was no consumer to delete"),
        }
    }

    /// Sets a consumer to another message, as `nats consumer reset` does. It is set forward only on
    /// streams that do not remove the skipped messages.
    pub(super) async fn reset_consumer(&self, feed: Feed, random: &mut Random) -> Outcome {
        let end = self.stream(feed).await.cached_info().state.last_sequence;
        let sequence = match retention(feed) {
            RetentionPolicy::Limits => 1 + random.below(end + 1),
            _ => 1,
        };
        let subject = format!("CONSUMER.RESET.{}.{}", feed.stream(), feed.consumer());
        self.strikes("the consumer was not reset", async || {
            let Ok(client) = self.cluster.try_client().await else {
                return false;
            };
            let context = async_nats::jetstream::new(client);
            let request = json!({ "seq": sequence });
            let answer: Result<Value, _> = context.request(subject.clone(), &request).await;
            answer.is_ok_and(|answer| answer["error"] == Value::Null)
        })
        .await
    }

    pub(super) async fn edit_consumer(&self, feed: Feed, random: &mut Random) {
        let edits: [fn(&mut pull::Config); 3] = [
            |config| config.max_ack_pending = 1,
            |config| config.max_deliver = 1,
            |config| config.ack_wait = Duration::from_millis(1),
        ];
        let edit = *random.pick(&edits);
        let stream = self.stream(feed).await;
        eventually(RECOVERY_TIMEOUT, "the consumer is edited", async || {
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
}
