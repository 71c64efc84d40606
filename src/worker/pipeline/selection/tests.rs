use super::*;
use nats::{AckMode, PipelineState};
use proptest::prelude::*;
use row::Timestamp;
use std::collections::BTreeSet;

/// A test message: the first sequence that it accounts for, its own, and whether decoding failed.
type Given = (u64, u64, bool);

fn message((accounts_from, sequence, broken): Given) -> FetchedMessage {
    FetchedMessage {
        sequence,
        accounts_from,
        delivery_count: 1,
        published: Timestamp::default(),
        subject: "logs.app".into(),
        headers: None,
        payload: Default::default(),
        reply: "reply".into(),
        reject: broken.then(|| decode::Reject::message("broken")),
    }
}

fn batch(messages: &[Given]) -> Batch {
    let stream_id = StreamId {
        name: "LOGS".to_owned(),
        created: Timestamp::default(),
    };
    let format = decode::format("Logs").unwrap();
    let state = Arc::new(PipelineState::default());
    let mut batch = Batch::new(Arc::new(stream_id), AckMode::None, true, format, state);
    batch.messages = messages.iter().copied().map(message).collect();
    batch
}

fn whole(batches: &[Batch]) -> Vec<MessageRange<'_>> {
    let range = |batch| MessageRange {
        batch,
        messages: 0..batch.messages.len(),
    };
    batches.iter().map(range).collect()
}

