//! The presets of the formats, in the form that the settings need.

use decode::PRESETS;
use std::ffi::CStr;

pub(super) use decode::Preset;

/// The text between two names.
const SEPARATOR: &[u8] = b", ";

/// The names of all presets, as the default of the setting `streams`.
pub(super) const DEFAULT_STREAMS: &CStr = match CStr::from_bytes_with_nul(&NAMES) {
    Ok(names) => names,
    Err(_) => c"",
};

/// The names with a NUL byte at the end.
const NAMES: [u8; NAMES_LENGTH] = names();

/// Bytes of the names, including the NUL byte.
const NAMES_LENGTH: usize = {
    let (mut length, mut at) = (0, 0);
    while at < PRESETS.len() {
        length += PRESETS[at].pipeline.len() + SEPARATOR.len();
        at += 1;
    }
    // A NUL byte takes the place of the last separator.
    length - SEPARATOR.len() + 1
};

/// Returns the names, separated by [`SEPARATOR`], with a NUL byte at the end.
const fn names() -> [u8; NAMES_LENGTH] {
    let mut names = [0; NAMES_LENGTH];
    let (mut end, mut at) = (0, 0);
    while at < PRESETS.len() {
        if at > 0 {
            end = append(&mut names, end, SEPARATOR);
        }
        end = append(&mut names, end, PRESETS[at].pipeline.as_bytes());
        at += 1;
    }
    names
}

/// Copies `text` to position `end`, and returns the new end.
const fn append(names: &mut [u8; NAMES_LENGTH], end: usize, text: &[u8]) -> usize {
    let mut at = 0;
    while at < text.len() {
        names[end + at] = text[at];
        at += 1;
    }
    end + text.len()
}

/// Returns the preset of a pipeline, if it has one.
pub(super) fn find(name: &str) -> Option<&'static Preset> {
    PRESETS.iter().find(|preset| preset.pipeline == name)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_default_names_every_preset() {
        let names = DEFAULT_STREAMS.to_str().unwrap().split(", ");
        assert!(names.eq(PRESETS.iter().map(|preset| preset.pipeline)));
    }
}
