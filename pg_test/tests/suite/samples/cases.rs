//! Samples of the seven formats of docs/formats.md: payload in, row out.

use pg_test::feed::Feed;
use serde_json::json;

use super::case::{Case, case, without_row};
use super::compare::{HEX16, NOW};

/// All of them, in the order in which they are to be published.
pub fn all() -> Vec<Case> {
    [
        telemetry(),
        events(),
        sweep(),
        netflow(),
        otel_metrics(),
        otel_traces(),
        logs(),
    ]
    .into_iter()
    .flatten()
    .collect()
}

fn telemetry() -> Vec<Case> {
    let t = |name, payload, row| case(name, Feed::Telemetry, "telemetry.snmp", payload, row);
    vec![
        t(
            "T1",
            r#"{"timestamp":"2025-12-29T16:43:34.123456Z","poller_id":"poller-a","agent_id":"agent-a","metric_name":"ifInOctets","metric_type":"counter","device_id":"default:10.0.0.1","value":1234567,"unit":"bytes","tags":{"if":"eth0"},"is_delta":true,"target_device_ip":"10.0.0.1","if_index":3,"metadata":"{\"oid\":\"1.3.6\"}"}"#,
            json!({
                "timestamp": "2025-12-29T16:43:34.123456+00:00", "poller_id": "poller-a",
                "agent_id": "agent-a", "metric_name": "ifInOctets", "metric_type": "counter",
                "device_id": "default:10.0.0.1", "value": 1_234_567, "unit": "bytes",
                "tags": {"if": "eth0"}, "is_delta": true, "target_device_ip": "10.0.0.1",
                "if_index": 3, "metadata": {"oid": "1.3.6"},
            }),
        ),
        t(
            "T2",
            r#"{"timestamp":1767026614123,"name":"cpu_usage","value":"45.5%","pollerId":"p2"}"#,
            json!({
                "timestamp": "2025-12-29T16:43:34.123+00:00", "poller_id": "p2",
                "metric_name": "cpu_usage", "metric_type": "gauge", "value": 45.5,
                "is_delta": false,
            }),
        ),
        t(
            "T3",
            r#"{"value":null}"#,
            json!({
                "timestamp": NOW, "poller_id": "unknown", "metric_name": "unknown",
                "metric_type": "gauge", "value": 0, "is_delta": false,
            }),
        ),
        t(
            "T4",
            r#"{"timestamp":1767026614,"value":1,"metricName":"x"}"#,
            json!({
                "timestamp": "2025-12-29T16:43:34+00:00", "poller_id": "unknown",
                "metric_name": "x", "metric_type": "gauge", "value": 1, "is_delta": false,
            }),
        ),
    ]
}

fn events() -> Vec<Case> {
    let e = |name, payload, row| case(name, Feed::Events, "events.syslog", payload, row);
    vec![
        e(
            "E1",
            r#"{"specversion":"1.0","id":"ev-1","source":"nats://events/events.syslog","type":"syslog","time":"2025-12-29T16:43:34Z","subject":"events.syslog","data":{"message":"link down"}}"#,
            json!({
                "event_timestamp": "2025-12-29T16:43:34+00:00", "specversion": "1.0", "id": "ev-1",
                "source": "nats://events/events.syslog", "type": "syslog",
                "subject": "events.syslog", "short_message": "link down",
            }),
        ),
        // E3 updates message, level and severity of it; a word as level gives a severity as well.
        e(
            "E2 and E3",
            r#"{"version":"1.1","host":"fw1","short_message":"denied","timestamp":1767026614.25,"level":4,"_remote_addr":"192.0.2.9","id":"g-1"}"#,
            json!({
                "event_timestamp": "2025-12-29T16:43:34.25+00:00", "id": "g-1", "host": "fw1",
                "version": "1.1", "remote_addr": "192.0.2.9", "short_message": "retry",
                "level": 3, "severity": "error",
            }),
        )
        .needing_the_table(),
        without_row(
            "E3",
            Feed::Events,
            "events.syslog",
            r#"{"id":"g-1","timestamp":1767026614.25,"level":"error","msg":"retry"}"#,
            false,
        ),
        case(
            "E4",
            Feed::Events,
            "events.poller.health",
            r#"{"specversion":"1.0","id":"h1","type":"com.carverauto.serviceradar.poller.health","source":"core","subject":"events.poller.health","data":{"poller_id":"p1","previous_state":"healthy","current_state":"unhealthy","timestamp":"2025-12-29T16:43:34Z","host":"h","remote_addr":"10.0.0.2"}}"#,
            json!({
                "event_timestamp": "2025-12-29T16:43:34+00:00", "specversion": "1.0", "id": "h1",
                "type": "com.carverauto.serviceradar.poller.health", "source": "core",
                "subject": "events.poller.health", "level": 3, "severity": "error", "host": "h",
                "remote_addr": "10.0.0.2", "version": "1.1",
                "short_message": "Poller p1 state changed from healthy to unhealthy",
            }),
        ),
    ]
}

