//! The NATS protocol as a sequence of frames. A frame is a line, and a payload whose length is at
//! the end of the line.

use std::mem;

/// Splits a stream of bytes into frames, and leaves some of them out.
#[derive(Debug, Default)]
pub(super) struct Frames {
    /// Beginning of a line whose end has not arrived yet.
    line: Vec<u8>,
    /// Bytes of the payload that have not arrived yet, including the line end.
    payload: usize,
    /// True if the current frame is left out.
    loses: bool,
}

impl Frames {
    /// Appends the bytes of `input` that pass to `output`. `loses` is called with the line of each
    /// frame, and returns whether the frame is left out.
    pub(super) fn pass(
        &mut self,
        mut input: &[u8],
        output: &mut Vec<u8>,
        mut loses: impl FnMut(&str) -> bool,
    ) {
        while !input.is_empty() {
            if self.payload > 0 {
                let (now, rest) = input.split_at(self.payload.min(input.len()));
                if !self.loses {
                    output.extend_from_slice(now);
                }
                self.payload -= now.len();
                input = rest;
                continue;
            }
            let Some(end) = input.iter().position(|&byte| byte == b'\n') else {
                return self.line.extend_from_slice(input);
            };
            let (now, rest) = input.split_at(end + 1);
            self.line.extend_from_slice(now);
            input = rest;
            let line = mem::take(&mut self.line);
            let text = String::from_utf8_lossy(&line);
            self.payload = payload(&text);
            self.loses = loses(&text);
            if !self.loses {
                output.extend_from_slice(&line);
            }
        }
    }
}

/// Returns the number of bytes that follow a line.
fn payload(line: &str) -> usize {
    let mut words = line.split_ascii_whitespace();
    match words.next() {
        Some("MSG" | "HMSG" | "PUB" | "HPUB") => {
            let length = words.next_back().and_then(|length| length.parse().ok());
            length.map_or(0, |length: usize| length + "\r\n".len())
        }
        _ => 0,
    }
}

/// Returns the subject that a client's line publishes to.
pub(super) fn published_to(line: &str) -> Option<&str> {
    let mut words = line.split_ascii_whitespace();
    match words.next() {
        Some("PUB" | "HPUB") => words.next(),
        _ => None,
    }
}

/// Returns whether a server's line begins a delivery of a consumer, which has a reply subject for
/// an acknowledgement.
pub(super) fn is_delivery(line: &str) -> bool {
    let mut words = line.split_ascii_whitespace();
    matches!(words.next(), Some("MSG" | "HMSG")) && words.any(|word| word.starts_with("$JS.ACK."))
}

#[cfg(test)]
mod tests {
    use super::*;

    const INPUT: &[u8] = b"PING\r\nMSG a 1 $JS.ACK.S.c.1.2.3.4.5 7\r\nx\r\nPONG\r\nHMSG b 2 3 5\r\nh\r\nyz\r\n+OK\r\n";
    const WITHOUT_DELIVERY: &[u8] = b"PING\r\nHMSG b 2 3 5\r\nh\r\nyz\r\n+OK\r\n";

    fn pass(step: usize, loses: impl Fn(&str) -> bool) -> Vec<u8> {
        let (mut frames, mut output) = (Frames::default(), Vec::new());
        for part in INPUT.chunks(step) {
            frames.pass(part, &mut output, &loses);
        }
        output
    }

    #[test]
    fn a_frame_is_lost_as_a_whole_however_the_bytes_come() {
        for step in 1..=INPUT.len() {
            assert_eq!(pass(step, |_| false), INPUT);
            assert_eq!(
                pass(step, is_delivery),
                WITHOUT_DELIVERY,
                "in steps of {step}"
            );
        }
    }

    #[test]
    fn the_subject_of_a_request_is_known() {
        assert_eq!(
            published_to("PUB $JS.API.INFO _INBOX.a 0\r\n"),
            Some("$JS.API.INFO")
        );
        assert_eq!(published_to("SUB $JS.API.INFO 1\r\n"), None);
    }
}
