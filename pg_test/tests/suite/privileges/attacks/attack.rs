//! The setting of the attacks: an unprivileged role that owns a destination and its schema, what it
//! has prepared, and the check afterwards.

mod arsenal;

pub use arsenal::{ATTACK_BEFORE_EACH_ROW, operators, trigger};

use arsenal::{ALLOWED, FORBIDDEN, RIGHTS, WITNESS, arsenal};
use pg_test::feed::Feed;
use pg_test::messages::Generator;
use pg_test::stack::{Builder, SOON, Stack};
use pg_test::wait::eventually;
use std::time::Duration;

/// The feed whose table belongs to the attacker `app`, in its schema `platform`.
pub const THEIRS: Feed = Feed::Logs;
/// The feed whose table belongs to the superuser.
pub const OURS: Feed = Feed::Netflow;

/// Number of pending messages that make a batch which is copied.
const COPIED: u64 = 200;
/// So few are inserted.
const INSERTED: u64 = 3;

const NOTHING: [String; 0] = [];

/// The way by which the attack was called: COPY.
pub const COPY: &str = "COPY";
/// The way by which the attack was called: INSERT.
pub const INSERT: &str = "INSERT";

/// One attack: its servers, and the state before it.
pub struct Attack {
    /// Its servers.
    pub stack: Stack,
    rights: String,
    theirs: u64,
    ours: u64,
}

impl Attack {
    /// Destinations that are plain tables, and what the attacker has prepared: `sql` is run as
    /// `app`.
    pub async fn prepared(sql: &str) -> Self {
        let builder = Stack::builder().plain_tables().without_keys();
        Self::built(builder, "platform, public", sql).await
    }

    /// With another `search_path`, or other tables.
    pub async fn built(builder: Builder, path: &str, sql: &str) -> Self {
        let stack = builder
            .disabled()
            .setting("search_path", path)
            .start()
            .await;
        let prepare = format!(
            "CREATE ROLE app LOGIN; CREATE ROLE other_owner LOGIN;
             CREATE SCHEMA platform AUTHORIZATION app;
             ALTER TABLE public.logs OWNER TO app; ALTER TABLE public.logs SET SCHEMA platform;
             {WITNESS} SET ROLE app; {} {sql}; RESET ROLE",
            arsenal()
        );
        stack.pg.execute(&prepare).await;
        let rights = stack.pg.value(RIGHTS).await;
        stack.enable().await;
        Self {
            stack,
            rights,
            theirs: 0,
            ours: 0,
        }
    }

    /// Takes everything so far as allowed.
    pub async fn take_stock(&mut self) {
        self.rights = self.stack.pg.value(RIGHTS).await;
    }

    /// A batch of the superuser's table.
    pub async fn ours(&mut self) {
        self.ours_within(SOON).await;
    }

    /// The same where something may be in its way several times.
    pub async fn ours_within(&mut self, limit: Duration) {
        let numbers = self.ours..self.ours + 1;
        self.publish(OURS, numbers).await;
        self.ours += 1;
        self.stack.expect_rows(OURS, self.ours, limit).await;
    }

    /// Rows for the attacker's table, enough at a time to be copied.
    pub async fn many_of_theirs(&mut self) {
        // They wait, so that they come as one batch.
        let pipeline = THEIRS.name();
        let call = |what: &str| format!("SELECT sr_event_writer_{what}('{pipeline}')");
        self.stack.pg.execute(&call("pause")).await;
        self.send_theirs(COPIED).await;
        self.stack.pg.execute(&call("resume")).await;
    }

    /// So few rows for it that they are inserted.
    pub async fn few_of_theirs(&mut self) {
        self.send_theirs(INSERTED).await;
    }

    /// Number of messages sent.
    pub fn sent(&self) -> u64 {
        self.theirs
    }

    async fn send_theirs(&mut self, count: u64) {
        let numbers = self.theirs..self.theirs + count;
        self.publish(THEIRS, numbers).await;
        self.theirs += count;
    }

    async fn publish(&self, feed: Feed, numbers: std::ops::Range<u64>) {
        let messages = Generator::new(93).range(feed, numbers);
        self.stack.nats.publish_messages(messages).await;
    }

    /// Rows for the attacker's table on both ways, all of which arrive, between those of the other.
    pub async fn provoke(&mut self) {
        self.ours().await;
        self.many_of_theirs().await;
        self.stack.expect_rows(THEIRS, self.sent(), SOON).await;
        self.ours().await;
        self.few_of_theirs().await;
        self.stack.expect_rows(THEIRS, self.sent(), SOON).await;
        self.ours().await;
    }

    /// [`Attack::provoke`], and then nothing was gained: the attack ran on these ways, as `app`
    /// alone, and left nothing behind.
    pub async fn withstands(&mut self, ways: &[&str]) {
        self.provoke().await;
        assert_eq!(self.ways().await, ways, "ways on which the attack ran");
        self.nothing_was_gained().await;
        let sql = "SELECT count(DISTINCT statement) FROM platform.tried";
        let count = (FORBIDDEN.matches(';').count() + ALLOWED.matches(';').count() + 2) as i64;
        assert_eq!(self.stack.pg.value::<i64>(sql).await, count, "tried");
    }