fn sweep() -> Vec<Case> {
    const S1: &str = r#"{"host_ip":"192.168.1.100","poller_id":"p1","agent_id":"a1","network_cidr":"192.168.1.0/24","hostname":"srv","mac":"00:11:22:33:44:55","icmp_available":true,"icmp_response_time_ns":1500000,"icmp_packet_loss":0.0,"tcp_ports_scanned":[22,80],"tcp_ports_open":[22],"last_sweep_time":"2025-12-29T16:43:34Z","first_seen":"2025-12-01T00:00:00Z"}"#;
    let s = |name, payload, row| case(name, Feed::Sweep, "sweep.results", payload, row);
    let without =
        |name, payload, refused| without_row(name, Feed::Sweep, "sweep.results", payload, refused);
    vec![
        s(
            "S1",
            S1,
            json!({
                "host_ip": "192.168.1.100", "poller_id": "p1", "agent_id": "a1",
                "partition": "default", "network_cidr": "192.168.1.0/24", "hostname": "srv",
                "mac": "00:11:22:33:44:55", "icmp_available": true,
                "icmp_response_time_ns": 1_500_000, "icmp_packet_loss": 0,
                "tcp_ports_scanned": [22, 80], "tcp_ports_open": [22],
                "last_sweep_time": "2025-12-29T16:43:34+00:00",
                "first_seen": "2025-12-01T00:00:00+00:00",
            }),
        ),
        without("S4", r#"{"poller_id":"p1"}"#, true),
        s(
            "S2",
            r#"{"ip":"192.168.1.101","icmpAvailable":false,"lastSweepTime":1767026614}"#,
            json!({
                "host_ip": "192.168.1.101", "poller_id": "unknown", "agent_id": "unknown",
                "partition": "default", "icmp_available": false,
                "last_sweep_time": "2025-12-29T16:43:34+00:00", "first_seen": NOW,
            }),
        ),
        without("S3", S1, false),
    ]
}

fn netflow() -> Vec<Case> {
    let n = |name, payload, row| case(name, Feed::Netflow, "netflow.flows", payload, row);
    vec![
        n(
            "N1",
            r#"{"timestamp":"2025-12-29T16:43:34Z","poller_id":"p1","flow_direction":"ingress","src_addr":"192.168.1.100","dst_addr":"10.0.0.1","src_port":45678,"dst_port":443,"protocol":6,"packets":100,"octets":150000,"sampler_address":"10.0.0.254","input_snmp":1,"output_snmp":2}"#,
            json!({
                "timestamp": "2025-12-29T16:43:34+00:00", "poller_id": "p1",
                "flow_direction": "ingress", "src_addr": "192.168.1.100", "dst_addr": "10.0.0.1",
                "src_port": 45678, "dst_port": 443, "protocol": 6, "packets": 100,
                "octets": 150_000, "sampler_address": "10.0.0.254", "input_snmp": 1,
                "output_snmp": 2,
            }),
        ),
        n(
            "N2",
            r#"{"timestamp":1767026614000,"sourceAddress":"2001:db8::1","destinationAddress":"2001:db8::2","sourcePort":53,"destinationPort":40000,"protocol":17,"packets":1,"bytes":80}"#,
            json!({
                "timestamp": "2025-12-29T16:43:34+00:00", "src_addr": "2001:db8::1",
                "dst_addr": "2001:db8::2", "src_port": 53, "dst_port": 40000, "protocol": 17,
                "packets": 1, "octets": 80,
            }),
        ),
    ]
}

fn otel_metrics() -> Vec<Case> {
    let m = |name, subject, payload, row| case(name, Feed::OtelMetrics, subject, payload, row);
    vec![
        m(
            "M1",
            "otel.metrics.app",
            r#"{"timestamp":"2025-12-29T16:43:34Z","trace_id":"abc123","span_id":"def456","service_name":"api","span_name":"GET /users","span_kind":"SERVER","duration_ms":150.5,"http_method":"GET","http_route":"/users","http_status_code":200,"is_slow":true}"#,
            json!({
                "timestamp": "2025-12-29T16:43:34+00:00", "trace_id": "abc123",
                "span_id": "def456", "service_name": "api", "span_name": "GET /users",
                "span_kind": "SERVER", "duration_ms": 150.5, "duration_seconds": 0.1505,
                "http_method": "GET", "http_route": "/users", "http_status_code": "200",
                "grpc_status_code": "", "is_slow": true,
            }),
        ),
        m(
            "M2",
            "otel.metrics.app",
            r#"{"timestamp":1767026614000,"spanId":"s1","serviceName":"g","name":"op","durationSeconds":1.5,"grpcStatusCode":0}"#,
            json!({
                "timestamp": "2025-12-29T16:43:34+00:00", "span_id": "s1", "service_name": "g",
                "span_name": "op", "duration_ms": 1500, "duration_seconds": 1.5,
                "grpc_status_code": "0", "http_status_code": "", "is_slow": false,
            }),
        ),
        // Two objects with the same key: the first stays.
        m(
            "M3",
            "otel.metrics.derived",
            r#"[{"timestamp":"2026-05-01T10:00:00.123456789+00:00","trace_id":"0af7651916cd43dd8448eb211c80319c","span_id":"b7ad6b7169203331","service_name":"core","span_name":"Repo.query","span_kind":"CLIENT","duration_ms":250.0,"duration_seconds":0.25,"metric_type":"span","http_method":null,"http_route":null,"http_status_code":null,"grpc_service":null,"grpc_method":null,"grpc_status_code":null,"is_slow":true,"component":"otel-collector","level":"warn"},{"timestamp":"2026-05-01T10:00:00.123456789+00:00","trace_id":"0af7651916cd43dd8448eb211c80319c","span_id":"b7ad6b7169203331","service_name":"core","span_name":"Repo.query","span_kind":"CLIENT","duration_ms":250.0,"duration_seconds":0.25,"metric_type":"slow_span","http_method":null,"http_route":null,"http_status_code":null,"grpc_service":null,"grpc_method":null,"grpc_status_code":null,"is_slow":true,"component":"otel-collector","level":"warn"}]"#,
            json!({
                "timestamp": "2026-05-01T10:00:00.123456+00:00",
                "trace_id": "0af7651916cd43dd8448eb211c80319c", "span_id": "b7ad6b7169203331",
                "service_name": "core", "span_name": "Repo.query", "span_kind": "CLIENT",
                "duration_ms": 250, "duration_seconds": 0.25, "metric_type": "span",
                "http_status_code": "", "grpc_status_code": "", "is_slow": true,
                "component": "otel-collector", "level": "warn",
            }),
        ),
    ]
}

fn otel_traces() -> Vec<Case> {
    let r = |name, payload, row| case(name, Feed::OtelTraces, "otel.traces.app", payload, row);
    vec![
        r(
            "R1",
            r#"{"timestamp":"2025-12-29T16:43:34Z","trace_id":"t1","span_id":"s1","name":"GET","kind":2,"start_time_unix_nano":1767026614000000000,"end_time_unix_nano":"1767026614100000000","service_name":"api","status_code":1,"attributes":{"http.method":"GET"},"events":[{"name":"e"}],"links":[]}"#,
            json!({
                "timestamp": "2025-12-29T16:43:34+00:00", "trace_id": "t1", "span_id": "s1",
                "name": "GET", "kind": 2, "start_time_unix_nano": 1_767_026_614_000_000_000_i64,
                "end_time_unix_nano": 1_767_026_614_100_000_000_i64, "service_name": "api",
                "status_code": 1, "attributes": r#"{"http.method":"GET"}"#,
                "events": r#"[{"name":"e"}]"#, "links": "[]",
            }),
        ),
        r(
            "R2",
            r#"{"traceId":"t2","spanId":"s2","startTimeUnixNano":9223372036854776807}"#,
            json!({
                "timestamp": NOW, "trace_id": "t2", "span_id": "s2",
                "start_time_unix_nano": i64::MAX, "service_name": "unknown",
            }),
        ),
    ]
}

fn logs() -> Vec<Case> {
    let l = |name, payload, row| case(name, Feed::Logs, "logs.app", payload, row);
    vec![
        l(
            "L1",
            r#"{"timestamp":"2025-12-29T16:43:34Z","trace_id":"t1","span_id":"s1","severity_text":"INFO","severity_number":9,"body":"started","service_name":"api","attributes":{"k":"v"},"resource_attributes":{"host.name":"h1"}}"#,
            json!({
                "timestamp": "2025-12-29T16:43:34+00:00", "trace_id": "t1", "span_id": "s1",
                "severity_text": "INFO", "severity_number": 9, "body": "started",
                "service_name": "api", "attributes": r#"{"k":"v"}"#,
                "resource_attributes": r#"{"host.name":"h1"}"#,
            }),
        ),
        l(
            "L2",
            r#"{"time_unix_nano":1767026614000000000,"level":"WARNING","message":"disk"}"#,
            json!({
                "timestamp": "2025-12-29T16:43:34+00:00", "trace_id": HEX16, "span_id": HEX16,
                "severity_text": "WARNING", "body": "disk", "service_name": "unknown",
            }),
        ),
    ]
}
