//! The interface of formats: what is common to all of them, whatever their payloads look like.

use std::fmt;
use std::ops::Deref;
use std::panic::{AssertUnwindSafe, catch_unwind};
use std::sync::Arc;

use row::{RowSet, Table};

use crate::{Message, Reject, RowSink};

/// A payload format: the tables that it fills, and the rules by which a message becomes rows of
/// them.
pub trait Format: Send + Sync {
    /// Returns the name in settings and status, such as `OtelMetrics`.
    fn name(&self) -> &str;

    /// Returns the tables that it fills, in the order of [`RowSink::table`].
    fn tables(&self) -> &[Arc<Table>];

    /// Appends the rows of one message to `out`. Call it through [`decode_message`] only, which
    /// removes the rows of a message that is rejected half-way.
    ///
    /// # Errors
    ///
    /// When the payload does not fit the format.
    fn decode(&self, message: &Message<'_>, out: &mut RowSink<'_>) -> Result<(), Reject>;
}

/// A shared format, as used in settings. Two are equal only if they share the same format, so
/// formats of the same name and content can differ.
#[derive(Clone)]
pub struct FormatRef(Arc<dyn Format>);

impl FormatRef {
    /// Creates a shared format.
    pub fn new(format: impl Format + 'static) -> Self {
        Self(Arc::new(format))
    }
}

impl Deref for FormatRef {
    type Target = dyn Format;

    fn deref(&self) -> &Self::Target {
        &*self.0
    }
}

impl PartialEq for FormatRef {
    fn eq(&self, other: &Self) -> bool {
        Arc::ptr_eq(&self.0, &other.0)
    }
}

impl fmt::Debug for FormatRef {
    fn fmt(&self, out: &mut fmt::Formatter<'_>) -> fmt::Result {
        out.write_str(self.name())
    }
}

/// Appends the rows of one message to `out`, which must have been created for [`Format::tables`]:
/// all of them, or none.
///
/// Decoders must not panic. If one does, only this message is rejected.
///
/// # Errors
///
/// When the payload does not fit the format; `out` is then unchanged.
pub fn decode_message(
    format: &dyn Format,
    message: &Message<'_>,
    out: &mut RowSet,
) -> Result<(), Reject> {
    out.mark();
    let mut sink = RowSink::new(out, message.window);
    // A panic may leave a row incomplete; it is removed below.
    let decoded = catch_unwind(AssertUnwindSafe(|| format.decode(message, &mut sink)))
        .unwrap_or_else(|_| {
            Err(Reject::payload(
                "the decoder failed; this is a defect of it",
            ))
        });
    if decoded.is_err() {
        out.roll_back();
    }
    decoded
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::format;
    use crate::testing::message;

    #[test]
    fn a_message_is_all_or_nothing() {
        let telemetry = &**format("Telemetry").unwrap();
        let mut out = RowSet::new(telemetry.tables());
        decode_message(telemetry, &message(b"{\"value\":1}"), &mut out).unwrap();
        let partly = message(b"[{\"value\":2},{\"if_index\":\"x\"}]");
        assert!(decode_message(telemetry, &partly, &mut out).is_err());
        decode_message(telemetry, &message(b"{\"value\":3}"), &mut out).unwrap();
        assert_eq!(out.len(), 2);
    }

    struct Fragile(FormatRef);

    impl Format for Fragile {
        fn name(&self) -> &str {
            "Fragile"
        }

        fn tables(&self) -> &[Arc<Table>] {
            self.0.tables()
        }

        fn decode(&self, message: &Message<'_>, out: &mut RowSink<'_>) -> Result<(), Reject> {
            self.0.decode(message, out)?;
            assert!(message.sequence != 2, "a defect");
            Ok(())
        }
    }

    #[test]
    fn a_decoder_that_panics_costs_only_that_message() {
        let fragile = Fragile(format("Telemetry").unwrap().clone());
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
    fn a_format_is_equal_to_itself_alone() {
        let logs = format("Logs").unwrap();
        assert_eq!(logs, &logs.clone());
        assert_ne!(logs, format("Events").unwrap());
        assert_eq!(format!("{logs:?}"), "Logs");
    }
}
