//! Header bytes. The server stores and delivers any bytes as headers. When the client cannot parse
//! them it treats the connection as broken, or panics, and all pipelines stop. So messages that are
//! read one by one are checked here first, by the client's own rules.

use async_nats::{HeaderMap, HeaderName, StatusCode};
use bytes::Bytes;
use std::str::FromStr;

/// Bytes that a value takes in addition to its text: its entry in the map, and three allocations.
const VALUE_OVERHEAD: usize = 256;

/// The headers of a message.
#[derive(Debug)]
pub enum Headers {
    /// Parsed into names and values.
    Parsed(HeaderMap),
    /// As stored, because the client cannot parse them or because they begin with a status.
    Raw(Bytes),
}

impl Headers {
    /// Returns the bytes that they take in memory. `wire` is the number of bytes that were
    /// received.
    pub(crate) fn size(&self, wire: usize) -> usize {
        match self {
            Self::Parsed(headers) => size(headers, wire),
            Self::Raw(raw) => raw.len(),
        }
    }
}

/// Returns the bytes that headers take in memory: `wire` bytes as received, which stay in memory
/// with the payload, and once more as parsed.
pub(crate) fn size(headers: &HeaderMap, wire: usize) -> usize {
    if headers.is_empty() {
        return 0;
    }
    let values: usize = headers.iter().map(|(_, values)| values.len()).sum();
    2 * wire + values * VALUE_OVERHEAD
}

/// Parses the header bytes of a stored message. Returns what is wrong with them if that fails.
pub(crate) fn parse(raw: &[u8]) -> Result<HeaderMap, String> {
    let text = std::str::from_utf8(raw).map_err(|error| format!("headers: not UTF-8: {error}"))?;
    let mut lines = text.lines().peekable();
    refuse_status(lines.next().unwrap_or_default())?;
    let mut headers = HeaderMap::new();
    while let Some(line) = lines.next() {
        if line.is_empty() {
            continue;
        }
        let (name, value) = line
            .split_once(':')
            .ok_or("headers: a line without a colon")?;
        let name = HeaderName::from_str(name)
            .map_err(|_| "headers: a name with a blank or a character that is not ASCII")?;
        let mut value = value.trim_start().to_owned();
        while let Some(more) = lines.next_if(|line| line.starts_with(char::is_whitespace)) {
            value.push_str(more);
        }
        value.truncate(value.trim_end().len());
        if value.contains('\r') {
            return Err("headers: a value with a carriage return".to_owned());
        }
        headers.append(name, value);
    }
    Ok(headers)
}

/// Fails unless the first line is the version alone. Only the server may send a status after it,
/// never a publisher.
fn refuse_status(line: &str) -> Result<(), String> {
    let rest = line
        .strip_prefix("NATS/1.0")
        .ok_or("headers: the first line is not NATS/1.0")?;
    match rest.trim() {
        "" => Ok(()),
        status => Err(status_line(status)),
    }
}

/// Returns the reason for rejecting a message whose headers begin with a status.
pub(crate) fn status_line(status: &str) -> String {
    let status: String = status.chars().take(40).collect();
    format!("headers: a status line ({status}), which only a server may send")
}

/// Formats the status of a message, with its description.
pub(crate) fn status_text(status: StatusCode, description: Option<&str>) -> String {
    format!("{} {}", status.as_u16(), description.unwrap_or_default())
        .trim_end()
        .to_owned()
}

/// Fails if the client could not parse a delivery on this subject.
pub(crate) fn refuse_subject(subject: &str, has_headers: bool) -> Result<(), String> {
    if has_headers && subject.contains(char::is_whitespace) {
        return Err("subject: white space, which no client can tell from its end".to_owned());
    }
    Ok(())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn good_headers_are_read_as_the_client_reads_them() {
        for raw in [
            "NATS/1.0\r\nA: 1\r\na-b:2 \r\nA:3\r\n\r\n",
            "NATS/1.0\nA: 1\na-b:2 \nA:3\n\n",
        ] {
            let headers = parse(raw.as_bytes()).unwrap();
            let values: Vec<_> = headers.get_all("A").map(|v| v.as_str()).collect();
            assert_eq!(values, ["1", "3"]);
            assert_eq!(headers.get("a-b").unwrap().as_str(), "2");
        }
        let folded = parse(b"NATS/1.0\r\nA: 1\r\n 2\r\n\r\n").unwrap();
        assert_eq!(folded.get("A").unwrap().as_str(), "1 2");
    }

    #[test]
    fn what_the_client_refuses_is_refused_with_a_reason() {
        for (raw, reason) in [
            (&b"NATS/1.0\r\nX: \xff\r\n\r\n"[..], "not UTF-8"),
            (b"NATS/1.0\r\nA B: c\r\n\r\n", "a name with a blank"),
            ("NATS/1.0\r\nÄ: c\r\n\r\n".as_bytes(), "a name with a blank"),
            (b"NATS/1.0\r\nabc\r\n\r\n", "without a colon"),
            (b"NATS/2.0\r\nA: b\r\n\r\n", "not NATS/1.0"),
            (b"", "not NATS/1.0"),
            (b"NATS/1.0 abc\n\r\n", "a status line (abc)"),
            (b"NATS/1.0 503\n\r\n", "a status line (503)"),
            (b"NATS/1.0\r\nA: b\rc\r\n\r\n", "carriage return"),
        ] {
            let problem = parse(raw).unwrap_err();
            assert!(problem.contains(reason), "{problem}");
        }
    }

    #[test]
    fn headers_count_as_they_came_and_once_more_for_each_value() {
        let headers = parse(b"NATS/1.0\r\nA: 1\r\nA: 2\r\nB: 3\r\n\r\n").unwrap();
        assert_eq!(size(&headers, 990), 2 * 990 + 3 * VALUE_OVERHEAD);
        assert_eq!(size(&HeaderMap::new(), 100), 0);
    }

    #[test]
    fn white_space_in_a_subject_is_refused_where_there_are_headers() {
        assert!(refuse_subject("logs.\u{a0}", true).is_err());
        assert!(refuse_subject("logs.\u{a0}", false).is_ok());
        assert!(refuse_subject("logs.a", true).is_ok());
    }
}
