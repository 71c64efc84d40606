//! What several topics need.

use pg_test::feed::Feed;
use pg_test::stack::Stack;
use pg_test::wait::eventually;
use serde_json::Value;
use std::time::Duration;

/// A number from the environment, for a longer or shorter run.
pub fn number(variable: &str, default: u64) -> u64 {
    let Ok(text) = std::env::var(variable) else {
        return default;
    };
    text.parse()
        .unwrap_or_else(|_| panic!("{variable}={text} is not a number"))
}

/// Waits until the pipeline's status satisfies `fits`; that status.
pub async fn stream_status_where(
    stack: &Stack,
    feed: Feed,
    what: &str,
    fits: impl Fn(&Value) -> bool,
) -> Value {
    let what = format!("the status of {} says {what}", feed.name());
    eventually(Duration::from_secs(30), what, async || {
        let status = stack
            .stream_status(feed)
            .await
            .map_err(|failure| failure.to_string())?;
        if fits(&status) {
            Ok(status)
        } else {
            Err(status.to_string())
        }
    })
    .await
}

/// Whether `detail` of a pipeline's status mentions a word.
pub fn detail_mentions(word: &str) -> impl Fn(&Value) -> bool {
    move |status| {
        status["detail"]
            .as_str()
            .is_some_and(|detail| detail.contains(word))
    }
}

/// Waits until the whole writer is in this state.
pub async fn state(stack: &Stack, state: &str) {
    eventually(
        Duration::from_secs(30),
        format_args!("state {state}"),
        async || {
            let status = stack
                .status()
                .await
                .map_err(|failure| failure.to_string())?;
            if status["state"] == state {
                Ok(())
            } else {
                Err(status.to_string())
            }
        },
    )
    .await;
}

/// No process of the server crashed so far, unless a test killed it.
pub fn assert_unharmed(stack: &Stack) {
    let log = stack.pg.log();
    let crash = log.lines().find(|line| {
        line.contains("was terminated by signal") || line.contains("PANIC") || line.contains("TRAP")
    });
    assert_eq!(crash, None, "in the server log");
}
