//! What a note of [`super::attempts`] says once the process that wrote it is gone: which messages are
//! suspected to have crashed it, and which one is condemned. Pure: text in, text out.

use stream::{Message, Source};

/// Ends what is valid; behind it may stand the rest of a longer text.
pub const END: &str = ".";

/// Messages of one pipeline that were being written when the process crashed.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Suspects {
    /// Name of the pipeline.
    pub pipeline: String,
    /// Creation time of their stream.
    created: i64,
    /// First sequence.
    pub first: u64,
    /// Last sequence.
    pub last: u64,
    /// The one that was written alone when the process crashed again, and how often.
    alone: Option<(u64, u32)>,
    /// How often that is enough.
    enough: u32,
}

impl Suspects {
    /// Whether a message is among them.
    fn contain(&self, source: &Source, sequence: u64) -> bool {
        self.created == source.created.postgres_micros()
            && (self.first..=self.last).contains(&sequence)
    }

    /// Whether a message is not to be tried again.
    pub fn condemn(&self, source: &Source, sequence: u64) -> bool {
        self.contain(source, sequence)
            && self
                .alone
                .is_some_and(|(alone, crashes)| alone == sequence && crashes >= self.enough)
    }

    /// How many of these messages may be written together: those before the first suspect, or that
    /// one alone.
    pub fn limit<'a>(&self, source: &Source, messages: impl Iterator<Item = &'a Message>) -> usize {
        let mut messages = messages;
        let suspect = messages.position(|message| self.contain(source, message.sequence));
        suspect.map_or(usize::MAX, |before| before.max(1))
    }

    /// All of them are behind a position that has no holes up to `floor`.
    pub fn are_behind(&self, source: &Source, floor: u64) -> bool {
        self.created != source.created.postgres_micros() || self.last <= floor
    }

    /// As it stands in a note.
    pub fn line(&self) -> String {
        let (alone, crashes) = self.alone.unwrap_or_default();
        let Self {
            pipeline,
            created,
            first,
            last,
            enough,
            ..
        } = self;
        format!("suspects {pipeline} {created} {first} {last} {alone} {crashes} {enough}\n")
    }
}

/// A transaction that is under way, or was when the process ended.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Attempt {
    /// Name of the pipeline.
    pub pipeline: String,
    /// Creation time of the stream.
    pub created: i64,
    /// First sequence.
    pub first: u64,
    /// Last sequence.
    pub last: u64,
    /// Start time of the server: tells one run of it from the next.
    pub postmaster: i64,
}

impl Attempt {
    /// As it stands in a note.
    pub fn line(&self) -> String {
        let Self {
            pipeline,
            created,
            first,
            last,
            postmaster,
        } = self;
        format!("trying {pipeline} {created} {first} {last} {postmaster}\n")
    }

    /// What a crash in the middle of this attempt says, when `known` was known before it.
    fn suspects(&self, known: Option<&Suspects>, postmaster: i64) -> Suspects {
        let known = known.filter(|known| known.created == self.created);
        let alone = match known {
            Some(known) if self.first == self.last && known.first <= self.first => {
                let before = known.alone.filter(|(alone, _)| *alone == self.first);
                Some((self.first, before.map_or(0, |(_, crashes)| crashes) + 1))
            }
            _ => None,
        };
        Suspects {
            pipeline: self.pipeline.clone(),
            created: self.created,
            first: known.map_or(self.first, |known| known.first.min(self.first)),
            last: known.map_or(self.last, |known| known.last.max(self.last)),
            alone,
            enough: match self.postmaster == postmaster {
                true => 1,
                false => 2,
            },
        }
    }
}

/// The suspects that a note of the last process leaves. What cannot be read says nothing.
pub fn read(text: &str, postmaster: i64) -> Vec<Suspects> {
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
        let new = attempt.suspects(known, postmaster);
        suspects.retain(|suspects| suspects.pipeline != attempt.pipeline);
        suspects.push(new);
    }
    suspects
}

fn read_attempt(pipeline: &str, numbers: &[&str]) -> Option<Attempt> {
    let [created, first, last, postmaster] = numbers else {
        return None;
    };
    Some(Attempt {
        pipeline: pipeline.to_owned(),
        created: created.parse().ok()?,
        first: first.parse().ok()?,
        last: last.parse().ok()?,
        postmaster: postmaster.parse().ok()?,
    })
}

