//! A writer that loses its connection again and again, because somebody changes what one side needs
//! to trust the other.

use pg_test::messages::Generator;
use pg_test::stack::{SOON, Stack};

use crate::nats_faults::{FEED, RECOVERY, expect_exactly, status_says, stream_says};

/// Messages that are on their way when the connection is cut, and messages that wait for it.
const FLOWING: u64 = 200;
const WAITING: u64 = 20;

/// A writer that loses its connection again and again.
pub struct Outages<'a> {
    stack: &'a Stack,
    /// Number of messages that were published.
    count: u64,
}

impl<'a> Outages<'a> {
    /// Starts with a working connection.
    pub async fn begin(stack: &'a Stack) -> Self {
        let mut outages = Self { stack, count: 0 };
        outages.publish(WAITING).await;
        outages.recovered().await;
        outages
    }

    /// Cuts the connection while messages flow, and waits until the pipeline says `detail` and the
    /// status of the connection `hint`. Then more messages come.
    pub async fn cut(&mut self, cut: impl Future<Output = ()>, detail: &[&str], hint: &str) {
        self.publish(FLOWING).await;
        cut.await;
        stream_says(self.stack, SOON, "degraded", detail).await;
        status_says(self.stack, SOON, &[hint]).await;
        self.publish(WAITING).await;
    }

    /// Waits until all messages are rows, each once.
    pub async fn recovered(&self) {
        self.stack.expect_rows(FEED, self.count, RECOVERY).await;
    }

    /// Waits until all messages are rows, each once, and nothing is left to do.
    pub async fn end(self) {
        expect_exactly(self.stack, self.count).await;
    }

    async fn publish(&mut self, number: u64) {
        let numbers = self.count..self.count + number;
        let messages = Generator::new(11).range(FEED, numbers);
        self.stack.nats.publish_until_stored(messages).await;
        self.count += number;
    }
}
