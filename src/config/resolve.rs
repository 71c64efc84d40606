//! Determines the settings of a pipeline: its own options take precedence over the preset's, and
//! these over the general settings. Also checks the pipelines against each other. Pure, like
//! [`super::parse`].

use super::parse::{self, Options, ParseError, refuse};
use super::preset::{self, Preset};
use super::{PipelineConfig, PipelineSettings};
use decode::FormatRef;
use std::time::Duration;

/// The general settings, for pipelines without an option or preset of their own.
pub(super) struct General {
    /// Messages with which a batch is ready.
    pub(super) batch_size: usize,
    /// The longest time that a message waits before its batch is ready.
    pub(super) batch_timeout: Duration,
    /// Rows or messages, whichever is larger, up to which a batch grows under backlog.
    pub(super) max_batch_rows: usize,
    /// The longest time that a row may lie before the publish time; `None` for no limit.
    pub(super) max_age: Option<Duration>,
    /// The longest time that a row may lie after the publish time; `None` for no limit.
    pub(super) max_future: Option<Duration>,
}

/// Merges the options of pipeline `name` with its preset and the general settings.
pub(super) fn pipeline(
    name: &str,
    options: Options,
    general: &General,
) -> Result<PipelineConfig, ParseError> {
    let preset = preset::find(name);
    let format = format(name, &options, preset)?;
    let tables = tables(name, options.tables, &format)?;
    let subjects = match (options.subjects, preset) {
        (Some(subjects), _) => subjects,
        (None, Some(preset)) => vec![preset.subject.to_owned()],
        (None, None) => return missing(name, "subject"),
    };
    Ok(PipelineConfig {
        nats: PipelineSettings {
            name: name.to_owned(),
            format,
            stream: options.nats_stream,
            subjects,
            batch_size: options
                .batch_size
                .or(preset.map(|p| p.batch_size))
                .unwrap_or(general.batch_size),
            batch_timeout: options
                .batch_timeout
                .or(preset.map(|p| Duration::from_millis(p.batch_timeout_ms)))
                .unwrap_or(general.batch_timeout),
            max_batch_rows: general.max_batch_rows,
            max_rate: options.max_rate.unwrap_or(0),
            max_age: general.max_age,
            max_future: general.max_future,
        },
        tables,
        columnstore: options.columnstore,
    })
}

/// Returns the pipeline's format: that of its options, else the preset's.
fn format(name: &str, options: &Options, preset: Option<&Preset>) -> Result<FormatRef, ParseError> {
    match (&options.processor, preset) {
        (Some(format), _) => Ok(format.clone()),
        (None, Some(preset)) => parse::processor(preset.format),
        (None, None) => missing(name, "processor"),
    }
}

/// Returns the tables that replace the format's own: all of them, or none.
fn tables(
    name: &str,
    chosen: Option<Vec<String>>,
    format: &FormatRef,
) -> Result<Vec<String>, ParseError> {
    let (chosen, own) = (chosen.unwrap_or_default(), format.tables().len());
    if chosen.is_empty() || chosen.len() == own {
        return Ok(chosen);
    }
    refuse(format!(
        "Option table of sr_event_writer.stream_{name} must name as many tables as processor {} fills: {own}, not {}.",
        format.name(),
        chosen.len()
    ))
}

/// Returns the error that a pipeline has neither a preset nor this option.
fn missing<T>(name: &str, option: &str) -> Result<T, ParseError> {
    refuse(format!(
        "Pipeline \"{name}\" is not a preset, so sr_event_writer.stream_{name} must give its {option}."
    ))
}

/// Refuses a `dead_letter_subject` below which a pipeline reads: a published dead letter that is
/// read as a message would become another dead letter, and so on without end. This concerns all
/// pipelines: if only the one that reads there stopped, the others would go on to fill its stream
/// with dead letters, which it would read once it runs again.
pub(super) fn check_dead_letter_subject(
    prefix: &str,
    pipelines: &[&PipelineConfig],
) -> Result<(), ParseError> {
    for pipeline in pipelines {
        let subject = format!("{prefix}.{}", pipeline.nats.name);
        let reads = |other: &&&PipelineConfig| {
            let mut filters = other.nats.subjects.iter();
            filters.any(|filter| nats::matches(filter, &subject))
        };
        if let Some(reader) = pipelines.iter().find(reads) {
            return refuse(format!(
                "dead_letter_subject: pipeline {} reads \"{subject}\", so dead letters would come back as messages.",
                reader.nats.name
            ));
        }
    }
    Ok(())
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::config::parse::options;

    const GENERAL: General = General {
        batch_size: 9,
        batch_timeout: Duration::from_secs(9),
        max_batch_rows: 5_000,
        max_age: None,
        max_future: None,
    };

    fn resolved(name: &str, text: &str) -> Result<PipelineConfig, ParseError> {
        pipeline(name, options(text).unwrap(), &GENERAL)
    }

    #[test]
    fn own_options_go_before_the_preset_and_the_preset_before_the_general_setting() {
        let plain = resolved("netflow", "").unwrap().nats;
        assert_eq!(
            (plain.batch_size, plain.batch_timeout),
            (200, Duration::from_millis(500))
        );
        assert_eq!(plain.subjects, ["netflow.>"]);
        let own = resolved("netflow", "batch_size=3 subject=flows.raw").unwrap();
        assert_eq!(own.nats.batch_size, 3);
        assert_eq!(own.nats.subjects, ["flows.raw"]);
        let mine = resolved("mine", "processor=Logs subject=x").unwrap().nats;
        assert_eq!(mine.batch_size, GENERAL.batch_size);
        assert_eq!(mine.batch_timeout, GENERAL.batch_timeout);
    }

    #[test]
    fn a_pipeline_that_is_no_preset_needs_processor_and_subject() {
        let missing = |text: &str| resolved("mine", text).unwrap_err().0;
        assert!(missing("subject=x").contains("processor"));
        assert!(missing("processor=Logs").contains("subject"));
    }

    #[test]
    fn as_many_tables_are_named_as_the_format_fills() {
        assert!(resolved("logs", "").unwrap().tables.is_empty());
        assert_eq!(resolved("logs", "table=a.b").unwrap().tables, ["a.b"]);
        let reason = resolved("logs", "table=a.b, c").unwrap_err().0;
        assert!(reason.contains("Logs fills: 1, not 2"), "{reason}");
    }

    #[test]
    fn a_change_of_any_option_is_a_change_of_the_pipeline() {
        let before = resolved("logs", "").unwrap();
        assert_eq!(before, resolved("logs", "").unwrap());
        for option in [
            "processor=Events",
            "nats_stream=x",
            "subject=x",
            "table=x",
            "batch_size=7",
            "batch_timeout=7s",
            "max_rate=7",
            "columnstore=direct",
        ] {
            assert_ne!(before, resolved("logs", option).unwrap(), "{option}");
        }
    }

    #[test]
    fn dead_letters_may_not_come_back_as_messages() {
        let logs = resolved("logs", "").unwrap();
        let events = resolved("events", "subject=events.syslog").unwrap();
        let pipelines = [&logs, &events];
        assert!(check_dead_letter_subject("dead", &pipelines).is_ok());
        assert!(check_dead_letter_subject("logs.dead", &pipelines).is_err());
        assert!(check_dead_letter_subject("events.dead", &pipelines).is_ok());
        let all = resolved("logs", "subject=>").unwrap();
        assert!(check_dead_letter_subject("dead", &[&all]).is_err());
    }
}
