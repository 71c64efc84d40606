//! The seven presets: pipelines that `streams` may name without further options. Subjects, batch
//! sizes and timeouts are those of ServiceRadar's `EventWriter`.

use std::time::Duration;

/// Options of a pipeline that the user's own go before.
pub(super) struct Preset {
    pub(super) name: &'static str,
    pub(super) guc: &'static std::ffi::CStr,
    pub(super) processor: &'static str,
    pub(super) subject: &'static str,
    pub(super) batch_size: usize,
    pub(super) batch_timeout: Duration,
}

const fn preset(
    name: &'static str,
    guc: &'static std::ffi::CStr,
    processor: &'static str,
    subject: &'static str,
    batch_size: usize,
    batch_timeout_ms: u64,
) -> Preset {
    let batch_timeout = Duration::from_millis(batch_timeout_ms);
    Preset {
        name,
        guc,
        processor,
        subject,
        batch_size,
        batch_timeout,
    }
}

pub(super) const PRESETS: [Preset; 7] = [
    preset(
        "telemetry",
        c"sr_event_writer.stream_telemetry",
        "Telemetry",
        "telemetry.>",
        100,
        1000,
    ),
    preset(
        "events",
        c"sr_event_writer.stream_events",
        "Events",
        "events.>",
        100,
        1000,
    ),
    preset(
        "sweep",
        c"sr_event_writer.stream_sweep",
        "Sweep",
        "sweep.>",
        50,
        2000,
    ),
    preset(
        "netflow",
        c"sr_event_writer.stream_netflow",
        "NetFlow",
        "netflow.>",
        200,
        500,
    ),
    preset(
        "otel_metrics",
        c"sr_event_writer.stream_otel_metrics",
        "OtelMetrics",
        "otel.metrics.>",
        100,
        1000,
    ),
    preset(
        "otel_traces",
        c"sr_event_writer.stream_otel_traces",
        "OtelTraces",
        "otel.traces.>",
        100,
        1000,
    ),
    preset(
        "logs",
        c"sr_event_writer.stream_logs",
        "Logs",
        "logs.>",
        100,
        1000,
    ),
];

/// All presets by name, as `streams` wants them.
pub(super) const DEFAULT_STREAMS: &std::ffi::CStr =
    c"telemetry, events, sweep, netflow, otel_metrics, otel_traces, logs";

pub(super) fn find(name: &str) -> Option<&'static Preset> {
    PRESETS.iter().find(|preset| preset.name == name)
}
