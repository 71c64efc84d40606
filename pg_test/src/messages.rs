//! Realistic messages for the seven streams, each with a marker that ends up in a column, so that
//! SQL can tell whether every one became a row, and only one.
//!
//! The same seed and number give the same message.

use std::time::{Duration, SystemTime};

use serde_json::{Value, json};

use crate::feed::Feed;

/// What is published.
#[derive(Debug, Clone)]
pub struct Message {
    /// Where to.
    pub subject: String,
    /// What.
    pub payload: Vec<u8>,
    /// What makes it unique within its stream: the number that it was made from.
    pub marker: u64,
}

impl Message {
    /// Any payload.
    pub fn plain(subject: &str, payload: impl Into<Vec<u8>>) -> Self {
        Self { subject: subject.to_owned(), payload: payload.into(), marker: 0 }
    }
}

/// What is wrong with a message that is broken on purpose.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Defect {
    /// The text ends in the middle.
    Truncated,
    /// A number where an object should be.
    NotAnObject,
    /// A word where the column takes a number. Events have no such column: truncated as well.
    WrongType,
    /// A sweep result without `host_ip`. For the other streams: truncated as well.
    NoHost,
}

impl Defect {
    /// All of them.
    pub const ALL: [Self; 4] = [Self::Truncated, Self::NotAnObject, Self::WrongType, Self::NoHost];
}

/// Makes messages.
#[derive(Debug, Clone, Copy)]
pub struct Generator {
    seed: u64,
    /// Unix milliseconds of message 0; each further one is a millisecond later.
    start: u64,
}

impl Generator {
    /// Of an hour ago, so that they fall into at most two chunks of a hypertable.
    pub fn new(seed: u64) -> Self {
        let hour_ago = SystemTime::now() - Duration::from_secs(3600);
        let since = hour_ago.duration_since(SystemTime::UNIX_EPOCH).expect("after 1970");
        Self { seed, start: since.as_secs() * 1000 }
    }

    /// A good message; it becomes exactly one row.
    pub fn good(self, feed: Feed, number: u64) -> Message {
        let (subject, value) = self.parts(feed, number);
        Message { subject, payload: value.to_string().into_bytes(), marker: number }
    }

    /// The good messages with these numbers.
    pub fn range(
        self,
        feed: Feed,
        numbers: std::ops::Range<u64>,
    ) -> impl Iterator<Item = Message> + Send {
        numbers.map(move |number| self.good(feed, number))
    }

    /// A message that becomes a dead letter.
    pub fn broken(self, feed: Feed, number: u64, defect: Defect) -> Message {
        let (subject, mut value) = self.parts(feed, number);
        let payload = match (defect, wrong_type(feed)) {
            (Defect::NotAnObject, _) => number.to_string().into_bytes(),
            (Defect::WrongType, Some((field, word))) => {
                value[field] = json!(word);
                value.to_string().into_bytes()
            }
            (Defect::NoHost, _) if feed == Feed::Sweep => {
                value.as_object_mut().expect("an object").remove("host_ip");
                value.to_string().into_bytes()
            }
            _ => {
                let mut bytes = value.to_string().into_bytes();
                bytes.truncate(bytes.len() / 2);
                bytes
            }
        };
        Message { subject, payload, marker: number }
    }

    fn parts(self, feed: Feed, number: u64) -> (String, Value) {
        let mut random = Random::new(self.seed, feed, number);
        let time = self.start + number;
        match feed {
            Feed::Telemetry => telemetry(&mut random, time, number),
            Feed::Events => event(&mut random, time, number),
            Feed::Sweep => sweep(&mut random, time, number),
            Feed::Netflow => netflow(&mut random, time, number),
            Feed::OtelMetrics => otel_metric(&mut random, time, number),
            Feed::OtelTraces => otel_trace(&mut random, time, number),
            Feed::Logs => log(&mut random, time, number),
        }
    }
}

/// A numeric field, and a word for it that is no number.
fn wrong_type(feed: Feed) -> Option<(&'static str, &'static str)> {
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
    let device = random.address();
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
        // Events take Unix seconds, with a fraction.
        "time": time as f64 / 1000.0,
        "host": format!("fw{}", random.below(20)),
        "level": random.below(8),
        "remote_addr": random.address(),
        "data": {"message": random.pick(&["link down", "denied", "login failed", "über 90 %"])},
    });
    ("events.syslog".to_owned(), message)
}

fn sweep(random: &mut Random, time: u64, number: u64) -> (String, Value) {
    let up = random.below(4) > 0;
    let message = json!({
        // Unique below 16 million.
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
    });
    ("sweep.results".to_owned(), message)
}

fn netflow(random: &mut Random, time: u64, number: u64) -> (String, Value) {
    let message = json!({
        "timestamp": time,
        "poller_id": format!("poller-{}", random.below(4)),
        "flow_direction": random.pick(&["ingress", "egress"]),
        "src_addr": random.address(),
        "dst_addr": random.address(),
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
        "trace_id": format!("{:032x}", u128::from(random.next()) << 64 | u128::from(number)),
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
        "trace_id": format!("{:032x}", u128::from(random.next()) << 64 | u128::from(number)),
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
        "trace_id": format!("{:032x}", u128::from(random.next()) << 64 | u128::from(number)),
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

/// SplitMix64: small, fast, and the same everywhere.
struct Random(u64);

impl Random {
    fn new(seed: u64, feed: Feed, number: u64) -> Self {
        Self(seed ^ (feed as u64) << 56 ^ number.wrapping_mul(0xd134_2543_de82_ef95))
    }

    fn next(&mut self) -> u64 {
        self.0 = self.0.wrapping_add(0x9e37_79b9_7f4a_7c15);
        let mut mixed = self.0;
        mixed = (mixed ^ mixed >> 30).wrapping_mul(0xbf58_476d_1ce4_e5b9);
        mixed = (mixed ^ mixed >> 27).wrapping_mul(0x94d0_49bb_1331_11eb);
        mixed ^ mixed >> 31
    }

    fn below(&mut self, limit: u64) -> u64 {
        self.next() % limit
    }

    fn pick<'a>(&mut self, words: &[&'a str]) -> &'a str {
        words[self.below(words.len() as u64) as usize]
    }

    fn address(&mut self) -> String {
        format!("10.{}.{}.{}", self.below(8), self.below(256), 1 + self.below(254))
    }
}
