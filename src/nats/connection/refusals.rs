//! Permissions that the server has refused. It only tells the connection, with the subject: the
//! request itself gets no answer.

use tokio::time::Instant;

/// Most refusals that are remembered of one connection.
const MAX_REFUSALS: usize = 64;
/// How a server begins to tell a refusal; `Publish to "SUBJECT"` or the like follows.
const BEGINNING: &str = "Permissions Violation for ";
/// Prefix of the subjects that take acknowledgements.
const ACK: &str = "$JS.ACK.";

/// A permission that the server has refused.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Refusal {
    /// The server's words. For acknowledgements and inboxes, the subject is the wildcard that a
    /// permission would name, because each message has a subject of its own.
    pub message: String,
    /// What an operator can do about it.
    pub hint: String,
    subject: String,
    at: Instant,
    /// Whether [`Refusals::take_new`] has returned it.
    taken: bool,
}

impl Refusal {
    /// Recognises a refusal in what a server said.
    fn of(said: &str, inbox_prefix: &str) -> Option<Self> {
        let begin = said.find(BEGINNING)?;
        let mut parts = said.get(begin + BEGINNING.len()..)?.split('"');
        let (operation, subject) = (parts.next()?.trim(), parts.next()?);
        let subject = wildcard(subject, inbox_prefix).unwrap_or_else(|| subject.to_owned());
        let verb = match operation.starts_with("Publish") {
            true => "publish",
            false => "subscribe",
        };
        Some(Self {
            message: format!("{BEGINNING}{operation} \"{subject}\""),
            hint: format!(
                "Permit the NATS user to {verb} to \"{subject}\"; docs/nats.md lists all that it needs."
            ),
            subject,
            at: Instant::now(),
            taken: false,
        })
    }

    fn is_of_acks(&self, consumer: &str) -> bool {
        self.subject.starts_with(ACK) && self.subject.ends_with(&format!(".{consumer}.>"))
    }

    /// Returns whether it may concern the pipeline with this consumer.
    fn may_concern(&self, consumer: &str) -> bool {
        let names_consumer = |subject: &str| {
            let mut tokens = subject.split('.');
            tokens.any(|token| token == consumer)
        };
        let of_a_consumer = self.subject.contains(".CONSUMER.") || self.subject.starts_with(ACK);
        !of_a_consumer || names_consumer(&self.subject)
    }
}

/// Returns the wildcard that covers an acknowledgement's or an inbox's subject.
fn wildcard(subject: &str, inbox_prefix: &str) -> Option<String> {
    let in_inbox = subject.strip_prefix(inbox_prefix);
    if in_inbox.is_some_and(|rest| rest.starts_with('.')) {
        return Some(format!("{inbox_prefix}.>"));
    }
    let tokens: Vec<&str> = subject.split('.').collect();
    // $JS.ACK.STREAM.CONSUMER and five numbers, or the same with domain and account before STREAM.
    let kept = match (subject.starts_with(ACK), tokens.len()) {
        (true, 9) => 4,
        (true, 11..) => 6,
        _ => return None,
    };
    Some(format!("{}.>", tokens.get(..kept)?.join(".")))
}

/// The refusals of one connection.
#[derive(Debug, Default)]
pub(super) struct Refusals(Vec<Refusal>);

impl Refusals {
    /// Records what a server said, if it is a refusal, and returns that.
    pub(super) fn record(&mut self, said: &str, inbox_prefix: &str) -> Option<Refusal> {
        let mut refusal = Refusal::of(said, inbox_prefix)?;
        let same = |known: &Refusal| known.subject == refusal.subject;
        match self.0.iter().position(same) {
            Some(known) => refusal.taken = self.0.remove(known).taken,
            None if self.0.len() == MAX_REFUSALS => drop(self.0.remove(0)),
            None => {}
        }
        self.0.push(refusal.clone());
        Some(refusal)
    }

    /// Returns the last refusal since `start` that may concern the pipeline with this consumer.
    pub(super) fn since(&self, start: Instant, consumer: &str) -> Option<&Refusal> {
        let own = self.0.iter();
        let own = own.filter(|known| known.at >= start && known.may_concern(consumer));
        own.max_by_key(|known| known.at)
    }

    /// Returns those that it has not returned before.
    pub(super) fn take_new(&mut self) -> Vec<Refusal> {
        let new = self.0.iter_mut().filter(|known| !known.taken);
        new.map(|known| {
            known.taken = true;
            known.clone()
        })
        .collect()
    }

    /// Returns the refusal of acknowledgements of this consumer, in words.
    pub(super) fn of_acks(&self, consumer: &str) -> Option<String> {
        let mut known = self.0.iter();
        let refusal = known.find(|known| known.is_of_acks(consumer))?;
        Some(refusal.message.clone())
    }

    /// Forgets that acknowledgements of this consumer were refused.
    pub(super) fn forget_acks_of(&mut self, consumer: &str) {
        self.0.retain(|known| !known.is_of_acks(consumer));
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const INBOX: &str = "_INBOX.writer";

    fn message(said: &str) -> String {
        Refusal::of(said, INBOX).unwrap().message
    }

    #[test]
    fn a_refusal_names_the_subject_that_a_permission_would_name() {
        let api = "nats: Permissions Violation for Publish to \"$JS.API.STREAM.INFO.LOGS\"";
        assert_eq!(
            message(api),
            "Permissions Violation for Publish to \"$JS.API.STREAM.INFO.LOGS\""
        );
        let ack = "Permissions Violation for Publish to \"$JS.ACK.LOGS.db-writer-logs.1.42.1.0.0\"";
        assert!(message(ack).ends_with("\"$JS.ACK.LOGS.db-writer-logs.>\""));
        let ack = "Permissions Violation for Publish to \"$JS.ACK.hub.HASH.LOGS.c.1.42.1.0.0.x\"";
        assert!(message(ack).ends_with("\"$JS.ACK.hub.HASH.LOGS.c.>\""));
        let inbox = "Permissions Violation for Subscription to \"_INBOX.writer.abc.*\"";
        assert!(message(inbox).ends_with("Subscription to \"_INBOX.writer.>\""));
        assert_eq!(Refusal::of("User Authentication Expired", INBOX), None);
    }

    #[test]
    fn a_refusal_is_new_once_and_concerns_the_pipeline_that_it_names() {
        let start = Instant::now();
        let mut refusals = Refusals::default();
        for number in 0..3 {
            let said =
                format!("Permissions Violation for Publish to \"$JS.ACK.S.one.1.{number}.1.0.0\"");
            refusals.record(&said, INBOX);
        }
        assert_eq!(refusals.take_new().len(), 1);
        assert_eq!(refusals.take_new(), []);
        assert!(refusals.since(start, "one").is_some());
        assert!(refusals.since(start, "two").is_none());
        assert!(refusals.of_acks("one").is_some() && refusals.of_acks("two").is_none());
        refusals.forget_acks_of("one");
        assert_eq!(refusals.of_acks("one"), None);
        refusals.record(
            "Permissions Violation for Publish to \"$JS.API.STREAM.NAMES\"",
            INBOX,
        );
        assert!(refusals.since(start, "two").is_some());
    }

    #[test]
    fn refusals_are_bounded() {
        let mut refusals = Refusals::default();
        for number in 0..2 * MAX_REFUSALS {
            let said = format!("Permissions Violation for Publish to \"a.{number}\"");
            refusals.record(&said, INBOX);
        }
        assert_eq!(refusals.0.len(), MAX_REFUSALS);
    }
}
