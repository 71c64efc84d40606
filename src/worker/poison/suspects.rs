//! The content of a [`super::journal`], and what it shows after the process that wrote it has
//! ended: which messages are suspected to have crashed it, and which one is poison. Pure: text in,
//! text out.

use nats::{FetchedMessage, Sequences, StreamId};

/// Last line of a journal; the rest of a longer, older text may follow it.
pub const END: &str = ".";
/// First line of a journal while its process lives, and after a kill.
pub const ALIVE: &str = "alive  ";
/// First line after a crash. It overwrites [`ALIVE`], so both have the same length.
pub const CRASHED: &str = "crashed";

/// Number of crashes, each while the message is written alone, after which it is poison.
const CRASHES_UNTIL_POISON: u32 = 1;
/// Number of kills, each while the message is written alone, after which it is poison. More than
/// one, because a process may be killed for lack of memory or by an operator for any reason.
const KILLS_UNTIL_POISON: u32 = 3;

/// Messages of one pipeline that were being written when the process crashed.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct SuspectRange {
    /// Name of the pipeline.
    pub pipeline: String,
    /// Creation time of their stream, in microseconds since 2000-01-01.
    created: i64,
    /// First sequence.
    pub first: u64,
    /// Last sequence.
    pub last: u64,
    /// The message that was written alone when the process crashed again: its sequence, and the
    /// number of those crashes.
    tried_alone: Option<(u64, u32)>,
    /// Number of such crashes that makes it poison.
    crashes_until_poison: u32,
}

impl SuspectRange {
    /// Returns whether a message is one of the suspects.
    pub fn contains(&self, stream_id: &StreamId, sequence: u64) -> bool {
        self.created == stream_id.created.postgres_micros()
            && (self.first..=self.last).contains(&sequence)
    }

    /// Returns whether a message is poison, so that it must not be tried again.
    pub fn is_poison(&self, stream_id: &StreamId, sequence: u64) -> bool {
        self.contains(stream_id, sequence)
            && self.tried_alone.is_some_and(|(tried, crashes)| {
                tried == sequence && crashes >= self.crashes_until_poison
            })
    }

    /// Returns how many of these messages may be written together: those before the first suspect,
    /// or the suspect alone if it comes first.
    pub fn max_messages<'a>(
        &self,
        stream_id: &StreamId,
        messages: impl Iterator<Item = &'a FetchedMessage>,
    ) -> usize {
        let mut messages = messages;
        let suspect = messages.position(|message| self.contains(stream_id, message.sequence));
        suspect.map_or(usize::MAX, |before| before.max(1))
    }

    /// Returns whether all of them are recorded, or their stream no longer exists, so that none is
    /// suspected any more.
    pub fn is_cleared_by(&self, stream_id: &StreamId, recorded: &Sequences) -> bool {
        self.created != stream_id.created.postgres_micros()
            || recorded.missing(self.first, self.last).is_empty()
    }

    /// Returns their line in the journal.
    pub fn line(&self) -> String {
        let (tried, crashes) = self.tried_alone.unwrap_or_default();
        let Self {
            pipeline,
            created,
            first,
            last,
            crashes_until_poison,
            ..
        } = self;
        format!(
            "suspects {pipeline} {created} {first} {last} {tried} {crashes} {crashes_until_poison}\n"
        )
    }
}

/// A transaction that is running, or was when the process ended.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Attempt {
    /// Name of the pipeline.
    pub pipeline: String,
    /// Creation time of the stream, in microseconds since 2000-01-01.
    pub created: i64,
    /// First sequence.
    pub first: u64,
    /// Last sequence.
    pub last: u64,
}

impl Attempt {
    /// Returns its line in the journal.
    pub fn line(&self) -> String {
        let Self {
            pipeline,
            created,
            first,
            last,
        } = self;
        format!("trying {pipeline} {created} {first} {last}\n")
    }

    /// Returns the suspects after the process has ended during this attempt. `known` are the
    /// pipeline's suspects before it.
    fn suspects(&self, known: Option<&SuspectRange>, crashes_until_poison: u32) -> SuspectRange {
        let known = known.filter(|known| known.created == self.created);
        let tried_alone = match known {
            Some(known) if self.first == self.last && known.first <= self.first => {
                let before = known.tried_alone.filter(|(tried, _)| *tried == self.first);
                Some((self.first, before.map_or(0, |(_, crashes)| crashes) + 1))
            }
            _ => None,
        };
        SuspectRange {
            pipeline: self.pipeline.clone(),
            created: self.created,
            first: known.map_or(self.first, |known| known.first.min(self.first)),
            last: known.map_or(self.last, |known| known.last.max(self.last)),
            tried_alone,
            crashes_until_poison,
        }
    }
}

/// Returns the suspects that the journal of the last process shows. Lines that cannot be parsed are
/// ignored.
pub fn read(text: &str) -> Vec<SuspectRange> {
    let crashes_until_poison = match text.starts_with(CRASHED) {
        true => CRASHES_UNTIL_POISON,
        false => KILLS_UNTIL_POISON,
    };
    let mut attempt = None;
    let mut suspects = Vec::new();
    for line in text.lines().take_while(|line| *line != END) {
        let words: Vec<&str> = line.split(' ').collect();
        match words.as_slice() {
            ["trying", pipeline, numbers @ ..] => attempt = read_attempt(pipeline, numbers),
            ["suspects", pipeline, numbers @ ..] => {
                suspects.extend(read_suspects(pipeline, numbers));
            }
            _ => {}
        }
    }
    if let Some(attempt) = attempt {
        let known = suspects.iter().find(|s| s.pipeline == attempt.pipeline);
        let new = attempt.suspects(known, crashes_until_poison);
        suspects.retain(|suspects| suspects.pipeline != attempt.pipeline);
        suspects.push(new);
    }
    suspects
}

