//! The least permissions at NATS, as docs/nats.md lists them: with exactly these everything works,
//! and with each one missing the status names it.

mod missing;
mod sufficient;

use async_nats::jetstream::consumer::{AckPolicy, pull};
use pg_test::nats;
use pg_test::stack::{Builder, Stack};

use crate::fixtures::{TESTS_USER, tests_login};
use crate::nats_faults::{FEED, builder};

/// Prefix of the writer's inboxes; it may subscribe to no other.
const INBOX: &str = "_INBOX_writer";
/// Subject below which the writer publishes dead letters.
const DEAD_LETTERS: &str = "dead";

/// What the writer may publish to, as in docs/nats.md, for the stream and consumer of one pipeline.
const PUBLISH: [&str; 11] = [
    "$JS.API.STREAM.NAMES",
    "$JS.API.STREAM.INFO.NETFLOW",
    "$JS.API.STREAM.MSG.GET.NETFLOW",
    "$JS.API.CONSUMER.INFO.NETFLOW.db-writer-netflow",
    "$JS.API.CONSUMER.CREATE.NETFLOW.db-writer-netflow",
    "$JS.API.CONSUMER.CREATE.NETFLOW.db-writer-netflow.>",
    "$JS.API.CONSUMER.DELETE.NETFLOW.db-writer-netflow",
    "$JS.API.CONSUMER.RESET.NETFLOW.db-writer-netflow",
    "$JS.API.CONSUMER.MSG.NEXT.NETFLOW.db-writer-netflow",
    "$JS.ACK.NETFLOW.db-writer-netflow.>",
    "dead.netflow",
];

/// Returns the lines of nats.conf in which the writer, who comes without a name, may do what the
/// documentation lists, but not `missing`.
fn users(missing: &str) -> String {
    let publish: Vec<&str> = PUBLISH
        .into_iter()
        .filter(|subject| *subject != missing)
        .collect();
    let inbox = format!("{INBOX}.>");
    // An empty list would permit everything.
    let subscribe = match inbox == missing {
        true => "nothing",
        false => &inbox,
    };
    format!(
        "authorization {{ users: [
            {TESTS_USER}
            {{ user: writer, password: writer, permissions: {{
                publish: {{ allow: {publish:?} }}, subscribe: {{ allow: [{subscribe:?}] }}
            }} }}
        ] }}
        no_auth_user: writer"
    )
}

/// Returns the builder of a stack with such a writer.
fn with_users(missing: &str) -> Builder {
    let configuration = users(missing);
    let restrict = |options: &mut nats::Options| {
        options.configuration = configuration;
        options.connect = tests_login();
    };
    builder()
        .setting("sr_event_writer.nats_inbox_prefix", INBOX)
        .setting("sr_event_writer.dead_letter_subject", DEAD_LETTERS)
        .nats(restrict)
}

/// Creates the writer's consumer with acknowledgements: on a stream that keeps everything, the
/// writer deletes it and creates its own.
async fn create_consumer_of_another_kind(stack: &Stack) {
    let stream = stack.nats.jetstream().await.get_stream(FEED.stream()).await;
    let consumer = pull::Config {
        durable_name: Some(FEED.consumer()),
        ack_policy: AckPolicy::Explicit,
        ..pull::Config::default()
    };
    let created = stream.expect("the stream").create_consumer(consumer).await;
    created.expect("a consumer");
}

#[test]
fn the_documentation_lists_exactly_these_permissions() {
    let text = include_str!("../../../docs/nats.md");
    let table = text.split("| publish to | for |").nth(1).expect("a table");
    let rows = table
        .lines()
        .skip(2)
        .take_while(|line| line.starts_with('|'));
    let subjects = rows.filter_map(|row| row.split('|').nth(1));
    let subjects = subjects.flat_map(|subjects| subjects.split(", "));
    let documented: Vec<&str> = subjects
        .map(|subject| subject.trim().trim_matches('`'))
        .collect();
    let general = |subject: &str| match subject == "dead.netflow" {
        true => "SUBJECT.PIPELINE".to_owned(),
        false => subject
            .replace("NETFLOW", "S")
            .replace("db-writer-netflow", "C"),
    };
    assert_eq!(documented, PUBLISH.map(general));
}
