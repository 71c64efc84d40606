//! The owner of a destination, of its schema or of the database tries to gain rights. Each test is
//! one place where the owner's code is called: it runs only as that owner, and leaves nothing
//! behind. Where both COPY and INSERT call it, the test covers both.

mod attack;
mod expressions;
mod relations;
mod sessions;
mod triggers;

use attack::{COPY, INSERT};
use tokio_postgres::Client;

const BOTH: [&str; 2] = [COPY, INSERT];
const INSERTED: [&str; 1] = [INSERT];
/// The path that makes the attacker's operators the first that are found.
const HIS_FIRST: &str = "platform, pg_catalog, public";

/// SQLSTATE of a statement that has to be refused.
async fn refused(session: &Client, sql: &str) -> String {
    let error = session.batch_execute(sql).await;
    let error = error.expect_err(sql);
    error.code().map_or("", |code| code.code()).to_owned()
}
