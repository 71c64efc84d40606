//! `pg_upgrade` with the library loaded on both sides. It starts both servers to dump one and
//! restore the other; a running writer would disturb it, or write rows beside the chunks.

use pg_test::feed::Feed;
use pg_test::messages::Generator;
use pg_test::postgres::{Installation, Options, Postgres, Stop, tail};
use pg_test::stack::{SOON, Stack};
use pg_test::wait::eventually;
use tokio_postgres::Client;

/// Its table has no unique key that would hide a second copy.
const FEED: Feed = Feed::Telemetry;
const MANY: u64 = 300;

/// `sr_event_writer.enabled` while `pg_upgrade` runs a server.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Writer {
    On,
    Off,
}

impl Writer {
    fn setting(self) -> &'static str {
        match self {
            Self::On => "on",
            Self::Off => "off",
        }
    }
}

/// A writer in one database, and what was published for it.
struct Journey {
    stack: Stack,
    database: &'static str,
    published: u64,
}

impl Journey {
    async fn begun(database: &'static str) -> Self {
        let stack = Stack::builder().database(database).without_extension();
        let stack = stack.start().await;
        if database != "postgres" {
            stack
                .pg
                .execute(&format!("CREATE DATABASE {database}"))
                .await;
        }
        let session = stack.pg.connect_as("postgres", database).await;
        for sql in [
            "CREATE EXTENSION timescaledb",
            "CREATE EXTENSION sr_event_writer",
            "SELECT sr_event_writer_create_tables()",
        ] {
            session.batch_execute(sql).await.expect(sql);
        }
        Self {
            stack,
            database,
            published: 0,
        }
    }

    async fn publish(&mut self) {
        let numbers = self.published..self.published + MANY;
        self.published = numbers.end;
        let messages = Generator::new(94).range(FEED, numbers);
        self.stack.nats.publish_messages(messages).await;
    }

    async fn session(&self) -> Client {
        self.stack.pg.connect_as("postgres", self.database).await
    }

    /// Waits until every message is a row, and only one, in a chunk.
    async fn expect_all(&self) {
        let session = self.session().await;
        let sql = format!(
            "SELECT count(*), count(DISTINCT {}) FROM {}",
            FEED.marker_column(),
            FEED.table()
        );
        let all = self.published as i64;
        eventually(SOON, "every message is a row", async || {
            let row = session.query_one(&sql, &[]).await.unwrap();
            let found: (i64, i64) = (row.get(0), row.get(1));
            assert!(found.0 <= all, "{found:?} rows of {all} messages");
            match found == (all, all) {
                true => Ok(()),
                false => Err(format!("{found:?} of {all}")),
            }
        })
        .await;
        // Only so do rows beside the chunks show.
        let restoring = "SET timescaledb.restoring = on";
        session.batch_execute(restoring).await.unwrap();
        let beside = format!("SELECT count(*) FROM ONLY {}", FEED.table());
        let beside: i64 = session.query_one(&beside, &[]).await.unwrap().get(0);
        assert_eq!(beside, 0, "rows beside the chunks");
    }

    /// Stops the server, upgrades it to a new one while messages wait, and starts that.
    async fn upgrade(&mut self, old: Writer, new: Writer) {
        self.stack
            .pg
            .alter_system("sr_event_writer.enabled", old.setting())
            .await;
        self.stack.pg.stop(Stop::Fast).await;
        self.publish().await;
        let settings = [
            ("nats_url", self.stack.nats.url()),
            ("database", self.database.to_owned()),
            ("enabled", new.setting().to_owned()),
        ];
        let cluster = Postgres::create(Options {
            settings: settings
                .map(|(key, value)| (format!("sr_event_writer.{key}"), value))
                .to_vec(),
            ..Options::default()
        });
        pg_upgrade(&self.stack.pg, &cluster);
        self.stack.pg = cluster;
        self.stack.pg.start().await;
    }
}

fn pg_upgrade(old: &Postgres, new: &Postgres) {
    let installation = Installation::choose();
    let programs = installation.command("postgres");
    let programs = std::path::Path::new(programs.get_program()).parent();
    let output = installation
        .command("pg_upgrade")
        .current_dir(new.data())
        .arg("--old-bindir")
        .arg(programs.expect("a folder of programs"))
        .arg("--old-datadir")
        .arg(old.data())
        .arg("--new-datadir")
        .arg(new.data())
        .args(["--username=postgres", "--link", "--no-sync", "--retain"])
        .arg(format!("--old-port={}", old.port()))
        .arg(format!("--new-port={}", new.port()))
        .output()
        .expect("run pg_upgrade");
    let said = String::from_utf8_lossy(&output.stdout);
    assert!(
        output.status.success(),
        "pg_upgrade: {}\n{}",
        tail(&said, 30),
        String::from_utf8_lossy(&output.stderr)
    );
}

async fn twice(database: &'static str, ways: [(Writer, Writer); 2]) {
    let mut journey = Journey::begun(database).await;
    for (old, new) in ways {
        journey.publish().await;
        journey.expect_all().await;
        journey.upgrade(old, new).await;
        if new == Writer::Off {
            journey.stack.enable().await;
        }
        journey.expect_all().await;
    }
    journey.publish().await;
    journey.expect_all().await;
    crate::fixtures::assert_unharmed(&journey.stack);
}

#[tokio::test(flavor = "multi_thread")]
async fn pg_upgrade_of_the_default_database_is_not_disturbed_and_nothing_is_lost_or_doubled() {
    let ways = [(Writer::On, Writer::On), (Writer::Off, Writer::Off)];
    twice("postgres", ways).await;
}

#[tokio::test(flavor = "multi_thread")]
async fn pg_upgrade_of_another_database_is_not_disturbed_and_nothing_is_lost_or_doubled() {
    let ways = [(Writer::On, Writer::Off), (Writer::Off, Writer::On)];
    twice("metrics", ways).await;
}
