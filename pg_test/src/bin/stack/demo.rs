//! A demonstration: temporary servers, realistic messages on all seven subjects, some of them
//! broken, and an account of the results.

use std::time::{Duration, Instant};

use pg_test::feed::Feed;
use pg_test::messages::{Defect, Generator, Message};
use pg_test::postgres::tail;
use pg_test::stack::Stack;
use pg_test::wait;

/// Good messages for each stream, roughly in the proportions of a ServiceRadar installation.
const PLAN: [(Feed, u64); 7] = [
    (Feed::Telemetry, 10_000),
    (Feed::Events, 1_500),
    (Feed::Sweep, 500),
    (Feed::Netflow, 8_000),
    (Feed::OtelMetrics, 2_000),
    (Feed::OtelTraces, 2_000),
    (Feed::Logs, 2_000),
];

const WITHIN: Duration = Duration::from_secs(120);

/// The results of the messages of one stream.
struct Account {
    feed: Feed,
    good: i64,
    broken: i64,
    rows: i64,
    dead_letters: i64,
}

impl Account {
    fn published(&self) -> i64 {
        self.good + self.broken
    }

    /// Returns the number of messages that became neither a row nor a dead letter. It is negative
    /// if there are too many rows.
    fn missing(&self) -> i64 {
        self.published() - self.rows - self.dead_letters
    }

    fn is_settled(&self) -> bool {
        self.rows == self.good && self.dead_letters == self.broken
    }
}

/// Runs the demonstration with additional settings of PostgreSQL, each `KEY=VALUE`. Fails unless
/// every message is accounted for.
pub async fn run(settings: &[&str]) -> Result<(), String> {
    let mut builder = Stack::builder();
    for setting in settings {
        let (key, value) = setting
            .split_once('=')
            .ok_or_else(|| format!("{setting} is not KEY=VALUE"))?;
        builder = builder.setting(key, value);
    }
    say("starting PostgreSQL with TimescaleDB, and NATS");
    let stack = builder.try_start().await?;
    say(&format!(
        "PostgreSQL {} on port {}, NATS on port {}, seven streams and seven hypertables",
        stack.pg.major(),
        stack.pg.port(),
        stack.nats.port()
    ));
    let began = Instant::now();
    let published = publish(&stack).await;
    let publishing = began.elapsed();
    say(&format!(
        "published {published} messages in {:.1} s",
        publishing.as_secs_f32()
    ));

    let settled = wait::try_eventually(WITHIN, "every message is accounted for", async || {
        let accounts = accounts(&stack).await?;
        match accounts.iter().map(Account::missing).sum::<i64>() {
            _ if accounts.iter().all(Account::is_settled) => Ok(accounts),
            missing => Err(format!(
                "{missing} of {published} messages are neither row nor dead letter"
            )),
        }
    })
    .await;
    let elapsed = began.elapsed();

    report(&stack).await?;
    if let Err(why) = settled {
        return Err(format!(
            "\n{why}\n\nend of the PostgreSQL log:\n{}\n\nend of the NATS log:\n{}",
            tail(&stack.pg.log(), 40),
            tail(&stack.nats.log(), 10)
        ));
    }
    let rate = published as f64 / elapsed.as_secs_f64();
    println!(
        "\nEvery one of {published} messages is a row or a dead letter: {:.1} s from the first \
         published to the last committed, {rate:.0} messages/s (publishing included).",
        elapsed.as_secs_f32()
    );
    Ok(())
}

/// Publishes the messages, and returns their number.
async fn publish(stack: &Stack) -> usize {
    let generator = Generator::new(1);
    let mut published = 0;
    for (feed, good) in PLAN {
        let messages = (0..good).flat_map(|number| messages(generator, feed, number, good));
        published += stack.nats.publish_messages(messages).await.len();
    }
    published
}

/// Returns a good message, and sometimes a broken one after it.
fn messages(
    generator: Generator,
    feed: Feed,
    number: u64,
    good: u64,
) -> impl Iterator<Item = Message> {
    let defects = Defect::ALL.len() as u64;
    let part = good / defects;
    let defect =
        (number % part == part / 2).then(|| Defect::ALL[(number / part % defects) as usize]);
    let broken = defect.map(|defect| generator.broken(feed, number, defect));
    std::iter::once(generator.good(feed, number)).chain(broken)
}

async fn accounts(stack: &Stack) -> Result<Vec<Account>, String> {
    let mut accounts = Vec::new();
    for (feed, good) in PLAN {
        accounts.push(Account {
            feed,
            good: good as i64,
            broken: Defect::ALL.len() as i64,
            rows: stack.rows(feed).await.map_err(|e| e.to_string())?,
            dead_letters: stack.dead_letters(feed).await.map_err(|e| e.to_string())?,
        });
    }
    Ok(accounts)
}

async fn report(stack: &Stack) -> Result<(), String> {
    let status = stack.status().await.map_err(|e| e.to_string())?;
    println!("\nSELECT sr_event_writer_status():\n{status:#}");

    let sql = "SELECT stream, sequence, stage, error FROM sr_event_writer.dead_letter ORDER BY id";
    let letters = stack
        .pg
        .try_query(sql, &[])
        .await
        .map_err(|e| e.to_string())?;
    println!(
        "\n{:<14}{:>10}  {:<8}dead letter",
        "stream", "sequence", "stage"
    );
    for letter in letters {
        let (stream, sequence): (String, i64) = (letter.get(0), letter.get(1));
        let (stage, error): (String, String) = (letter.get(2), letter.get(3));
        println!("{stream:<14}{sequence:>10}  {stage:<8}{error}");
    }

    let heads = ["published", "rows", "dead letters", "missing"];
    println!(
        "\n{:<14}{:>10}{:>10}{:>14}{:>9}",
        "stream", heads[0], heads[1], heads[2], heads[3]
    );
    for account in accounts(stack).await? {
        println!(
            "{:<14}{:>10}{:>10}{:>14}{:>9}",
            account.feed.name(),
            account.published(),
            account.rows,
            account.dead_letters,
            account.missing()
        );
    }
    Ok(())
}

fn say(what: &str) {
    println!("demo: {what}");
}
