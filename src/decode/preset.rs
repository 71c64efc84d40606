//! The default options of a format's pipeline. They are plain data that each format's file
//! declares, and only the settings use them.

/// A pipeline that settings may name without giving it options. Subjects, batch sizes and timeouts
/// are those of ServiceRadar's `EventWriter`.
#[derive(Clone, Copy, Debug)]
pub struct Preset {
    /// The name of the pipeline.
    pub pipeline: &'static str,
    /// The name of the format.
    pub format: &'static str,
    /// The filter for the subjects of its messages.
    pub subject: &'static str,
    /// Messages with which a batch is ready.
    pub batch_size: usize,
    /// Milliseconds that a message waits at most before its batch is ready.
    pub batch_timeout_ms: u64,
}
