//! Payloads become typed rows, or a [`Reject`] that says what is wrong.
//!
//! A reader who wants to know what a payload turns into opens `formats/`: one small file per
//! format, each a table of columns, keys and conversions. `mapping/` carries such a table out,
//! `json/` finds the keys without building a tree.
//!
//! Decoding is pure: the same message gives the same rows, so no clock and no random number is
//! used here, and neither NATS nor PostgreSQL may be named. It must not panic, and must not
//! recurse as deep as a payload is nested, whatever the bytes are.

#![forbid(unsafe_code)]

mod formats;
mod ids;
mod json;
mod mapping;
mod message;
mod reject;
#[cfg(test)]
mod testing;

pub use formats::{format, formats};
pub use message::{Message, Window};
pub use reject::Reject;

use row::{RowSet, Table};
use std::panic::{AssertUnwindSafe, catch_unwind};

/// One payload format: which tables it fills, and how a message becomes rows of them.
pub trait Format: Sync {
    /// Name in settings and status, such as `OtelMetrics`.
    fn name(&self) -> &'static str;

    /// The tables that are filled, in the order of the row sets given to [`Format::decode`].
    fn tables(&self) -> &'static [&'static Table];

    /// Appends the rows of one message to `out`, which was made for [`Format::tables`].
    ///
    /// # Errors
    ///
    /// When the payload does not fit the format. Rows of the message that were appended before
    /// stay in `out`: call [`decode_message`] unless they are cut off elsewhere.
    fn decode(&self, message: &Message<'_>, out: &mut RowSet) -> Result<(), Reject>;
}

/// Appends the rows of one message to `out`: all of them, or none.
///
/// A decoder that panics, against all intentions, costs only this message.
///
/// # Errors
///
/// When the payload does not fit the format; `out` is then as it was before.
pub fn decode_message(
    format: &dyn Format,
    message: &Message<'_>,
    out: &mut RowSet,
) -> Result<(), Reject> {
    out.mark();
    // What a panic may leave half done is cut off below.
    let decoded =
        catch_unwind(AssertUnwindSafe(|| format.decode(message, out))).unwrap_or_else(|_| {
            Err(Reject::payload(
                "the decoder failed; this is a defect of it",
            ))
        });
    if decoded.is_err() {
        out.go_back();
    }
    decoded
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::testing::message;

    #[test]
    fn a_message_is_all_or_nothing() {
        let telemetry = format("Telemetry").unwrap();
        let mut out = RowSet::new(telemetry.tables());
        decode_message(telemetry, &message(b"{\"value\":1}"), &mut out).unwrap();
        let partly = message(b"[{\"value\":2},{\"if_index\":\"x\"}]");
        assert!(decode_message(telemetry, &partly, &mut out).is_err());
        decode_message(telemetry, &message(b"{\"value\":3}"), &mut out).unwrap();
        assert_eq!(out.len(), 2);
    }

    struct Fragile(&'static dyn Format);

    impl Format for Fragile {
        fn name(&self) -> &'static str {
            "Fragile"
        }

        fn tables(&self) -> &'static [&'static Table] {
            self.0.tables()
        }

        fn decode(&self, message: &Message<'_>, out: &mut RowSet) -> Result<(), Reject> {
            self.0.decode(message, out)?;
            assert!(message.sequence != 2, "a defect");
            Ok(())
        }
    }

    #[test]
    fn a_decoder_that_panics_costs_only_that_message() {
        let fragile = Fragile(format("Telemetry").unwrap());
        let mut out = RowSet::new(fragile.tables());
        let decode = |sequence, out: &mut RowSet| {
            let mut message = message(b"{\"value\":1}");
            message.sequence = sequence;
            decode_message(&fragile, &message, out)
        };
        decode(1, &mut out).unwrap();
        let reject = decode(2, &mut out).unwrap_err();
        assert_eq!(
            reject.to_string(),
            "the decoder failed; this is a defect of it"
        );
        decode(3, &mut out).unwrap();
        assert_eq!(out.len(), 2);
    }

    #[test]
    fn a_payload_that_is_not_text_is_rejected() {
        for format in formats() {
            let mut out = RowSet::new(format.tables());
            let reject = decode_message(*format, &message(b"{\"a\":\"\xFF\"}"), &mut out);
            assert_eq!(
                reject.unwrap_err().to_string(),
                "not UTF-8: invalid utf-8 sequence of 1 bytes from index 6"
            );
        }
    }
}
