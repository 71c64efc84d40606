//! Measures the gain of a second worker for one stream with many messages, which is split by
//! subject: two pipelines write its halves to one table.

use std::time::Instant;

use pg_test::feed::Feed;
use pg_test::messages::Message;

use crate::fixture::Fixture;
use crate::measure;
use crate::workload;

const MESSAGES: u64 = 500_000;
const ROUNDS: usize = 3;
const PIPELINES: [&str; 2] = ["telemetry_a", "telemetry_b"];
const CONSUMERS: [&str; 2] = ["db-writer-telemetry-a", "db-writer-telemetry-b"];

/// Measures and prints the rates.
pub async fn measure() -> Result<(), String> {
    println!(
        "{:<12}{:>12}{:>12}{:>12}",
        "workers", "rows/s", "least", "most"
    );
    for workers in ["1", "2"] {
        let rates = rates(workers).await?;
        let [least, middle, most] = [
            measure::quantile(rates.clone(), 0.0),
            measure::median(rates.clone()),
            measure::quantile(rates, 1.0),
        ];
        println!("{workers:<12}{middle:>12.0}{least:>12.0}{most:>12.0}");
    }
    Ok(())
}

async fn rates(workers: &str) -> Result<Vec<f64>, String> {
    let half = |name: &str| format!("processor=Telemetry subject=telemetry.{name}.>");
    let mut fixture = Fixture::with(&[
        ("sr_event_writer.workers", workers),
        ("sr_event_writer.streams", "telemetry_a, telemetry_b"),
        ("sr_event_writer.stream_telemetry_a", &half("a")),
        ("sr_event_writer.stream_telemetry_b", &half("b")),
    ])
    .await?;
    let halves = (0..MESSAGES).map(|number| {
        let half = if number % 2 == 0 { "a" } else { "b" };
        let subject = format!("telemetry.{half}.snmp");
        let message = fixture.generator.good(Feed::Telemetry, number);
        Message { subject, ..message }
    });
    fixture.stack.nats.publish_messages(halves).await;
    let mut rates = Vec::new();
    for _ in 0..ROUNDS {
        fixture.prepare(&workload::TELEMETRY).await;
        // Without positions, also in the memory of the workers, which a restart of the server
        // clears.
        fixture
            .execute("DELETE FROM sr_event_writer.stream_position")
            .await;
        for consumer in CONSUMERS {
            fixture.forget_consumer(Feed::Telemetry, consumer).await;
        }
        fixture.stack.pg.restart().await;
        fixture.session = fixture.stack.pg.connect().await;
        let began = Instant::now();
        fixture.stack.enable().await;
        fixture
            .recorded_and_flushed(&PIPELINES, MESSAGES as i64)
            .await?;
        rates.push(MESSAGES as f64 / began.elapsed().as_secs_f64());
        fixture.stack.disable().await;
        fixture.check(&workload::TELEMETRY, MESSAGES).await;
    }
    Ok(rates)
}
