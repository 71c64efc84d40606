//! Checks the order of deliveries: which sequences each of them accounts for, and whether a
//! delivery is missing.

use crate::error::SessionError;
use row::Timestamp;

/// The numbers that the server gives with a delivery.
pub(crate) struct Delivery {
    /// Sequence of the message in the stream.
    pub(crate) sequence: u64,
    /// Number of the delivery among all deliveries of the consumer.
    pub(crate) delivery_number: u64,
    /// Number of times that the message has been delivered, including this one.
    pub(crate) delivery_count: i64,
    /// Messages that the consumer has still to deliver.
    pub(crate) pending: u64,
    /// When the server received the message from its publisher.
    pub(crate) published: Timestamp,
}

impl Delivery {
    /// Parses the reply subject of a delivery (ADR-15 of NATS). These numbers follow the names of
    /// domain, account, stream and consumer, or of stream and consumer alone from old servers.
    /// Returns `None` if it is not a delivery of a consumer, or has an impossible time.
    pub(crate) fn of(reply: &str) -> Option<Self> {
        let metadata = reply.strip_prefix("$JS.ACK.")?;
        let tokens = 1 + metadata.bytes().filter(|byte| *byte == b'.').count();
        let names = match tokens {
            7 => 2,
            9.. => 4,
            _ => return None,
        };
        let mut numbers = metadata.split('.').skip(names);
        Some(Self {
            delivery_count: numbers.next()?.parse().ok()?,
            sequence: numbers.next()?.parse().ok()?,
            delivery_number: numbers.next()?.parse().ok()?,
            published: Timestamp::from_unix_nanos(numbers.next()?.parse::<i64>().ok()?.into())?,
            pending: numbers.next()?.parse().ok()?,
        })
    }
}

/// Checks that deliveries come in the consumer's order and none is missing. Only then is it certain
/// that no message of the pipeline lies between two of them.
pub(crate) struct SequenceTracker {
    /// Delivery number that the next delivery must have.
    next: u64,
    /// Highest stream sequence delivered so far.
    last_new: u64,
    /// Sequences that the first delivery skipped, until the stream has been asked whether they hold
    /// a message of the pipeline.
    unverified: Option<(u64, u64)>,
}

impl SequenceTracker {
    /// Starts before the first delivery of a consumer that was just set behind `position`. Its
    /// delivery numbers then begin with 1. Deliveries that the server already counts at that time
    /// went to another client.
    pub(crate) fn after(position: u64) -> Self {
        Self {
            next: 1,
            last_new: position,
            unverified: None,
        }
    }

    /// Returns how many of the deliveries up to number `last` have not arrived.
    pub(crate) fn outstanding(&self, last: u64) -> u64 {
        (last + 1).saturating_sub(self.next)
    }

    /// Returns the first sequence up to `last` that no delivery accounts for; `None` if there is
    /// none.
    pub(crate) fn first_unaccounted(&self, last: u64) -> Option<u64> {
        (self.last_new < last).then_some(self.last_new + 1)
    }

    /// Marks everything up to `last` as accounted for, because the consumer has no more to deliver
    /// there.
    pub(crate) fn account_up_to(&mut self, last: u64) {
        self.last_new = self.last_new.max(last);
    }

    /// Returns the range that the first delivery skipped, and forgets it. For later deliveries the
    /// delivery numbers show that none is missing in between. For the first they do not show that
    /// the consumer was still where the session had set it, so this range must be checked for
    /// messages of the pipeline.
    pub(crate) fn take_unverified(&mut self) -> Option<(u64, u64)> {
        self.unverified.take()
    }

