//! The content of the messages of each stream.

use serde_json::{Value, json};

use crate::feed::Feed;
use crate::random::Random;

/// Returns subject and payload of a good message. `time` is in Unix milliseconds.
pub(super) fn good(seed: u64, feed: Feed, time: u64, number: u64) -> (String, Value) {
    let random = &mut random_of(seed, feed, number);
    match feed {
        Feed::Telemetry => telemetry(random, time, number),
        Feed::Events => event(random, time, number),
        Feed::Sweep => sweep(random, time, number),
        Feed::Netflow => netflow(random, time, number),
        Feed::OtelMetrics => otel_metric(random, time, number),
        Feed::OtelTraces => otel_trace(random, time, number),
        Feed::Logs => log(random, time, number),
    }
}

/// Returns the name of a numeric field, and a word that is not a number.
pub(super) fn wrong_type(feed: Feed) -> Option<(&'static str, &'static str)> {
    match feed {
        Feed::Telemetry => Some(("if_index", "eth0")),
        Feed::Events => None,
        Feed::Sweep => Some(("icmp_response_time_ns", "fast")),
        Feed::Netflow => Some(("src_port", "https")),
        Feed::OtelMetrics => Some(("duration_ms", "slow")),
        Feed::OtelTraces => Some(("status_code", "fine")),
        Feed::Logs => Some(("severity_number", "high")),
    }
}

fn telemetry(random: &mut Random, time: u64, number: u64) -> (String, Value) {
    let device = address(random);
    let interface = random.below(48);
    let message = json!({
        "timestamp": time,
        "poller_id": format!("poller-{}", random.below(4)),
        "agent_id": format!("agent-{}", random.below(16)),
        "metric_name": random.pick(&["ifInOctets", "ifOutOctets", "ifInErrors", "sysUpTime"]),
        "metric_type": "counter",
        "device_id": format!("default:{device}"),
        "value": number,
        "unit": "bytes",
        "tags": {"if": format!("eth{interface}"), "site": random.pick(&["ber", "fra", "sfo"])},
        "partition": "default",
        "is_delta": random.below(2) == 0,
        "target_device_ip": device,
        "if_index": interface,
        "metadata": {"oid": "1.3.6.1.2.1.2.2.1.10"},
    });
    ("telemetry.snmp".to_owned(), message)
}

fn event(random: &mut Random, time: u64, number: u64) -> (String, Value) {
    let message = json!({
        "specversion": "1.0",
        "id": format!("ev-{number}"),
        "source": "nats://events/events.syslog",
        "type": "com.carverauto.serviceradar.syslog",
        "datacontenttype": "application/json",
        "subject": "events.syslog",
        // Events have Unix seconds with a fraction.
        "time": time as f64 / 1000.0,
        "host": format!("fw{}", random.below(20)),
        "level": random.below(8),
        "remote_addr": address(random),
        "data": {"message": random.pick(&["link down", "denied", "login failed", "über 90 %"])},
    });
    ("events.syslog".to_owned(), message)
}

fn sweep(random: &mut Random, time: u64, number: u64) -> (String, Value) {
    let up = random.below(4) > 0;
    let message = json!({
        // Unique for numbers below 16 million.
        "host_ip": format!("10.{}.{}.{}", number >> 16 & 255, number >> 8 & 255, number & 255),
        "poller_id": format!("poller-{}", random.below(4)),
        "agent_id": "agent-1",
        "partition": "default",
        "network_cidr": "10.0.0.0/8",
        "hostname": format!("srv-{number}"),
        "icmp_available": up,
        "icmp_response_time_ns": 200_000 + random.below(5_000_000),
        "icmp_packet_loss": if up { 0.0 } else { 100.0 },
        "tcp_ports_scanned": [22, 80, 443],
        "tcp_ports_open": if up { json!([22]) } else { json!([]) },
        "last_sweep_time": time,
        "first_seen": time,
    });
    ("sweep.results".to_owned(), message)
}

