//! The order of deliveries: what each of them settles, and whether one is missing.

use crate::consumer::Positioned;
use crate::error::SessionError;
use row::Timestamp;

/// What the server says about one delivery.
pub(crate) struct Delivery {
    pub(crate) sequence: u64,
    pub(crate) consumer_sequence: u64,
    pub(crate) delivered: i64,
    pub(crate) pending: u64,
    pub(crate) published: Timestamp,
}

impl Delivery {
    /// Reads the subject that takes the acknowledgement (ADR-15 of NATS): behind the names of domain,
    /// account, stream and consumer, or in old servers the latter two, it has these numbers. `None` for
    /// what is not a delivery of a consumer, or has an impossible time.
    pub(crate) fn of(reply: &str) -> Option<Self> {
        let particulars = reply.strip_prefix("$JS.ACK.")?;
        let tokens = 1 + particulars.bytes().filter(|byte| *byte == b'.').count();
        let names = match tokens {
            7 => 2,
            9.. => 4,
            _ => return None,
        };
        let mut numbers = particulars.split('.').skip(names);
        Some(Self {
            delivered: numbers.next()?.parse().ok()?,
            sequence: numbers.next()?.parse().ok()?,
            consumer_sequence: numbers.next()?.parse().ok()?,
            published: Timestamp::from_unix_nanos(numbers.next()?.parse::<i64>().ok()?.into())?,
            pending: numbers.next()?.parse().ok()?,
        })
    }
}

/// Watches that deliveries come in the consumer's order without a gap, since only then it is known
/// that nothing lies between two of them.
pub(crate) struct Order {
    /// Consumer sequence of the next delivery.
    next: u64,
    /// Highest stream sequence delivered so far; `None` when something was lost after it.
    last_new: Option<u64>,
    resettable: bool,
}

impl Order {
    /// Before the first delivery of a consumer that was just put in place.
    pub(crate) fn after(positioned: &Positioned) -> Self {
        let delivered = positioned.consumer.cached_info().delivered;
        Self {
            next: delivered.consumer_sequence + 1,
            last_new: Some(positioned.delivered),
            resettable: positioned.resettable,
        }
    }

    /// Deliveries that the server counts and that have not come, up to number `last`.
    pub(crate) fn outstanding(&self, last: u64) -> u64 {
        (last + 1).saturating_sub(self.next)
    }

    /// The first sequence up to `last` that no delivery has settled. `None` when there is none, or
    /// when something was lost.
    pub(crate) fn unsettled(&self, last: u64) -> Option<u64> {
        let before = self.last_new.filter(|&before| before < last)?;
        Some(before + 1)
    }

    /// Settles everything up to `last`, when the consumer has nothing more to deliver up to there.
    pub(crate) fn settle(&mut self, last: u64) {
        if self.unsettled(last).is_some() {
            self.last_new = Some(last);
        }
    }

    /// The first sequence that this delivery settles, the one after the delivery before it.
    pub(crate) fn next(&mut self, delivery: &Delivery) -> Result<u64, SessionError> {
        let lost = delivery.consumer_sequence.saturating_sub(self.next);
        self.next = delivery.consumer_sequence + 1;
        if lost > 0 {
            if self.resettable {
                return Err(SessionError::Lost(lost));
            }
            self.last_new = None;
        }
        let sequence = delivery.sequence;
        match self.last_new {
            Some(last) if sequence > last => {
                self.last_new = Some(sequence);
                Ok(last + 1)
            }
            None if delivery.delivered == 1 => {
                self.last_new = Some(sequence);
                Ok(sequence)
            }
            _ => Ok(sequence),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn delivery(consumer_sequence: u64, sequence: u64, delivered: i64) -> Delivery {
        Delivery {
            sequence,
            consumer_sequence,
            delivered,
            pending: 0,
            published: Timestamp::default(),
        }
    }

    fn order(resettable: bool) -> Order {
        Order {
            next: 1,
            last_new: Some(10),
            resettable,
        }
    }

    #[test]
    fn the_reply_subject_has_the_particulars() {
        let numbers = "2.11.5.1767026614123456789.42";
        for names in [
            "stream.consumer",
            "_.hash.stream.consumer",
            "hub.hash.s-1.c-1",
        ] {
            let delivery = Delivery::of(&format!("$JS.ACK.{names}.{numbers}")).unwrap();
            assert_eq!(
                (
                    delivery.delivered,
                    delivery.sequence,
                    delivery.consumer_sequence
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
    fn a_delivery_settles_everything_since_the_one_before() {
        let mut order = order(true);
        assert_eq!(order.next(&delivery(1, 14, 1)).unwrap(), 11);
        assert_eq!(order.next(&delivery(2, 20, 1)).unwrap(), 15);
    }

    #[test]
    fn a_quiet_stream_is_settled_to_its_end() {
        let mut order = order(true);
        order.next(&delivery(1, 14, 1)).unwrap();
        assert_eq!(order.unsettled(14), None);
        assert_eq!(order.unsettled(20), Some(15));
        order.settle(20);
        assert_eq!(order.next(&delivery(2, 25, 1)).unwrap(), 21);
        order.last_new = None;
        assert_eq!(order.unsettled(30), None);
    }

    #[test]
    fn a_redelivery_settles_only_itself() {
        let mut order = order(true);
        order.next(&delivery(1, 14, 1)).unwrap();
        assert_eq!(order.next(&delivery(2, 7, 2)).unwrap(), 7);
        assert_eq!(order.next(&delivery(3, 16, 1)).unwrap(), 15);
    }

    #[test]
    fn a_lost_delivery_ends_the_session_where_the_server_can_send_it_again() {
        let mut order = order(true);
        order.next(&delivery(1, 11, 1)).unwrap();
        assert!(matches!(
            order.next(&delivery(4, 14, 1)),
            Err(SessionError::Lost(2))
        ));
    }

    #[test]
    fn after_a_lost_delivery_nothing_before_the_next_new_one_is_settled() {
        let mut order = order(false);
        order.next(&delivery(1, 11, 1)).unwrap();
        assert_eq!(order.next(&delivery(3, 15, 1)).unwrap(), 15);
        assert_eq!(order.next(&delivery(4, 13, 2)).unwrap(), 13);
        assert_eq!(order.next(&delivery(5, 17, 1)).unwrap(), 16);
    }
}