    /// Returns the first sequence that this delivery accounts for: the one after the last new
    /// message.
    ///
    /// A delivery number that goes back comes from a new leader of the consumer, which repeats
    /// deliveries of the leader before it. If it comes with a new message, somebody has moved the
    /// consumer.
    pub(crate) fn next(&mut self, delivery: &Delivery) -> Result<u64, SessionError> {
        let (number, sequence) = (delivery.delivery_number, delivery.sequence);
        if number > self.next {
            return Err(SessionError::Lost(number - self.next));
        }
        let is_new = sequence > self.last_new;
        if number < self.next && is_new {
            return Err(SessionError::ConsumerMoved);
        }
        self.next = number + 1;
        if !is_new {
            return Ok(sequence);
        }
        let accounts_from = self.last_new + 1;
        if number == 1 && accounts_from < sequence {
            self.unverified = Some((accounts_from, sequence - 1));
        }
        self.last_new = sequence;
        Ok(accounts_from)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn delivery(delivery_number: u64, sequence: u64, delivery_count: i64) -> Delivery {
        Delivery {
            sequence,
            delivery_number,
            delivery_count,
            pending: 0,
            published: Timestamp::default(),
        }
    }

    fn order() -> SequenceTracker {
        SequenceTracker::after(10)
    }

    #[test]
    fn the_reply_subject_has_the_metadata() {
        let numbers = "2.11.5.1767026614123456789.42";
        for names in [
            "stream.consumer",
            "_.hash.stream.consumer",
            "hub.hash.s-1.c-1",
        ] {
            let delivery = Delivery::of(&format!("$JS.ACK.{names}.{numbers}")).unwrap();
            assert_eq!(
                (
                    delivery.delivery_count,
                    delivery.sequence,
                    delivery.delivery_number
                ),
                (2, 11, 5)
            );
            assert_eq!(delivery.published.unix_micros(), 1_767_026_614_123_456);
            assert_eq!(delivery.pending, 42);
        }
        let with_token = format!("$JS.ACK._.hash.stream.consumer.{numbers}.token");
        assert_eq!(Delivery::of(&with_token).unwrap().pending, 42);
        for unreadable in [
            "_INBOX.a.b",
            "$JS.ACK.stream.consumer.2.11.5.1767026614123456789",
            "$JS.ACK.a.hash.stream.consumer.2.11.5.x.42",
            "$JS.ACK.stream.consumer.2.-11.5.1767026614123456789.42",
        ] {
            assert!(Delivery::of(unreadable).is_none(), "{unreadable}");
        }
    }

    #[test]
    fn a_delivery_accounts_for_everything_since_the_one_before() {
        let mut order = order();
        assert_eq!(order.next(&delivery(1, 14, 1)).unwrap(), 11);
        assert_eq!(order.next(&delivery(2, 15, 1)).unwrap(), 15);
        assert_eq!(order.next(&delivery(3, 20, 1)).unwrap(), 16);
    }

    #[test]
    fn what_the_first_delivery_passes_over_has_to_be_verified_once() {
        let mut order = order();
        order.next(&delivery(1, 14, 1)).unwrap();
        order.next(&delivery(2, 16, 1)).unwrap();
        assert_eq!(order.take_unverified(), Some((11, 13)));
        assert_eq!(order.take_unverified(), None);
    }

    #[test]
    fn a_quiet_stream_is_recorded_to_its_end() {
        let mut order = order();
        order.next(&delivery(1, 14, 1)).unwrap();
        assert_eq!(order.first_unaccounted(14), None);
        assert_eq!(order.first_unaccounted(20), Some(15));
        order.account_up_to(20);
        order.account_up_to(18);
        assert_eq!(order.next(&delivery(2, 25, 1)).unwrap(), 21);
    }

    #[test]
    fn a_redelivery_accounts_only_for_itself() {
        let mut order = order();
        order.next(&delivery(1, 14, 1)).unwrap();
        assert_eq!(order.next(&delivery(2, 7, 2)).unwrap(), 7);
        assert_eq!(order.next(&delivery(3, 16, 1)).unwrap(), 15);
    }

    #[test]
    fn a_lost_delivery_ends_the_session() {
        let mut order = order();
        order.next(&delivery(1, 11, 1)).unwrap();
        let lost = order.next(&delivery(4, 14, 1));
        assert!(matches!(lost, Err(SessionError::Lost(2))));
        assert_eq!(order.outstanding(4), 3);
    }

    #[test]
    fn a_new_leader_of_the_consumer_may_repeat_what_has_come() {
        let mut order = order();
        for number in 1..=5 {
            order.next(&delivery(number, 10 + number, 1)).unwrap();
        }
        assert_eq!(order.next(&delivery(4, 14, 1)).unwrap(), 14);
        assert_eq!(order.next(&delivery(5, 15, 1)).unwrap(), 15);
        assert_eq!(order.next(&delivery(6, 18, 1)).unwrap(), 16);
    }

    #[test]
    fn a_new_message_under_an_old_number_ends_the_session() {
        let mut order = order();
        order.next(&delivery(1, 11, 1)).unwrap();
        let moved = order.next(&delivery(1, 21, 1));
        assert!(matches!(moved, Err(SessionError::ConsumerMoved)));
    }
}
