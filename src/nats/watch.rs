//! Watches consumer and stream while a session fetches: figures that no message carries, and
//! changes that somebody else makes.

use crate::connection::Connector;
use crate::consumer::spec::{self, ConsumerSpec};
use crate::context::Context;
use crate::error::SessionError;
use async_nats::jetstream::consumer::{Consumer, Info, pull};
use async_nats::jetstream::stream::Stream;
use std::sync::atomic::Ordering;
use std::time::Duration;

/// Interval at which the consumer and the stream are requested from the server.
const COUNTS_EVERY: Duration = Duration::from_secs(5);

/// The consumer of a session and its stream.
pub(crate) struct Watch<'a> {
    pub(crate) context: &'a Context,
    pub(crate) connector: &'a Connector,
    pub(crate) stream: Stream,
    pub(crate) consumer: Consumer<pull::Config>,
    /// The configuration that the consumer must keep.
    pub(crate) spec: ConsumerSpec,
}

impl Watch<'_> {
    /// Updates the figures. Returns when the consumer was changed, or when the stream would drop
    /// messages that it has sent.
    pub(crate) async fn run(&self) -> SessionError {
        loop {
            tokio::time::sleep(COUNTS_EVERY).await;
            // An unanswered request is sent again the next time; fetch itself notices real faults.
            let Ok(info) = self.consumer.get_info().await else {
                continue;
            };
            self.record_acks(&info);
            if let Err(changed) = self.spec.check_unchanged(&info) {
                return changed;
            }
            if let Ok(now) = self.stream.get_info().await
                && let Err(danger) = spec::refuse_message_loss(&now.config, &info)
            {
                return danger;
            }
        }
    }

    /// Records how acknowledgements fare.
    fn record_acks(&self, info: &Info) {
        let (state, connection) = (&self.context.state, self.connector.state());
        let pending = info.num_ack_pending as u64;
        state.ack_pending.store(pending, Ordering::Relaxed);
        let floor = info.ack_floor.stream_sequence;
        if state.ack_floor.swap(floor, Ordering::Relaxed) < floor || pending == 0 {
            connection.accepts_acks_of(&info.name);
        }
        state.set_ack_refusal(connection.refused_acks_of(&info.name));
    }
}
