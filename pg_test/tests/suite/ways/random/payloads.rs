//! Random payloads that no sender would make: for each key of a format, whether it is present, its
//! spelling, and a value of its kind or, rarely, of any other.

use pg_test::feed::Feed;
use pg_test::random::Random;
use std::fmt::Write as _;

use super::values::{
    boolean, date, document, event_type, float, integer, level, millis_or_nanos, noise, odd_time,
    seconds, seconds_or_millis, text, wide,
};

/// Draws a value, as it stands in JSON.
pub type Draw = fn(&mut Random) -> String;

/// One message, and what may become of it.
#[derive(Clone)]
pub struct Odd {
    pub payload: Vec<u8>,
    /// Rows, if it is not refused.
    pub objects: usize,
    /// Values of the marker column of some of them; only a repeated object has the same.
    pub markers: Vec<String>,
    /// It must be refused.
    pub broken: bool,
}

/// The columns of a unique key of the destination; the marker is among them.
pub fn unique_key(feed: Feed) -> &'static str {
    match feed {
        Feed::Telemetry => "timestamp, metric_name",
        Feed::Events => "event_timestamp, id",
        Feed::Sweep => "host_ip, poller_id, partition, last_sweep_time",
        Feed::Netflow => "timestamp, src_addr",
        Feed::OtelMetrics => "timestamp, span_name, service_name, span_id",
        Feed::OtelTraces | Feed::Logs => "timestamp, trace_id, span_id",
    }
}

/// A text column, which is also the first key that its value is taken from.
pub fn marker_column(feed: Feed) -> &'static str {
    match feed {
        Feed::Telemetry => "metric_name",
        Feed::Events => "id",
        Feed::Sweep => "host_ip",
        Feed::Netflow => "src_addr",
        Feed::OtelMetrics | Feed::OtelTraces | Feed::Logs => "span_id",
    }
}

/// The keys of a format by kind; most have a second spelling in camel case.
#[rustfmt::skip]
fn keys(feed: Feed) -> Vec<(Draw, &'static str)> {
    match feed {
        Feed::Telemetry => vec![
            (seconds_or_millis, "timestamp"), (float, "value scale"), (integer, "if_index"), (boolean, "is_delta"),
            (text, "poller_id agent_id metric_name name metric_type type device_id unit partition target_device_ip"),
            (document, "tags metadata"),
        ],
        Feed::Events => vec![
            (seconds, "time timestamp"), (level, "level"), (event_type, "type subject"), (data, "data"),
            (text, "specversion id source datacontenttype remote_addr _remote_addr host severity short_message message msg version"),
        ],
        Feed::Sweep => vec![
            (seconds_or_millis, "last_sweep_time first_seen"), (boolean, "icmp_available"),
            (wide, "icmp_response_time_ns"), (float, "icmp_packet_loss"),
            (text, "host_ip ip poller_id agent_id partition network_cidr hostname mac"),
            (document, "tcp_ports_scanned tcp_ports_open port_scan_results metadata"),
        ],
        Feed::Netflow => vec![
            (seconds_or_millis, "timestamp"), (integer, "src_port dst_port source_port protocol input_snmp output_snmp"),
            (wide, "packets octets bytes"), (document, "metadata"),
            (text, "poller_id agent_id device_id flow_direction src_addr dst_addr source_address sampler_address"),
        ],
        Feed::OtelMetrics => vec![
            (millis_or_nanos, "timestamp"), (float, "duration_ms duration_seconds"), (boolean, "is_slow"),
            (text, "trace_id span_id service_name span_name name span_kind metric_type http_method http_route \
                http_status_code grpc_service grpc_method grpc_status_code component level"),
        ],
        Feed::OtelTraces => vec![
            (millis_or_nanos, "timestamp start_time_unix_nano end_time_unix_nano"), (integer, "kind status_code"),
            (text, "trace_id span_id parent_span_id name service_name service_version service_instance scope_name \
                scope_version status_message"),
            (document, "attributes resource_attributes events links"),
        ],
        Feed::Logs => vec![
            (millis_or_nanos, "timestamp time_unix_nano"), (integer, "severity_number"),
            (text, "trace_id span_id severity_text level message msg short_message service_name service_version \
                service_instance scope_name scope_version"),
            (document, "body attributes resource_attributes"),
        ],
    }
}