fn netflow(random: &mut Random, time: u64, number: u64) -> (String, Value) {
    let message = json!({
        "timestamp": time,
        "poller_id": format!("poller-{}", random.below(4)),
        "flow_direction": random.pick(&["ingress", "egress"]),
        "src_addr": address(random),
        "dst_addr": address(random),
        "src_port": 1024 + random.below(60_000),
        "dst_port": random.pick(&["53", "80", "443"]).parse::<u64>().expect("a number"),
        "protocol": if random.below(4) == 0 { 17 } else { 6 },
        "packets": 1 + random.below(1000),
        "octets": number,
        "sampler_address": "10.0.0.254",
        "input_snmp": random.below(48),
        "output_snmp": random.below(48),
        "metadata": {"sampling_rate": 1000},
    });
    ("netflow.flows".to_owned(), message)
}

fn otel_metric(random: &mut Random, time: u64, number: u64) -> (String, Value) {
    let milliseconds = random.below(400_000) as f64 / 1000.0;
    let message = json!({
        "timestamp": time,
        "trace_id": format!("{:032x}", u128::from(random.draw()) << 64 | u128::from(number)),
        "span_id": format!("{number:016x}"),
        "service_name": random.pick(&["api", "core", "poller"]),
        "span_name": random.pick(&["GET /users", "POST /login", "Repo.query"]),
        "span_kind": "SERVER",
        "duration_ms": milliseconds,
        "metric_type": "http",
        "http_method": "GET",
        "http_route": "/users",
        "http_status_code": 200 + 100 * random.below(4),
        "is_slow": milliseconds > 100.0,
        "component": "otel-collector",
        "level": "warn",
    });
    ("otel.metrics.derived".to_owned(), message)
}

fn otel_trace(random: &mut Random, time: u64, number: u64) -> (String, Value) {
    let start = time * 1_000_000;
    let message = json!({
        "timestamp": time,
        "trace_id": format!("{:032x}", u128::from(random.draw()) << 64 | u128::from(number)),
        "span_id": format!("{number:016x}"),
        "name": random.pick(&["GET", "query", "publish"]),
        "kind": 1 + random.below(5),
        "start_time_unix_nano": start,
        "end_time_unix_nano": (start + random.below(500_000_000)).to_string(),
        "service_name": random.pick(&["api", "core", "poller"]),
        "service_version": "1.2.27",
        "scope_name": "lib",
        "status_code": random.below(3),
        "attributes": {"http.method": "GET", "http.status_code": 200},
        "resource_attributes": {"host.name": format!("h{}", random.below(30))},
        "events": [{"name": "retry", "time_unix_nano": start}],
        "links": [],
    });
    ("otel.traces.app".to_owned(), message)
}

fn log(random: &mut Random, time: u64, number: u64) -> (String, Value) {
    let (text, severity) = [("INFO", 9), ("WARN", 13), ("ERROR", 17)][random.below(3) as usize];
    let message = json!({
        "timestamp": time,
        "trace_id": format!("{:032x}", u128::from(random.draw()) << 64 | u128::from(number)),
        "span_id": format!("{number:016x}"),
        "severity_text": text,
        "severity_number": severity,
        "body": format!("request {number} took {} ms", random.below(900)),
        "service_name": random.pick(&["api", "core", "poller"]),
        "attributes": {"k": "v", "n": random.below(100)},
        "resource_attributes": {"host.name": format!("h{}", random.below(30))},
    });
    ("logs.app".to_owned(), message)
}

fn random_of(seed: u64, feed: Feed, number: u64) -> Random {
    Random::new(seed ^ (feed as u64) << 56 ^ number.wrapping_mul(0xd134_2543_de82_ef95))
}

fn address(random: &mut Random) -> String {
    format!(
        "10.{}.{}.{}",
        random.below(8),
        random.below(256),
        1 + random.below(254)
    )
}
