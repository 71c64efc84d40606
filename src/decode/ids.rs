//! Ids for rows whose payload has none. They are derived from the message's place in its stream and
//! never random, because a redelivered message must give the same row.

use sha2::{Digest, Sha256};

use crate::Message;

/// Returns an id in the form of a UUID of version 8 (RFC 9562), for object number `index` of a
/// message.
pub(crate) fn uuid(message: &Message<'_>, index: usize) -> String {
    const VERSION: u64 = 0x8000;
    const VARIANT: u64 = 0x8000_0000_0000_0000;
    let [high, low, ..] = digest(message, index);
    let high = (high & !0xF000) | VERSION;
    let low = (low & (VARIANT / 2 - 1)) | VARIANT;
    format!(
        "{:08x}-{:04x}-{:04x}-{:04x}-{:012x}",
        high >> 32,
        (high >> 16) & 0xFFFF,
        high & 0xFFFF,
        low >> 48,
        low & 0xFFFF_FFFF_FFFF
    )
}

/// Returns a trace id of 16 hexadecimal digits, for object number `index` of a message.
pub(crate) fn trace(message: &Message<'_>, index: usize) -> String {
    let [first, ..] = digest(message, index);
    format!("{first:016x}")
}

/// Returns a span id of 16 hexadecimal digits, for object number `index` of a message.
pub(crate) fn span(message: &Message<'_>, index: usize) -> String {
    let [_, second, ..] = digest(message, index);
    format!("{second:016x}")
}

/// Returns the SHA-256 hash of the stream's name, the message's sequence and the object's index.
fn digest(message: &Message<'_>, index: usize) -> [u64; 4] {
    // The numbers have a fixed width, so different places never give the same input.
    let mut hash = Sha256::new();
    hash.update(message.sequence.to_be_bytes());
    hash.update((index as u64).to_be_bytes());
    hash.update(message.stream);
    let bytes = hash.finalize();
    let mut words = [0; 4];
    for (word, bytes) in words.iter_mut().zip(bytes.chunks_exact(8)) {
        *word = bytes
            .iter()
            .fold(0, |word, byte| word << 8 | u64::from(*byte));
    }
    words
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::testing::message;

    #[test]
    fn an_id_depends_on_the_place_and_on_nothing_else() {
        let first = message(b"{}");
        let again = Message {
            payload: b"[]",
            subject: "other",
            ..first
        };
        assert_eq!(uuid(&first, 0), uuid(&again, 0));
        let others = [
            uuid(&first, 1),
            uuid(
                &Message {
                    sequence: first.sequence + 1,
                    ..first
                },
                0,
            ),
            uuid(
                &Message {
                    stream: "OTHER",
                    ..first
                },
                0,
            ),
        ];
        assert!(others.iter().all(|other| *other != uuid(&first, 0)));
        assert_ne!(trace(&first, 0), span(&first, 0));
    }

    /// A redelivery gives the same row even after an upgrade, so these values must never change.
    #[test]
    fn ids_are_those_of_every_version() {
        let message = message(b"{}");
        assert_eq!((message.stream, message.sequence), ("STREAM", 7));
        assert_eq!(uuid(&message, 3), "400ddb4c-c6fa-8538-bcad-731a6c32617a");
        assert_eq!(trace(&message, 3), "400ddb4cc6fa5538");
        assert_eq!(span(&message, 3), "7cad731a6c32617a");
    }

    #[test]
    fn ids_have_the_forms_that_readers_expect() {
        for index in 0..100 {
            let id = uuid(&message(b""), index);
            let shape: Vec<usize> = id.split('-').map(str::len).collect();
            assert_eq!(shape, [8, 4, 4, 4, 12], "{id}");
            assert_eq!(id.as_bytes()[14], b'8', "version of {id}");
            assert!(b"89ab".contains(&id.as_bytes()[19]), "variant of {id}");
            assert_eq!(trace(&message(b""), index).len(), 16);
        }
    }
}