fn sequences(ranges: &[MessageRange<'_>]) -> Vec<u64> {
    ranges
        .iter()
        .flat_map(MessageRange::iter)
        .map(|m| m.sequence)
        .collect()
}

/// Returns the batch and the index of each message.
fn places(ranges: &[MessageRange<'_>]) -> Vec<(*const Batch, usize)> {
    let of_range = |range: &MessageRange<'_>| {
        let batch: *const Batch = range.batch;
        range.messages.clone().map(move |number| (batch, number))
    };
    ranges.iter().flat_map(of_range).collect()
}

#[test]
fn a_message_that_waits_twice_is_taken_once() {
    let batches = [
        batch(&[(1, 1, false), (2, 2, false), (3, 3, false)]),
        batch(&[(2, 2, false), (3, 3, false), (4, 4, false)]),
    ];
    let mut recorded = Sequences::up_to(1);
    let ranges = unrecorded(batches.iter(), &mut recorded);
    assert_eq!(sequences(&ranges), [2, 3, 4]);
    assert_eq!(recorded, Sequences::up_to(4));
}

#[test]
fn what_is_committed_of_a_batch_is_what_was_taken_of_it_and_is_recorded_now() {
    let batches = [
        batch(&[(1, 1, false), (2, 2, false), (3, 3, false)]),
        batch(&[(3, 3, false), (4, 4, false), (5, 5, false)]),
    ];
    let ranges = unrecorded(batches.iter(), &mut Sequences::up_to(1));
    for (floor, expected) in [(1, [0, 0]), (2, [1, 0]), (4, [2, 1]), (5, [2, 2])] {
        let recorded = Sequences::up_to(floor);
        let per_batch = batches
            .each_ref()
            .map(|batch| committed(&ranges, batch, &recorded));
        assert_eq!(per_batch, expected);
    }
}

#[test]
fn a_transaction_takes_whole_batches_of_one_stream_and_at_least_one() {
    let three = || batch(&[(1, 1, false), (2, 2, false), (3, 3, false)]);
    let mut batches = [three(), three(), three()];
    let stream_id = batches[0].stream_id.clone();
    for (max_messages, expected) in [(1, 1), (5, 1), (6, 2), (8, 2), (9, 3), (100, 3)] {
        let taken = batches_of(&stream_id, &batches, max_messages);
        assert_eq!(taken, expected, "{max_messages}");
    }
    let created_again = StreamId {
        name: "LOGS".to_owned(),
        created: Timestamp::from_postgres_micros(1).unwrap(),
    };
    batches[1].stream_id = Arc::new(created_again);
    assert_eq!(batches_of(&stream_id, &batches, 100), 1);
}

#[test]
fn what_was_skipped_before_a_recorded_message_is_what_the_record_lacks_there() {
    let batches = [
        batch(&[(1, 2, false), (3, 4, false)]),
        batch(&[(5, 9, false), (10, 12, false)]),
    ];
    let mut position = Sequences::up_to(4);
    position.insert(9, 9);
    position.insert(6, 6);
    let skipped = skipped_before_recorded(batches.iter(), &position);
    let expected = SkippedRange {
        first: 5,
        last: 8,
        whole_stream: true,
    };
    assert_eq!(skipped, [expected], "12 is not recorded, 1 and 3 are");
    position.insert(5, 8);
    assert!(skipped_before_recorded(batches.iter(), &position).is_empty());
}

#[test]
fn only_what_a_pipeline_of_the_whole_stream_lacks_is_a_gap() {
    let passed = |first, last, whole_stream| SkippedRange {
        first,
        last,
        whole_stream,
    };
    let mut recorded = Sequences::up_to(10);
    recorded.insert(15, 16);
    let all = [
        passed(9, 17, true),
        passed(20, 29, false),
        passed(31, 30, true),
    ];
    assert_eq!(
        missing_ranges(all.into_iter(), &recorded),
        [(11, 14), (17, 17)]
    );
}

#[test]
fn what_lies_before_a_message_ends_where_it_begins() {
    let batch = batch(&[(5, 8, false), (9, 9, false)]);
    let before = |number: usize| SkippedRange::before(&batch.messages[number], &batch);
    assert_eq!((before(0).first, before(0).last), (5, 7));
    assert_eq!((before(1).first, before(1).last), (9, 8), "nothing");
}

#[test]
fn each_sample_is_another_one() {
    let messages: Vec<Given> = (1..=100).map(|n| (n, n, n % 2 == 0)).collect();
    let batches = [batch(&messages)];
    let ranges = whole(&batches);
    let taken = sequences(&sample(&ranges, 5, 0));
    assert_eq!(taken, [1, 21, 41, 61, 81], "evenly, and none without rows");
    assert_eq!(sequences(&sample(&ranges, 5, 1)), [3, 23, 43, 63, 83]);
    assert_eq!(sample(&ranges, 99, 0).len(), 50);
}

fn given() -> impl Strategy<Value = Vec<Vec<Given>>> {
    let message = (1u64..40, 0u64..4, any::<bool>());
    let message =
        message.prop_map(|(n, before, broken)| (n.saturating_sub(before).max(1), n, broken));
    prop::collection::vec(prop::collection::vec(message, 0..12), 0..6)
}

proptest! {
    #[test]
    fn what_is_taken_is_what_is_not_recorded_each_once(given in given(), floor in 0u64..20) {
        let batches: Vec<Batch> = given.iter().map(|given| batch(given)).collect();
        let mut known: BTreeSet<u64> = (1..=floor).collect();
        let mut expected = Vec::new();
        for (accounts_from, sequence, _) in given.iter().flatten() {
            if !known.contains(sequence) {
                expected.push(*sequence);
                known.extend(*accounts_from..=*sequence);
            }
        }
        let before = Sequences::up_to(floor);
        let mut recorded = before.clone();
        let ranges = unrecorded(batches.iter(), &mut recorded);
        prop_assert!(ranges.iter().all(|range| !range.messages.is_empty()));
        let each: BTreeSet<u64> = expected.iter().copied().collect();
        prop_assert_eq!(each.len(), expected.len());
        prop_assert_eq!(sequences(&ranges), expected);
        for n in 1..45 {
            prop_assert_eq!(recorded.contains(n), known.contains(&n), "sequence {}", n);
        }
        let committed_with = |position| {
            let per_batch = batches.iter().map(|batch| committed(&ranges, batch, position));
            per_batch.sum::<usize>()
        };
        prop_assert_eq!(committed_with(&before), 0);
        prop_assert_eq!(committed_with(&recorded), count(&ranges));
        prop_assert_eq!(sequences(&still_unrecorded(&ranges, &before)), sequences(&ranges));
        prop_assert!(still_unrecorded(&ranges, &recorded).is_empty());
    }

    #[test]
    fn halves_and_beginnings_are_in_order_and_lose_nothing(given in given(), limit in 0usize..80) {
        let batches: Vec<Batch> = given.iter().map(|given| batch(given)).collect();
        let ranges = whole(&batches);
        let all = places(&ranges);
        let (one, two) = split_half(&ranges);
        prop_assert_eq!(count(&one), all.len() / 2);
        prop_assert!(one.iter().chain(&two).all(|range| !range.messages.is_empty()));
        let both: Vec<_> = places(&one).into_iter().chain(places(&two)).collect();
        prop_assert_eq!(&both, &all);
        // Splits until each message stands alone.
        let mut todo = vec![ranges.clone()];
        let mut alone = Vec::new();
        while let Some(ranges) = todo.pop() {
            match count(&ranges) {
                0 => {}
                1 => alone.extend(places(&ranges)),
                _ => {
                    let (one, two) = split_half(&ranges);
                    todo.extend([two, one]);
                }
            }
        }
        prop_assert_eq!(&alone, &all);
        let beginning = take(ranges.clone(), limit);
        prop_assert!(beginning.iter().all(|range| !range.messages.is_empty()));
        prop_assert_eq!(places(&beginning), &all[..limit.min(all.len())]);
        let numbers = sequences(&ranges);
        let expected = numbers.iter().min().copied().zip(numbers.iter().max().copied());
        prop_assert_eq!(sequence_bounds(&ranges), expected);
    }

    #[test]
    fn a_sample_is_of_different_messages_that_have_rows(
        given in given(), size in 0usize..20, offset in 0usize..50,
    ) {
        let batches: Vec<Batch> = given.iter().map(|given| batch(given)).collect();
        let ranges = whole(&batches);
        let with_rows = given.iter().flatten().filter(|(.., broken)| !broken).count();
        let taken = sample(&ranges, size, offset);
        prop_assert_eq!(taken.len(), size.min(with_rows));
        prop_assert!(taken.iter().all(|range| range.messages.len() == 1));
        prop_assert!(taken.iter().flat_map(MessageRange::iter).all(|m| m.reject.is_none()));
        let places: BTreeSet<_> = places(&taken).into_iter().collect();
        prop_assert_eq!(places.len(), taken.len());
    }
}
