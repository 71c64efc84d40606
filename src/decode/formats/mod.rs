//! The payload formats. A new one is a file here and a line in `FORMATS`, and a line in `PRESETS`
//! if its pipelines need no options.

mod events;
mod logs;
mod netflow;
mod otel_metrics;
mod otel_traces;
mod sweep;
mod telemetry;

use std::sync::LazyLock;

use crate::{FormatRef, Preset};

static FORMATS: LazyLock<[FormatRef; 7]> = LazyLock::new(|| {
    [
        FormatRef::new(telemetry::format()),
        FormatRef::new(events::format()),
        FormatRef::new(sweep::format()),
        FormatRef::new(netflow::format()),
        FormatRef::new(otel_metrics::format()),
        FormatRef::new(otel_traces::format()),
        FormatRef::new(logs::format()),
    ]
});

/// All presets, in the order in which pipelines are listed.
pub const PRESETS: [Preset; 7] = [
    telemetry::PRESET,
    events::PRESET,
    sweep::PRESET,
    netflow::PRESET,
    otel_metrics::PRESET,
    otel_traces::PRESET,
    logs::PRESET,
];

/// Returns all formats.
pub fn formats() -> &'static [FormatRef] {
    &*FORMATS
}

/// Returns the format with this name, which may be written `OtelMetrics`, `otel_metrics` or
/// `otel-metrics`.
pub fn format(name: &str) -> Option<&'static FormatRef> {
    formats()
        .iter()
        .find(|format| letters(format.name()).eq(letters(name)))
}

/// Returns the characters of a name by which formats are compared.
fn letters(name: &str) -> impl Iterator<Item = char> {
    name.chars()
        .filter(|c| !matches!(c, '_' | '-'))
        .map(|c| c.to_ascii_lowercase())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_format_is_found_however_its_name_is_written() {
        for name in ["OtelMetrics", "otel_metrics", "OTEL-METRICS", "otelmetrics"] {
            assert_eq!(format(name).unwrap().name(), "OtelMetrics");
        }
        for name in ["", "otel metrics", "otel", "unknown"] {
            assert!(format(name).is_none(), "{name}");
        }
    }

    #[test]
    fn a_preset_names_its_format() {
        for (preset, known) in PRESETS.iter().zip(formats()) {
            assert_eq!(format(preset.format), Some(known), "{}", preset.pipeline);
        }
    }

    #[test]
    fn tables_are_consistent() {
        for table in formats().iter().flat_map(|format| format.tables()) {
            let time = &table.columns[table.position(&table.time).unwrap()];
            assert!(
                time.required && time.kind == row::Kind::Timestamp,
                "{}",
                table.name
            );
            for (at, column) in table.columns.iter().enumerate() {
                assert_eq!(
                    table.position(&column.name),
                    Some(at),
                    "{} twice",
                    column.name
                );
                let alias = (column.name == "poller_id").then_some("gateway_id");
                assert_eq!(
                    column.alias.as_deref(),
                    alias,
                    "{}.{}",
                    table.name,
                    column.name
                );
            }
            if let row::Conflict::Update { key, columns } = &table.conflict {
                assert!(
                    key.iter()
                        .chain(columns)
                        .all(|name| table.position(name).is_some())
                );
                assert!(
                    key.iter()
                        .all(|k| table.columns[table.position(k).unwrap()].required)
                );
            }
        }
    }
}