fn read_attempt(pipeline: &str, numbers: &[&str]) -> Option<Attempt> {
    let [created, first, last] = numbers else {
        return None;
    };
    Some(Attempt {
        pipeline: pipeline.to_owned(),
        created: created.parse().ok()?,
        first: first.parse().ok()?,
        last: last.parse().ok()?,
    })
}

fn read_suspects(pipeline: &str, numbers: &[&str]) -> Option<SuspectRange> {
    let [created, first, last, tried, crashes, crashes_until_poison] = numbers else {
        return None;
    };
    let tried_alone = (tried.parse().ok()?, crashes.parse().ok()?);
    Some(SuspectRange {
        pipeline: pipeline.to_owned(),
        created: created.parse().ok()?,
        first: first.parse().ok()?,
        last: last.parse().ok()?,
        tried_alone: Some(tried_alone).filter(|(_, crashes)| *crashes > 0),
        crashes_until_poison: crashes_until_poison.parse().ok()?,
    })
}

#[cfg(test)]
mod tests {
    use super::*;
    use row::Timestamp;

    fn stream_id() -> StreamId {
        StreamId {
            name: "LOGS".to_owned(),
            created: Timestamp::from_postgres_micros(5).unwrap(),
        }
    }

    /// Returns the journal of a process with `end` as its first line.
    fn note(end: &str, lines: &[String]) -> String {
        format!(
            "{end}\n{}{END}\nrest of a longer text 1 2 3\n",
            lines.concat()
        )
    }

    /// Returns the suspects after a crash with these lines in the journal.
    fn after_crash(lines: &[String]) -> Vec<SuspectRange> {
        read(&note(CRASHED, lines))
    }

    fn trying(first: u64, last: u64) -> String {
        format!("trying logs 5 {first} {last}\n")
    }

    #[test]
    fn both_first_lines_are_of_one_length() {
        assert_eq!(ALIVE.len(), CRASHED.len());
    }

    #[test]
    fn an_orderly_end_leaves_no_suspects() {
        assert_eq!(read(""), []);
        assert_eq!(after_crash(&[]), []);
        assert_eq!(read("alive  \ntrying logs 5 x"), []);
    }

    #[test]
    fn a_crash_makes_suspects_of_a_batch_and_they_are_written_alone() {
        let suspects = &after_crash(&[trying(10, 19)])[0];
        assert!(suspects.contains(&stream_id(), 10) && suspects.contains(&stream_id(), 19));
        assert!(!suspects.contains(&stream_id(), 20));
        assert!(
            !suspects.is_poison(&stream_id(), 10),
            "one crash is not enough"
        );
        assert!(!suspects.is_cleared_by(&stream_id(), &Sequences::up_to(18)));
        assert!(suspects.is_cleared_by(&stream_id(), &Sequences::up_to(19)));
        let mut other = stream_id();
        other.created = Timestamp::from_postgres_micros(6).unwrap();
        assert!(
            !suspects.contains(&other, 10),
            "another stream of that name"
        );
        assert!(suspects.is_cleared_by(&other, &Sequences::default()));
    }

    #[test]
    fn a_message_that_stood_alone_is_poison_after_its_second_crash() {
        let first = &after_crash(&[trying(10, 19)])[0];
        let second = &after_crash(&[trying(13, 13), first.line()])[0];
        assert!(second.is_poison(&stream_id(), 13));
        assert!(!second.is_poison(&stream_id(), 14) && second.contains(&stream_id(), 14));
        // Suspects without a new attempt are written back unchanged.
        assert_eq!(&after_crash(&[second.line()])[0], second);
    }

    #[test]
    fn a_message_that_came_alone_is_poison_after_its_second_crash() {
        let first = &after_crash(&[trying(7, 7)])[0];
        assert!(!first.is_poison(&stream_id(), 7));
        let second = &after_crash(&[trying(7, 7), first.line()])[0];
        assert!(second.is_poison(&stream_id(), 7));
    }

    #[test]
    fn a_message_is_poison_after_many_kills_and_not_after_one() {
        let kill = |lines: &[String]| read(&note(ALIVE, lines)).remove(0);
        let mut suspects = kill(&[trying(10, 19)]);
        for _ in 1..KILLS_UNTIL_POISON {
            suspects = kill(&[trying(13, 13), suspects.line()]);
            assert!(!suspects.is_poison(&stream_id(), 13));
        }
        let other = kill(&[trying(14, 14), suspects.line()]);
        assert!(!other.is_poison(&stream_id(), 13) && !other.is_poison(&stream_id(), 14));
        suspects = kill(&[trying(13, 13), suspects.line()]);
        assert!(suspects.is_poison(&stream_id(), 13));
    }

    #[test]
    fn pipelines_are_suspected_apart() {
        let first = &after_crash(&[trying(10, 19)])[0];
        let events = "trying events 5 3 4\n".to_owned();
        let both = after_crash(&[events, first.line()]);
        assert_eq!(both.len(), 2);
        assert_eq!(&both[0], first);
        assert_eq!(both[1].pipeline, "events");
    }
}
