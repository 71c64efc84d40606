//! The default options of a format's pipeline: plain data, declared in the format's file. Only the
//! settings use it.

/// A pipeline that settings may name without giving it options. Subjects, batch sizes and timeouts
/// are those of ServiceRadar's `EventWriter`.
#[derive(Clone, Copy, Debug)]
pub struct Preset {
    /// Name of the pipeline.
    pub pipeline: &'static str,
    /// Name of the format.
    pub format: &'static str,
    /// Filter for the subjects of its messages.
    pub subject: &'static str,
    /// Messages of a batch.
    pub batch_size: usize,
    /// Milliseconds after which a smaller batch is written.
    pub batch_timeout_ms: u64,
}
