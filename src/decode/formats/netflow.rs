//! NetFlow: flows as JSON, from `netflow.>` to table `netflow_metrics` (docs/formats.md, NetFlow).
//! Addresses are kept as text, exactly as sent.

use row::Table;

use crate::Preset;
use crate::json_object::{
    ColumnMapping, ObjectFormat, columns, int4, int8, json_object, text, time, timestamp,
};

/// The default options of a pipeline of this format.
pub(super) const PRESET: Preset = Preset {
    pipeline: "netflow",
    format: NAME,
    subject: "netflow.>",
    batch_size: 200,
    batch_timeout_ms: 500,
};
const NAME: &str = "NetFlow";

/// Creates the format with its table.
pub(super) fn format() -> ObjectFormat {
    let table = Table::new("netflow_metrics", columns(&MAPPINGS), "timestamp");
    ObjectFormat::new(NAME, table, &MAPPINGS)
}

#[rustfmt::skip] // One line per column.
static MAPPINGS: [ColumnMapping; 16] = [
    timestamp("timestamp", &["timestamp"], time::seconds_or_millis).required(),
    text("poller_id", &["poller_id", "pollerId"]).alias("gateway_id"),
    text("agent_id", &["agent_id", "agentId"]),
    text("device_id", &["device_id", "deviceId"]),
    text("flow_direction", &["flow_direction", "flowDirection"]),
    text("src_addr", &["src_addr", "srcAddr", "sourceAddress"]),
    text("dst_addr", &["dst_addr", "dstAddr", "destinationAddress"]),
    int4("src_port", &["src_port", "srcPort", "sourcePort"]),
    int4("dst_port", &["dst_port", "dstPort", "destinationPort"]),
    int4("protocol", &["protocol"]),
    int8("packets", &["packets"]),
    int8("octets", &["octets", "bytes"]),
    text("sampler_address", &["sampler_address", "samplerAddress"]),
    int4("input_snmp", &["input_snmp", "inputSnmp"]),
    int4("output_snmp", &["output_snmp", "outputSnmp"]),
    json_object("metadata", &["metadata"]),
];

#[cfg(test)]
mod tests {
    use crate::testing::{assert_row, cell};

    #[test]
    fn n1_every_column() {
        assert_row(
            "NetFlow",
            r#"{"timestamp":"2025-12-29T16:43:34Z","poller_id":"p1","flow_direction":"ingress","src_addr":"192.168.1.100","dst_addr":"10.0.0.1","src_port":45678,"dst_port":443,"protocol":6,"packets":100,"octets":150000,"sampler_address":"10.0.0.254","input_snmp":1,"output_snmp":2}"#,
            &[
                ("timestamp", "2025-12-29T16:43:34.000000"),
                ("poller_id", "p1"),
                ("flow_direction", "ingress"),
                ("src_addr", "192.168.1.100"),
                ("dst_addr", "10.0.0.1"),
                ("src_port", "45678"),
                ("dst_port", "443"),
                ("protocol", "6"),
                ("packets", "100"),
                ("octets", "150000"),
                ("sampler_address", "10.0.0.254"),
                ("input_snmp", "1"),
                ("output_snmp", "2"),
            ],
        );
    }

    #[test]
    fn n2_long_names() {
        assert_row(
            "NetFlow",
            r#"{"timestamp":1767026614000,"sourceAddress":"2001:db8::1","destinationAddress":"2001:db8::2","sourcePort":53,"destinationPort":40000,"protocol":17,"packets":1,"bytes":80}"#,
            &[
                ("timestamp", "2025-12-29T16:43:34.000000"),
                ("src_addr", "2001:db8::1"),
                ("dst_addr", "2001:db8::2"),
                ("src_port", "53"),
                ("dst_port", "40000"),
                ("protocol", "17"),
                ("packets", "1"),
                ("octets", "80"),
            ],
        );
    }

    #[test]
    fn other_spellings() {
        let all = r#"{"pollerId":"p","agentId":"a","deviceId":"d","flowDirection":"out","srcAddr":"s","dstAddr":"t","srcPort":1,"dstPort":2,"samplerAddress":"x","inputSnmp":3,"outputSnmp":4,"metadata":{"as":1}}"#;
        for (column, text) in [
            ("timestamp", "now"),
            ("poller_id", "p"),
            ("agent_id", "a"),
            ("device_id", "d"),
            ("flow_direction", "out"),
            ("src_addr", "s"),
            ("dst_addr", "t"),
            ("src_port", "1"),
            ("dst_port", "2"),
            ("sampler_address", "x"),
            ("input_snmp", "3"),
            ("output_snmp", "4"),
            ("metadata", r#"{"as":1}"#),
        ] {
            assert_eq!(
                cell("NetFlow", all, column).as_deref(),
                Some(text),
                "{column}"
            );
        }
    }

    #[test]
    fn an_empty_flow_is_a_row_of_nothing_but_now() {
        assert_row("NetFlow", "{}", &[("timestamp", "now")]);
    }
}
