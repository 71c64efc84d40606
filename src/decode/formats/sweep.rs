//! Sweep: results of network sweeps, from `sweep.>` to table `sweep_host_states` (docs/formats.md,
//! Sweep).

use row::Cell::Text;
use row::{Kind, Table};

use crate::json::Raw;
use crate::json_object::{
    ColumnMapping, ConvertedValue, Member, ObjectFormat, boolean, columns, convert, converted,
    float8, int8, json, text, time, timestamp,
};
use crate::{Preset, Reject};

/// The default options of a pipeline of this format.
pub(super) const PRESET: Preset = Preset {
    pipeline: "sweep",
    format: NAME,
    subject: "sweep.>",
    batch_size: 50,
    batch_timeout_ms: 2000,
};
const NAME: &str = "Sweep";

/// Creates the format with its table.
pub(super) fn format() -> ObjectFormat {
    let table = Table::new("sweep_host_states", columns(&MAPPINGS), "last_sweep_time");
    ObjectFormat::new(NAME, table, &MAPPINGS)
}

#[rustfmt::skip] // One line per column.
static MAPPINGS: [ColumnMapping; 16] = [
    converted("host_ip", Kind::Text, &["host_ip", "hostIp", "ip"], host).or_reject().required(),
    text("poller_id", &["poller_id", "pollerId"]).alias("gateway_id").or(Text("unknown"))
        .required(),
    text("agent_id", &["agent_id", "agentId"]).or(Text("unknown")),
    text("partition", &["partition"]).or(Text("default")).required(),
    text("network_cidr", &["network_cidr", "networkCidr"]),
    text("hostname", &["hostname"]),
    text("mac", &["mac"]),
    boolean("icmp_available", &["icmp_available", "icmpAvailable"]),
    int8("icmp_response_time_ns", &["icmp_response_time_ns", "icmpResponseTimeNs"]),
    float8("icmp_packet_loss", &["icmp_packet_loss", "icmpPacketLoss"]),
    json("tcp_ports_scanned", &["tcp_ports_scanned", "tcpPortsScanned"]),
    json("tcp_ports_open", &["tcp_ports_open", "tcpPortsOpen"]),
    json("port_scan_results", &["port_scan_results", "portScanResults"]),
    timestamp("last_sweep_time", &["last_sweep_time", "lastSweepTime"], time::seconds_or_millis)
        .required(),
    timestamp("first_seen", &["first_seen", "firstSeen"], time::seconds_or_millis),
    json("metadata", &["metadata"]),
];

/// Converts the host's address. A row is about a host, so an empty address is rejected like a
/// missing one.
fn host(member: Member<'_>) -> Result<ConvertedValue<'_>, Reject> {
    match member.raw {
        Raw::String(string) if string.text().is_empty() => Err(member.expected("an address")),
        _ => convert::text(member),
    }
}

#[cfg(test)]
mod tests {
    use crate::testing::{assert_row, cell, reject};

    #[test]
    fn s1_every_column() {
        assert_row(
            "Sweep",
            r#"{"host_ip":"192.168.1.100","poller_id":"p1","agent_id":"a1","network_cidr":"192.168.1.0/24","hostname":"srv","mac":"00:11:22:33:44:55","icmp_available":true,"icmp_response_time_ns":1500000,"icmp_packet_loss":0.0,"tcp_ports_scanned":[22,80],"tcp_ports_open":[22],"last_sweep_time":"2025-12-29T16:43:34Z","first_seen":"2025-12-01T00:00:00Z"}"#,
            &[
                ("host_ip", "192.168.1.100"),
                ("poller_id", "p1"),
                ("agent_id", "a1"),
                ("partition", "default"),
                ("network_cidr", "192.168.1.0/24"),
                ("hostname", "srv"),
                ("mac", "00:11:22:33:44:55"),
                ("icmp_available", "true"),
                ("icmp_response_time_ns", "1500000"),
                ("icmp_packet_loss", "0"),
                ("tcp_ports_scanned", "[22,80]"),
                ("tcp_ports_open", "[22]"),
                ("last_sweep_time", "2025-12-29T16:43:34.000000"),
                ("first_seen", "2025-12-01T00:00:00.000000"),
            ],
        );
    }

    #[test]
    fn s2_other_spellings_and_a_host_that_is_down() {
        assert_row(
            "Sweep",
            r#"{"ip":"192.168.1.101","icmpAvailable":false,"lastSweepTime":1767026614}"#,
            &[
                ("host_ip", "192.168.1.101"),
                ("poller_id", "unknown"),
                ("agent_id", "unknown"),
                ("partition", "default"),
                ("icmp_available", "false"),
                ("last_sweep_time", "2025-12-29T16:43:34.000000"),
                ("first_seen", "now"),
            ],
        );
    }

    #[test]
    fn s4_no_host() {
        assert_eq!(
            reject("Sweep", r#"{"poller_id":"p1"}"#),
            r#"field "host_ip": missing"#
        );
        assert_eq!(
            reject("Sweep", r#"{"ip":""}"#),
            r#"field "ip": expected an address, got """#
        );
    }

    #[test]
    fn other_spellings() {
        let all = r#"{"hostIp":"h","pollerId":"p","agentId":"a","networkCidr":"n","icmpResponseTimeNs":9,"icmpPacketLoss":0.5,"tcpPortsScanned":"[1]","tcpPortsOpen":{"22":true},"portScanResults":[ { } ],"firstSeen":1767026614000,"metadata":"x"}"#;
        for (column, text) in [
            ("host_ip", Some("h")),
            ("poller_id", Some("p")),
            ("agent_id", Some("a")),
            ("network_cidr", Some("n")),
            ("icmp_response_time_ns", Some("9")),
            ("icmp_packet_loss", Some("0.5")),
            ("tcp_ports_scanned", Some("[1]")),
            ("tcp_ports_open", Some(r#"{"22":true}"#)),
            ("port_scan_results", Some("[{}]")),
            ("first_seen", Some("2025-12-29T16:43:34.000000")),
            ("last_sweep_time", Some("now")),
            ("metadata", None),
        ] {
            assert_eq!(cell("Sweep", all, column).as_deref(), text, "{column}");
        }
    }
}
