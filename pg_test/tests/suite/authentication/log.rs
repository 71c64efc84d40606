//! What the server log says about a connection that cannot be made.

use pg_test::nats;
use pg_test::secret_files::SecretFiles;
use pg_test::stack::{SOON, Stack};
use pg_test::wait::eventually;

use super::FILE;
use crate::fixtures::writer_is;

#[tokio::test(flavor = "multi_thread")]
async fn a_connection_that_fails_is_logged_once_for_all_pipelines() {
    let files = SecretFiles::new();
    files.write(FILE, "token");
    let with_token = |options: &mut nats::Options| {
        options.configuration = "authorization { token: token }".to_owned();
        options.connect = async_nats::ConnectOptions::with_token("token".to_owned());
    };
    let stack = Stack::builder()
        .setting("sr_event_writer.nats_token_file", &files.setting(FILE))
        .setting("sr_event_writer.retry_min_delay", "100ms")
        .setting("sr_event_writer.retry_max_delay", "1s")
        .nats(with_token)
        .start()
        .await;
    writer_is(&stack, "running").await;
    files.remove(FILE);
    stack.nats.restart().await;
    let log = || stack.pg.log();
    eventually(SOON, "the log says why", async || {
        log().contains("HINT:  Make the file readable")
    })
    .await;
    // All pipelines say the same in the status.
    eventually(SOON, "each pipeline says why", async || {
        let status = stack
            .status()
            .await
            .map_err(|failure| failure.to_string())?;
        let streams = status["streams"].as_array().cloned().unwrap_or_default();
        let all = streams
            .iter()
            .all(|stream| stream["detail"].to_string().contains("could not open"));
        match all && streams.len() == 7 {
            true => Ok(()),
            false => Err(status.to_string()),
        }
    })
    .await;
    files.write(FILE, "token");
    writer_is(&stack, "running").await;
    let log = log();
    assert_eq!(
        log.matches("could not open NATS token file").count(),
        1,
        "{log}"
    );
    let of_pipelines = log.lines().filter(|line| line.contains(": stream "));
    assert_eq!(
        of_pipelines
            .filter(|line| line.contains("not connected"))
            .count(),
        0,
        "{log}"
    );
}
