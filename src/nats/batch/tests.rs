use super::*;
use crate::budget::{Budget, PipelineBudget};
use crate::testing::{message, stream_id};
use decode::{Format, RowSink};
use row::Table;
use std::sync::LazyLock;

/// Budget of all reservations here, since reservations of one batch must come from one budget.
static BUDGET: LazyLock<PipelineBudget> =
    LazyLock::new(|| Budget::new(1_000, 1).of_next_pipeline());

/// A format with two tables.
struct TwoTables([Arc<Table>; 2]);

impl Format for TwoTables {
    fn name(&self) -> &'static str {
        "TwoTables"
    }

    fn tables(&self) -> &[Arc<Table>] {
        &self.0
    }

    fn decode(&self, _: &decode::Message<'_>, _: &mut RowSink<'_>) -> Result<(), Reject> {
        Ok(())
    }
}

fn empty(ack_mode: AckMode) -> Batch {
    let tables = ["Logs", "Telemetry"].map(|name| {
        let format = decode::format(name).unwrap();
        format.tables()[0].clone()
    });
    let format = FormatRef::new(TwoTables(tables));
    Batch::new(
        Arc::new(stream_id()),
        ack_mode,
        true,
        &format,
        Arc::default(),
    )
}

/// Creates a batch of messages with these sequences.
fn batch(ack_mode: AckMode, sequences: &[u64]) -> Batch {
    let mut batch = empty(ack_mode);
    sequences
        .iter()
        .for_each(|&sequence| push(&mut batch, sequence, [0, 0]));
    batch
}

/// Appends a message with this number of rows for each table.
fn push(batch: &mut Batch, sequence: u64, rows: [usize; 2]) {
    for (table, rows) in rows.into_iter().enumerate() {
        let table = batch.rows_mut().table_mut(table).unwrap();
        for _ in 0..rows {
            let columns = table.table().columns.len();
            (0..columns).for_each(|_| table.push(row::Cell::Null));
            table.end_row();
        }
    }
    batch.push(message(sequence), 2, BUDGET.try_reserve(1).unwrap());
}

/// Returns the reply subjects, and the number of reports to sessions.
fn replies(receipts: &[Receipt]) -> (Vec<&str>, usize) {
    let replies: Vec<&str> = receipts
        .iter()
        .filter_map(|receipt| match receipt {
            Receipt::Reply(reply) => Some(reply.as_str()),
            Receipt::Report(_) => None,
        })
        .collect();
    let reports = receipts.len() - replies.len();
    (replies, reports)
}

#[test]
fn every_message_is_acknowledged_where_the_consumer_wants_that_and_only_there() {
    let mut recorded = [
        batch(AckMode::Explicit, &[1, 2]),
        batch(AckMode::None, &[3]),
        batch(AckMode::Explicit, &[2, 4]),
    ];
    let receipts = receipts_for(&mut recorded);
    let expected = ["reply.1", "reply.2", "reply.2", "reply.4"];
    assert_eq!(replies(&receipts), (expected.to_vec(), 0));
}

#[test]
fn a_session_that_asks_for_it_is_told_once_after_the_messages() {
    for (ack_mode, expected) in [
        (AckMode::None, vec![]),
        (AckMode::Explicit, vec!["reply.1"]),
    ] {
        let (report, mut told) = oneshot::channel();
        let mut recorded = [batch(ack_mode, &[1])];
        recorded[0].report_to(report);
        let receipts = receipts_for(&mut recorded);
        assert_eq!(replies(&receipts), (expected, 1));
        assert!(matches!(receipts.last(), Some(Receipt::Report(_))));
        assert!(told.try_recv().is_err(), "not before it is durable");
        assert_eq!(replies(&receipts_for(&mut recorded)).1, 0);
    }
}

#[test]
fn a_batch_is_recorded_when_the_position_has_each_of_its_messages() {
    let batch = batch(AckMode::None, &[3, 5, 9]);
    let mut position = Sequences::up_to(3);
    assert!(!batch.is_recorded(&position));
    position.insert(9, 9);
    assert!(!batch.is_recorded(&position), "5 is missing");
    position.insert(5, 5);
    assert!(batch.is_recorded(&position));
    assert!(empty(AckMode::None).is_recorded(&Sequences::default()));
}

#[test]
fn duplicates_are_the_messages_that_no_transaction_of_this_process_has_committed() {
    let mut batch = batch(AckMode::None, &[1, 2, 3, 4, 5]);
    assert_eq!(batch.duplicates(), 5);
    batch.add_committed(1);
    batch.add_committed(2);
    assert_eq!(batch.duplicates(), 2);
    assert_eq!(batch.successor().duplicates(), 0);
    batch.add_committed(2);
    assert_eq!(batch.duplicates(), 0);
}

#[test]
fn the_rows_of_messages_are_found_in_each_table() {
    let mut batch = empty(AckMode::None);
    for (sequence, rows) in (1..).zip([[2, 0], [0, 0], [1, 3], [0, 1]]) {
        push(&mut batch, sequence, rows);
    }
    for (messages, first, second) in [
        (0..1, 0..2, 0..0),
        (1..2, 2..2, 0..0),
        (2..3, 2..3, 0..3),
        (3..4, 3..3, 3..4),
        (1..4, 2..3, 0..4),
        (0..4, 0..3, 0..4),
        (2..2, 2..2, 0..0),
    ] {
        assert_eq!(batch.rows_of(&messages, 0), first, "{messages:?}");
        assert_eq!(batch.rows_of(&messages, 1), second, "{messages:?}");
    }
    assert_eq!((batch.len(), batch.weight()), (4, 7));
}

#[test]
fn a_batch_takes_the_bytes_of_its_messages_and_of_their_rows() {
    let mut batch = empty(AckMode::None);
    assert!(batch.is_empty());
    assert_eq!((batch.bytes(), batch.payload_bytes()), (0, 0));
    push(&mut batch, 1, [1, 0]);
    push(&mut batch, 2, [0, 2]);
    push(&mut batch, 3, [0, 0]);
    assert!(!batch.is_empty());
    assert_eq!(batch.payload_bytes(), 3 * message(1).payload.len());
    let rows = batch.rows().size();
    assert!(rows > 0);
    // `push` says that each message takes two.
    assert_eq!(batch.bytes(), 3 * 2 + rows);
}

#[test]
fn a_batch_knows_when_its_last_message_was_published() {
    let mut batch = empty(AckMode::None);
    assert_eq!(batch.last_published(), None);
    for seconds in [7, 5] {
        let published = Timestamp::from_unix_nanos(seconds * 1_000_000_000);
        let newest = FetchedMessage {
            published: published.unwrap(),
            ..message(1)
        };
        batch.push(newest, 2, BUDGET.try_reserve(1).unwrap());
        assert_eq!(batch.last_published(), published);
    }
}
