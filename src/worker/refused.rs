//! The part that refused pipelines have in the state of a worker, whose other pipelines go on.

use super::explanation::Explained;
use crate::config::PipelineDefinition;
use crate::status::State;

/// Returns the names of the refused ones among these pipelines.
pub fn names<'a>(pipelines: impl Iterator<Item = &'a PipelineDefinition>) -> Vec<&'a str> {
    let refused = pipelines.filter(|pipeline| pipeline.config.is_err());
    refused.map(|pipeline| pipeline.name.as_str()).collect()
}

/// Returns the reason for the state of a worker that has refused pipelines with these names.
pub fn reason(names: &[&str]) -> String {
    format!(
        "pipelines with an invalid definition: {}; see stream_status",
        names.join(", ")
    )
}

/// Returns the state of a worker, given the state of its running pipelines and the names of its
/// refused ones.
pub fn degrade(explained: Explained, names: &[&str]) -> Explained {
    // A worker that is still starting has not shown yet how its other pipelines are.
    if names.is_empty() || explained.state == State::Starting {
        return explained;
    }
    let reason = reason(names);
    let both = match explained.reason.is_empty() {
        true => reason,
        false => format!("{}; {reason}", explained.reason),
    };
    Explained {
        state: State::Degraded,
        reason: both,
        ..explained
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::config::ParseError;

    fn state(state: State, why: &str, names: &[&str]) -> (State, String) {
        let explained = degrade(Explained::own(state, why), names);
        (explained.state, explained.reason)
    }

    #[test]
    fn refused_pipelines_are_named() {
        let refused = ["flows", "weather"].map(|name| PipelineDefinition {
            name: name.to_owned(),
            config: Err(ParseError("It lacks a processor.".to_owned())),
        });
        assert_eq!(names(refused.iter()), ["flows", "weather"]);
    }

    #[test]
    fn a_refused_pipeline_degrades_a_worker_that_runs() {
        let reason = reason(&["flows", "weather"]);
        assert!(reason.contains("flows, weather"), "{reason}");
        for running in [State::Running, State::Paused, State::Degraded] {
            let (state, why) = state(running, "", &["flows", "weather"]);
            assert_eq!((state, why), (State::Degraded, reason.clone()));
        }
        let paused = "all streams are paused";
        let (_, why) = state(State::Paused, paused, &["flows", "weather"]);
        assert_eq!(why, format!("{paused}; {reason}"));
    }

    #[test]
    fn without_refused_pipelines_or_while_it_starts_the_state_is_that_of_the_others() {
        let running = state(State::Running, "", &[]);
        assert_eq!(running, (State::Running, String::new()));
        let starting = state(State::Starting, "connecting", &["flows"]);
        assert_eq!(starting, (State::Starting, "connecting".to_owned()));
    }
}
