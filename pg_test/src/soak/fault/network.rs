//! Faults of the network between the worker and NATS, and of the NATS servers.

use std::time::Duration;

use super::super::databases::RECOVERY_TIMEOUT;
use super::super::servers::{Servers, last};
use super::Outcome;
use crate::feed::Feed;
use crate::nats::Nats;
use crate::proxy::Proxy;
use crate::random::Random;

/// Returns a time between 1 and 12 seconds: from less than one heartbeat (5 s) to more than two.
fn a_long_while(random: &mut Random) -> Duration {
    Duration::from_millis(1_000 + random.below(11_000))
}

fn a_while(random: &mut Random) -> Duration {
    Duration::from_millis(500 + random.below(2_500))
}

impl Servers {
    fn heal_network(&self) {
        self.proxies.iter().for_each(Proxy::heal);
    }

    fn open_connections(&self) -> usize {
        self.proxies.iter().map(Proxy::open_connections).sum()
    }

    fn lost(&self) -> usize {
        self.proxies.iter().map(Proxy::lost).sum()
    }

    pub(super) async fn cut_connections(&self) -> Outcome {
        let connected = self.is_connected().await;
        self.proxies.iter().for_each(Proxy::cut);
        connected
    }

    async fn is_connected(&self) -> Outcome {
        self.strikes("there is no connection", async || {
            self.open_connections() > 0
        })
        .await
    }

    /// Closes the connection at some byte of the greeting or of a message.
    pub(super) async fn cut_in_a_message(&self, random: &mut Random) -> Outcome {
        let before: usize = self.proxies.iter().map(Proxy::connections).sum();
        for proxy in &self.proxies {
            proxy.cut_after(random.below(20_000));
        }
        let struck = self
            .strikes("no connection was cut", async || {
                self.proxies.iter().map(Proxy::connections).sum::<usize>() > before
            })
            .await;
        self.heal_network();
        struck
    }

    pub(super) async fn blackhole(&self, random: &mut Random) -> Outcome {
        let connected = self.is_connected().await;
        self.proxies.iter().for_each(Proxy::blackhole);
        last(a_long_while(random)).await;
        self.heal_network();
        connected
    }

    pub(super) async fn lose_deliveries(&self, random: &mut Random) -> Outcome {
        let before = self.lost();
        for proxy in &self.proxies {
            proxy.drop_frames(1 + random.below(20) as usize);
        }
        let struck = self
            .strikes("no message was delivered", async || self.lost() > before)
            .await;
        last(a_while(random)).await;
        self.heal_network();
        struck
    }

    pub(super) async fn lose_pulls(&self, random: &mut Random) -> Outcome {
        let before = self.lost();
        for proxy in &self.proxies {
            proxy.swallow("$JS.API.CONSUMER.MSG.NEXT");
        }
        let struck = self
            .strikes("nothing was asked for", async || self.lost() > before)
            .await;
        last(a_while(random)).await;
        self.heal_network();
        struck
    }

    pub(super) async fn slow_link(&self, random: &mut Random) -> Outcome {
        let connected = self.is_connected().await;
        for proxy in &self.proxies {
            proxy.slow(20_000);
        }
        last(a_while(random)).await;
        self.heal_network();
        connected
    }

    pub(super) fn any_nats(&self, random: &mut Random) -> &Nats {
        random.pick(self.cluster.servers())
    }

    pub(super) async fn kill_nats(&self, random: &mut Random) {
        let server = self.any_nats(random);
        server.kill().await;
        last(a_while(random)).await;
        server.start().await;
    }

    pub(super) async fn kill_all_nats(&self) {
        let [first, second, third] = self.cluster.servers();
        tokio::join!(first.kill(), second.kill(), third.kill());
        // None of them answers before it has found the others, so they have to start at the same
        // time.
        tokio::join!(first.start(), second.start(), third.start());
    }

    pub(super) async fn freeze_leader(&self, feed: Feed, random: &mut Random) {
        let leader = self.cluster.stream_leader(&feed.stream()).await;
        leader.freeze();
        last(a_while(random)).await;
        leader.unfreeze();
    }

    pub(super) async fn lame_duck(&self, random: &mut Random) {
        let server = self.any_nats(random);
        server.lame_duck();
        server.ended(RECOVERY_TIMEOUT).await;
        server.start().await;
    }

    pub(super) async fn step_down_consumer(&self, feed: Feed) {
        let (stream, consumer) = (feed.stream(), feed.consumer());
        self.cluster.step_down_consumer(&stream, &consumer).await;
    }
}
