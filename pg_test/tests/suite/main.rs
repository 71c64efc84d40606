//! smoke
#![allow(clippy::unwrap_used, clippy::expect_used, clippy::panic, reason="t")]
use pg_test::*;
use std::time::{Duration, Instant};
#[tokio::test(flavor = "multi_thread")]
async fn smoke_pg() {
    let t = Instant::now();
    let pg = postgres::Postgres::create(postgres::Options { preload: "timescaledb".into(), ..Default::default() });
    eprintln!("created {:?}", t.elapsed());
    pg.start().await;
    eprintln!("started {:?}", t.elapsed());
    pg.execute("CREATE EXTENSION IF NOT EXISTS timescaledb").await;
    eprintln!("ts {:?}", t.elapsed());
    pg.execute("create table t(ts timestamptz not null, v int); select create_hypertable('t','ts')").await;
    pg.execute("insert into t values (now(), 1)").await;
    pg.kill_all().await;
    eprintln!("killed {:?}", t.elapsed());
    pg.start().await;
    eprintln!("restarted {:?}", t.elapsed());
    assert_eq!(pg.value::<i64>("select count(*) from t").await, 1);
    let d = pg.stop(postgres::Stop::Fast).await;
    eprintln!("stop took {d:?}");
    pg.start().await;
    pg.alter_system("work_mem", "5MB").await;
    wait::eventually_equal(Duration::from_secs(5), "work_mem", "5MB".to_string(), async || pg.try_value::<String>("show work_mem").await).await;
    let e = pg.refused("alter system set work_mem = 'x'").await;
    eprintln!("{e}");
    eprintln!("end {:?}", t.elapsed());
}
#[tokio::test(flavor = "multi_thread")]
async fn smoke_nats() {
    let t = Instant::now();
    let n = nats::Nats::create(Default::default());
    n.start().await;
    eprintln!("nats started {:?}", t.elapsed());
    n.create_stream("TELEMETRY", &["telemetry.>"]).await;
    let g = messages::Generator::new(1);
    let t = Instant::now();
    let seqs = n.publish_messages(g.range(feed::Feed::Telemetry, 0..200_000)).await;
    assert_eq!(seqs.len(), 200_000);
    assert_eq!(*seqs.last().unwrap(), 200_000);
    eprintln!("published {:?}", t.elapsed());
    n.kill().await;
    n.start().await;
    assert_eq!(n.stream_state("TELEMETRY").await.messages, 200_000);
    eprintln!("restarted {:?}", t.elapsed());
    let (a, ()) = tokio::join!(n.publish_surely(g.range(feed::Feed::Telemetry, 200_000..220_000)), async { n.restart().await; n.restart().await });
    assert_eq!(n.stream_state("TELEMETRY").await.messages, 220_000);
    eprintln!("surely {:?} {a:?}", t.elapsed());
    n.freeze();
    n.unfreeze();
    n.stop().await;
}