fn read_suspects(pipeline: &str, numbers: &[&str]) -> Option<Suspects> {
    let [created, first, last, alone, crashes, enough] = numbers else {
        return None;
    };
    let alone = (alone.parse().ok()?, crashes.parse().ok()?);
    Some(Suspects {
        pipeline: pipeline.to_owned(),
        created: created.parse().ok()?,
        first: first.parse().ok()?,
        last: last.parse().ok()?,
        alone: Some(alone).filter(|(_, crashes)| *crashes > 0),
        enough: enough.parse().ok()?,
    })
}

#[cfg(test)]
mod tests {
    use super::*;
    use row::Timestamp;

    const SERVER: i64 = 700;

    fn source() -> Source {
        Source {
            stream: "LOGS".to_owned(),
            created: Timestamp::from_postgres_micros(5).unwrap(),
        }
    }

    /// What is known after a crash, in the same run of the server, that left this note.
    fn after(note: &str) -> Vec<Suspects> {
        read(note, SERVER)
    }

    fn note(lines: &[String]) -> String {
        lines.concat() + END + "\nrest of a longer text 1 2 3\n"
    }

    fn trying(first: u64, last: u64) -> String {
        format!("trying logs 5 {first} {last} {SERVER}\n")
    }

    #[test]
    fn an_orderly_end_leaves_no_suspects() {
        assert_eq!(after(""), []);
        assert_eq!(after(&note(&[])), []);
        assert_eq!(after("trying logs 5 x"), []);
    }

    #[test]
    fn a_crash_makes_suspects_of_a_batch_and_they_are_written_alone() {
        let suspects = &after(&note(&[trying(10, 19)]))[0];
        assert!(suspects.contain(&source(), 10) && suspects.contain(&source(), 19));
        assert!(!suspects.contain(&source(), 20));
        assert!(!suspects.condemn(&source(), 10), "one crash is not enough");
        assert!(!suspects.are_behind(&source(), 18) && suspects.are_behind(&source(), 19));
        let mut other = source();
        other.created = Timestamp::from_postgres_micros(6).unwrap();
        assert!(!suspects.contain(&other, 10), "another stream of that name");
        assert!(suspects.are_behind(&other, 0));
    }

    #[test]
    fn a_second_crash_condemns_the_message_that_stood_alone() {
        let first = &after(&note(&[trying(10, 19)]))[0];
        let second = &after(&note(&[trying(13, 13), first.line()]))[0];
        assert!(second.condemn(&source(), 13));
        assert!(!second.condemn(&source(), 14) && second.contain(&source(), 14));
        // What was read is written again as it was.
        assert_eq!(&after(&note(&[second.line()]))[0], second);
    }

    #[test]
    fn a_message_that_came_alone_is_condemned_by_its_second_crash() {
        let first = &after(&note(&[trying(7, 7)]))[0];
        assert!(!first.condemn(&source(), 7));
        let second = &after(&note(&[trying(7, 7), first.line()]))[0];
        assert!(second.condemn(&source(), 7));
    }

    #[test]
    fn when_the_whole_server_went_away_one_more_crash_is_asked_for() {
        let elsewhere = |note: &str, server| read(note, server).remove(0);
        let first = elsewhere(&note(&[trying(10, 19)]), SERVER + 1);
        let alone = format!("trying logs 5 13 13 {}\n", SERVER + 1);
        let second = elsewhere(&note(&[alone, first.line()]), SERVER + 2);
        assert!(!second.condemn(&source(), 13));
        let again = format!("trying logs 5 13 13 {}\n", SERVER + 2);
        let third = elsewhere(&note(&[again, second.line()]), SERVER + 3);
        assert!(third.condemn(&source(), 13));
    }

    #[test]
    fn pipelines_are_suspected_apart() {
        let first = &after(&note(&[trying(10, 19)]))[0];
        let events = format!("trying events 5 3 4 {SERVER}\n");
        let both = after(&note(&[events, first.line()]));
        assert_eq!(both.len(), 2);
        assert_eq!(&both[0], first);
        assert_eq!(both[1].pipeline, "events");
    }
}
