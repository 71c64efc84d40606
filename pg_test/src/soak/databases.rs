//! The two database servers: which one accepts writes, and how far they agree.

use std::sync::{Arc, Mutex, PoisonError};
use std::time::Duration;

use crate::postgres::Postgres;
use crate::wait::{eventually, try_eventually};

/// Timeout for recovery after a fault.
pub(super) const RECOVERY_TIMEOUT: Duration = Duration::from_secs(90);
/// Timeout for replication to the standby.
const REPLICATED: Duration = Duration::from_secs(5);

/// A primary and its standby. A fault may replace them while another one is in progress.
#[derive(Debug)]
pub(super) struct Databases {
    primary: Mutex<Arc<Postgres>>,
    standby: Mutex<Arc<Postgres>>,
}

impl Databases {
    pub(super) fn new(primary: Postgres, standby: Postgres) -> Self {
        Self {
            primary: Mutex::new(Arc::new(primary)),
            standby: Mutex::new(Arc::new(standby)),
        }
    }

    /// Returns the server that accepts writes now.
    pub(super) fn primary(&self) -> Arc<Postgres> {
        get(&self.primary)
    }

    /// Returns the server that takes over after a failure.
    pub(super) fn standby(&self) -> Arc<Postgres> {
        get(&self.standby)
    }

    /// Makes this server the one that accepts writes.
    pub(super) fn set_primary(&self, server: Arc<Postgres>) {
        set(&self.primary, server);
    }

    /// Replaces the standby by a new one.
    pub(super) async fn new_standby(&self) {
        let former = self.standby();
        // The former standby may have become the primary.
        if !Arc::ptr_eq(&former, &self.primary()) {
            former.kill_all().await;
        }
        let standby = Arc::new(self.primary().create_standby("standby").await);
        standby.start().await;
        set(&self.standby, standby);
    }

    /// Runs statements on the primary, and retries them until they succeed and the standby has the
    /// change.
    pub(super) async fn lastingly(&self, sql: &str) {
        eventually(RECOVERY_TIMEOUT, sql, async || {
            let primary = self.primary();
            let done = primary.try_execute(sql).await;
            done.map_err(|failure| failure.to_string())?;
            is_replicated(&primary).await
        })
        .await;
    }

    /// Waits until the standby has everything that is in the primary now.
    pub(super) async fn standby_has_all(&self) {
        eventually(RECOVERY_TIMEOUT, "the standby has all", async || {
            is_replicated(&self.primary()).await
        })
        .await;
    }
}

fn get(server: &Mutex<Arc<Postgres>>) -> Arc<Postgres> {
    let server = server.lock().unwrap_or_else(PoisonError::into_inner);
    server.clone()
}

/// Succeeds if the standby has everything that this server has now. Everything seen before is then
/// safe, whichever of the two continues. Fails if the server is replaced meanwhile.
pub(super) async fn is_replicated(primary: &Postgres) -> Result<(), String> {
    let end = "SELECT pg_current_wal_insert_lsn()::text";
    let end = primary.try_value::<String>(end).await;
    let end = end.map_err(|failure| failure.to_string())?;
    let sql =
        format!("SELECT coalesce(bool_or(flush_lsn >= '{end}'), false) FROM pg_stat_replication");
    try_eventually(REPLICATED, "the standby has all", async || {
        primary.try_value::<bool>(&sql).await.unwrap_or(false)
    })
    .await
}

fn set(place: &Mutex<Arc<Postgres>>, server: Arc<Postgres>) {
    *place.lock().unwrap_or_else(PoisonError::into_inner) = server;
}