/// Returns the `data` of an event.
fn data(random: &mut Random) -> String {
    let keys: [(Draw, &str); 4] = [
        (seconds, "timestamp"),
        (level, "level"),
        (event_type, "current_state action"),
        (
            text,
            "poller_id previous_state device_id actor host severity message remote_addr version",
        ),
    ];
    match random.below(4) {
        0 => text(random),
        _ => format!("{{{}}}", members(random, &keys, true).join(",")),
    }
}

/// A member that the table refuses: too long for an index, or too large for jsonb.
fn refused(random: &mut Random, feed: Feed) -> String {
    let key = match feed {
        Feed::Sweep | Feed::Netflow => return r#""metadata":{"a":1e200000}"#.to_owned(),
        Feed::Telemetry => "device_id",
        Feed::Events => "subject",
        Feed::OtelMetrics => "component",
        Feed::OtelTraces | Feed::Logs => "trace_id",
    };
    format!("\"{key}\":{}", noise(random, 400))
}

/// A number of messages of one feed. In some lots messages are there more than once, and in some
/// there are such as the table refuses: both end a COPY, so the other lots have neither.
pub fn draw_messages(random: &mut Random, feed: Feed, count: usize) -> Vec<Odd> {
    let (repeats, refusals) = (random.below(3) == 0, random.below(3) == 0);
    let mut drawn: Vec<Odd> = Vec::with_capacity(count);
    for number in 0..count {
        let message = match repeats && !drawn.is_empty() && random.below(8) == 0 {
            true => random.pick(&drawn).clone(),
            false => message(random, feed, number, refusals),
        };
        drawn.push(message);
    }
    drawn
}

fn message(random: &mut Random, feed: Feed, number: usize, refusals: bool) -> Odd {
    let keys = keys(feed);
    let size = match random.below(40) {
        0 => Some(40),
        1..=5 => Some(random.below(6) as usize),
        _ => None,
    };
    let wild = random.below(6) == 0;
    let mut markers = Vec::new();
    let mut objects = Vec::new();
    for element in 0..size.unwrap_or(1) {
        let mut members = members(random, &keys, wild);
        if random.below(8) > 0 {
            let marker = format!("m{number}.{element}");
            // If a key occurs twice, the later one counts.
            members.push(format!("\"{}\":\"{marker}\"", marker_column(feed)));
            markers.push(marker);
        }
        if refusals && random.below(20) == 0 {
            members.push(refused(random, feed));
        }
        objects.push(format!("{{{}}}", members.join(",")));
    }
    let payload = match size {
        None => objects.concat(),
        Some(_) => format!("[{}]", objects.join(", ")),
    };
    let broken = random.below(25) == 0;
    Odd {
        payload: match broken {
            true => break_it(random, payload.into_bytes()),
            false => payload.into_bytes(),
        },
        objects: objects.len(),
        markers,
        broken,
    }
}

fn members(random: &mut Random, keys: &[(Draw, &str)], wild: bool) -> Vec<String> {
    let mut members = vec!["\"unknown\":[{}]".to_owned()];
    for (draw, names) in keys {
        for name in names.split_whitespace() {
            let camel = camel_case(name);
            for key in [name, &camel] {
                let value = match random.below(12) {
                    0..5 => continue,
                    5 => "null".to_owned(),
                    _ if wild && random.below(12) == 0 => anything(random),
                    _ => draw(random),
                };
                members.push(format!("\"{key}\" :{value}"));
            }
        }
    }
    random.shuffle(&mut members);
    members
}

fn anything(random: &mut Random) -> String {
    let draws: [Draw; 8] = [
        text, integer, wide, float, boolean, document, date, odd_time,
    ];
    random.pick(&draws)(random)
}

/// `if_index` becomes `ifIndex`.
fn camel_case(name: &str) -> String {
    let mut words = name.split('_').filter(|word| !word.is_empty());
    let mut camel = words.next().unwrap_or_default().to_owned();
    for word in words {
        let (first, rest) = word.split_at(1);
        let _ = write!(camel, "{}{rest}", first.to_uppercase());
    }
    camel
}

fn break_it(random: &mut Random, mut payload: Vec<u8>) -> Vec<u8> {
    match random.below(5) {
        0 => payload.truncate(random.below(payload.len() as u64) as usize),
        1 => payload.push(b'}'),
        2 => payload.insert(1, 0xff),
        3 => payload = b"-1.5e3".to_vec(),
        _ => payload = [b"[", &payload[..], b",7]"].concat(),
    }
    payload
}
