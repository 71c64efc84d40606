//! The seven default streams, with the names of each: pipeline, subject, stream and table.

/// One of the seven streams.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash)]
#[allow(missing_docs, reason = "the names say it")]
pub enum Feed {
    Telemetry,
    Events,
    Sweep,
    Netflow,
    OtelMetrics,
    OtelTraces,
    Logs,
}

impl Feed {
    /// All seven.
    pub const ALL: [Self; 7] = [
        Self::Telemetry,
        Self::Events,
        Self::Sweep,
        Self::Netflow,
        Self::OtelMetrics,
        Self::OtelTraces,
        Self::Logs,
    ];

    /// Returns the name of the pipeline and of its format: `otel_metrics`.
    pub fn name(self) -> &'static str {
        match self {
            Self::Telemetry => "telemetry",
            Self::Events => "events",
            Self::Sweep => "sweep",
            Self::Netflow => "netflow",
            Self::OtelMetrics => "otel_metrics",
            Self::OtelTraces => "otel_traces",
            Self::Logs => "logs",
        }
    }

    /// Returns the name of the JetStream stream: `OTEL_METRICS`.
    pub fn stream(self) -> String {
        self.name().to_uppercase()
    }

    /// Returns the subjects that the stream takes: `otel.metrics.>`.
    pub fn subjects(self) -> String {
        format!("{}.>", self.name().replace('_', "."))
    }

    /// Returns the name of the durable consumer that the extension creates by default:
    /// `db-writer-otel-metrics`.
    pub fn consumer(self) -> String {
        format!("db-writer-{}", self.name().replace('_', "-"))
    }

    /// Returns the name of the destination.
    pub fn table(self) -> &'static str {
        match self {
            Self::Telemetry => "timeseries_metrics",
            Self::Events => "events",
            Self::Sweep => "sweep_host_states",
            Self::Netflow => "netflow_metrics",
            Self::OtelMetrics => "otel_metrics",
            Self::OtelTraces => "otel_traces",
            Self::Logs => "logs",
        }
    }

    /// Returns the time column of the destination.
    pub fn time_column(self) -> &'static str {
        match self {
            Self::Events => "event_timestamp",
            Self::Sweep => "last_sweep_time",
            _ => "timestamp",
        }
    }

    /// Returns the column that holds the marker of a generated message, which is unique.
    pub fn marker_column(self) -> &'static str {
        match self {
            Self::Telemetry => "value",
            Self::Events => "id",
            Self::Sweep => "host_ip",
            Self::Netflow => "octets",
            Self::OtelMetrics | Self::OtelTraces | Self::Logs => "span_id",
        }
    }

    /// Returns the number of a generated message, from the value of its marker column.
    pub fn number_of(self, marker: &str) -> Option<u64> {
        match self {
            Self::Telemetry | Self::Netflow => marker.parse().ok(),
            Self::Events => marker.strip_prefix("ev-")?.parse().ok(),
            Self::Sweep => {
                let address: std::net::Ipv4Addr = marker.parse().ok()?;
                Some(u64::from(u32::from(address) & 0x00ff_ffff))
            }
            Self::OtelMetrics | Self::OtelTraces | Self::Logs => {
                u64::from_str_radix(marker, 16).ok()
            }
        }
    }
}