    /// Waits until the attacker's pipeline says this of its table, and takes no row.
    pub async fn is_refused(&mut self, word: &str) {
        self.ours().await;
        self.many_of_theirs().await;
        let named = crate::fixtures::detail_mentions(word);
        crate::fixtures::stream_status_where(&self.stack, THEIRS, word, named).await;
        self.ours().await;
        self.nothing_was_gained().await;
    }

    /// The attacker's table fails with this, and the same process goes on writing the other one.
    pub async fn stops_nobody(&mut self, word: &str) {
        self.ours().await;
        let worker = self.stack.pg.worker_pid().await;
        self.few_of_theirs().await;
        let named = crate::fixtures::detail_mentions(word);
        crate::fixtures::stream_status_where(&self.stack, THEIRS, word, named).await;
        self.ours().await;
        assert_eq!(self.stack.pg.worker_pid().await, worker, "the process");
        self.nothing_was_gained().await;
    }

    /// Waits until the worker writes to the attacker's table.
    pub async fn is_writing(&self) {
        let sql = "SELECT pg_catalog.count(*) FROM pg_catalog.pg_stat_activity
            WHERE application_name OPERATOR(pg_catalog.=) 'sr_event_writer'
                AND wait_event OPERATOR(pg_catalog.=) 'PgSleep'";
        pg_test::wait::eventually_equal(SOON, "statements that never end", 1_i64, async || {
            self.stack.pg.try_value(sql).await
        })
        .await;
    }

    /// Messages that the attacker's table refuses.
    pub async fn dead_letters(&mut self) {
        self.ours().await;
        self.few_of_theirs().await;
        let sql = "SELECT count(*) FROM sr_event_writer.dead_letter";
        let all = self.theirs as i64;
        pg_test::wait::eventually_equal(SOON, "dead letters", all, async || {
            self.stack.pg.try_value(sql).await
        })
        .await;
        self.ours().await;
    }

    /// Asserts that the attacks have changed nothing.
    pub async fn nothing_was_gained(&self) {
        let locks = "SELECT count(*) FROM pg_locks
            WHERE locktype OPERATOR(pg_catalog.=) 'advisory'";
        let locks: i64 = self.stack.pg.value(locks).await;
        assert_eq!(locks, 0, "advisory locks");
        self.nothing_was_gained_in_a_session().await;
    }

    /// The same where a session of somebody else may hold advisory locks.
    pub async fn nothing_was_gained_in_a_session(&self) {
        let pg = &self.stack.pg;
        assert_eq!(self.as_others().await, NOTHING, "ran as another role");
        let done = format!(
            "SELECT DISTINCT t.statement || ': ' || t.outcome FROM platform.tried t
             WHERE pg_catalog.strpos($list${FORBIDDEN}$list$, t.statement) OPERATOR(pg_catalog.>) 0
                AND t.outcome OPERATOR(pg_catalog.<>) '42501'"
        );
        assert_eq!(self.list(&done).await, NOTHING, "allowed");
        let rights: String = pg.value(RIGHTS).await;
        assert_eq!(rights, self.rights, "rights");
        self.session_is_as_before().await;
        crate::fixtures::assert_unharmed(&self.stack);
    }

    /// The ways on which the attacker's code ran in the worker.
    async fn ways(&self) -> Vec<String> {
        self.list(
            "SELECT DISTINCT way FROM platform.heard
             WHERE session OPERATOR(pg_catalog.=) 'sr_event_writer' ORDER BY 1",
        )
        .await
    }

    /// Returns the calls that ran as another role, except those of this test's sessions.
    async fn as_others(&self) -> Vec<String> {
        self.list(
            "SELECT DISTINCT way || ' ' || vector || ' as ' || who FROM platform.heard
             WHERE (super OR who OPERATOR(pg_catalog.<>) 'app')
                AND session OPERATOR(pg_catalog.<>) 'pg_test'",
        )
        .await
    }

    async fn session_is_as_before(&self) {
        let sql = "SELECT what FROM public.witnessed ORDER BY number";
        let all = self.list(sql).await;
        let (first, rest) = all.split_at(2);
        assert!(rest.len() >= 2, "{} witnessed", all.len());
        let before: Vec<_> = first.iter().flat_map(|text| text.lines()).collect();
        let changed: Vec<_> = rest
            .iter()
            .flat_map(|text| text.lines())
            .filter(|line| !before.contains(line))
            .collect();
        assert_eq!(changed, NOTHING, "of the worker's session");
    }

    async fn list(&self, sql: &str) -> Vec<String> {
        let rows = self.stack.pg.query(sql, &[]).await;
        rows.iter().map(|row| row.get(0)).collect()
    }

    /// Waits until the attack was heard in the worker.
    pub async fn heard(&self) {
        eventually(SOON, "the attack runs", async || {
            match self.ways().await.is_empty() {
                true => Err("not heard"),
                false => Ok(()),
            }
        })
        .await;
    }
}
