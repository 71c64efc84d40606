//! Figures of a run that show whether its faults had an effect.

use std::collections::BTreeSet;

use super::servers::Servers;
use crate::proxy::Proxy;

/// Figures that show whether the faults had an effect.
#[derive(Debug, Default)]
pub struct Effects {
    /// Process ids of all workers that were seen.
    pub workers: BTreeSet<i32>,
    /// Number of connections through the proxies.
    pub connections: usize,
    /// Number of requests and deliveries that the proxies lost.
    pub lost: usize,
    /// Messages that were read again: the most that were counted between two starts of the server.
    pub again: i64,
}

impl Effects {
    /// Adds the effects of the last fault.
    pub(super) async fn add(&mut self, servers: &Servers) {
        let primary = servers.primary();
        let pids = "SELECT coalesce(array_agg(pid), '{}') FROM pg_stat_activity
            WHERE application_name = 'sr_event_writer'";
        // The server may be down at the moment.
        if let Ok(pids) = primary.try_value::<Vec<i32>>(pids).await {
            self.workers.extend(pids);
        }
        let again = "SELECT coalesce(sum(redelivered_total + duplicates_skipped_total), 0)::bigint
            FROM sr_event_writer.stream_status";
        if let Ok(again) = primary.try_value::<i64>(again).await {
            self.again = self.again.max(again);
        }
        self.connections = servers.proxies.iter().map(Proxy::connections).sum();
        self.lost = servers.proxies.iter().map(Proxy::lost).sum();
    }
}
