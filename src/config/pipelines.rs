//! The settings of single pipelines, `sr_event_writer.stream_NAME`: one for each preset, and one
//! for each other name that `streams` contained when the server started.

use super::check;
use super::parse::{self, Options, ParseError};
use super::preset;
use super::setting::{Setting, Text};
use super::settings::STREAMS;
use std::ffi::{CStr, CString};
use std::sync::OnceLock;

/// The name of each pipeline that has a setting, and that setting.
static PIPELINES: OnceLock<Vec<(String, &'static Text)>> = OnceLock::new();

/// Defines these settings. `streams` must be defined before, because the names in it decide which
/// of them exist.
pub(super) fn define() {
    let presets = decode::PRESETS.iter();
    let presets = presets.map(|preset| preset.pipeline.to_owned());
    let others = names()
        .into_iter()
        .filter(|name| preset::find(name).is_none());
    let named = presets.chain(others).filter_map(|name| {
        let guc = CString::new(format!("sr_event_writer.stream_{name}")).ok()?;
        let guc: &'static CStr = Box::leak(guc.into_boxed_c_str());
        Some((name, guc))
    });
    let defined = named.map(|(name, guc)| (name, define_one(guc))).collect();
    // Fails only on a second call, which would need a second _PG_init, and PostgreSQL makes none.
    let _ = PIPELINES.set(defined);
}

/// Defines the setting `guc` of one pipeline.
fn define_one(guc: &'static CStr) -> &'static Text {
    let setting = Text::new(guc, c"Options of a pipeline, as key=value pairs.", c"");
    // PostgreSQL needs it as long as the process lives; the leak is bounded by the number of
    // pipelines.
    let setting: &'static Text = Box::leak(Box::new(setting.checked(Some(check::options))));
    setting.define();
    setting
}

/// Returns the names of the active pipelines, in order.
pub(super) fn names() -> Vec<String> {
    // Never fails, because the value was checked when it was set.
    parse::streams(&STREAMS.get()).unwrap_or_default()
}

/// Reads the options of one pipeline.
pub(super) fn options(name: &str) -> Result<Options, ParseError> {
    let settings = PIPELINES.get().map(Vec::as_slice).unwrap_or_default();
    let text = settings
        .iter()
        .find(|(known, _)| known == name)
        .map(|(_, setting)| setting.get());
    parse::options(&text.unwrap_or_default())
}
