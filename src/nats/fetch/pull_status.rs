//! Statuses that the server sends instead of a message: how much of a request will not come any
//! more, and whether to go on requesting. Pure functions.

use super::pull_request::PullSize;
use crate::error::SessionError;
use async_nats::{Message, StatusCode};

/// Number of refusals in a row, without a message or heartbeat in between, that is tolerated. To go
/// on requesting at once would be a loop at the speed of the network.
const MAX_REFUSALS: u32 = 8;
/// Most bytes that a request ever asks for. No message is larger than half of this.
const MAX_BYTES: usize = 128 << 20;
/// The server's description when the next message is larger than what is left of the request.
const TOO_LARGE: &str = "Message Size Exceeds MaxBytes";
/// Headers of a status: messages and bytes of its request that were not used.
const UNUSED_MESSAGES: &str = "Nats-Pending-Messages";
const UNUSED_BYTES: &str = "Nats-Pending-Bytes";

/// Returns how much of a request will not come any more, according to this status. Fails if the
/// same request would be refused again.
pub(super) fn unused(
    status: StatusCode,
    message: &Message,
    request: PullSize,
) -> Result<PullSize, SessionError> {
    let description = message.description.as_deref().unwrap_or_default();
    match status {
        StatusCode::IDLE_HEARTBEAT => Ok(PullSize::default()),
        // The request has expired, or the next message is larger than what is left of it.
        StatusCode::TIMEOUT | StatusCode::REQUEST_TERMINATED if !is_final(description) => {
            let headers = message.headers.as_ref();
            let number = |name| headers?.get(name)?.as_str().parse().ok();
            Ok(PullSize {
                messages: number(UNUSED_MESSAGES).unwrap_or(request.messages),
                bytes: number(UNUSED_BYTES).unwrap_or(request.bytes),
            })
        }
        StatusCode::NO_RESPONDERS => Err(SessionError::Fetch("no responders".into())),
        _ => Err(SessionError::Fetch(
            format!("{status} {description}").into(),
        )),
    }
}

/// Returns the number of refusals in a row after this status. Fails if there are too many.
pub(super) fn refusals(
    before: u32,
    status: StatusCode,
    message: &Message,
) -> Result<u32, SessionError> {
    match (status, before + 1) {
        (StatusCode::REQUEST_TERMINATED, ..=MAX_REFUSALS) => Ok(before + 1),
        (StatusCode::REQUEST_TERMINATED, _) => {
            let description = message.description.clone().unwrap_or_default();
            Err(SessionError::Refused(description))
        }
        _ => Ok(0),
    }
}

/// Returns whether even a full `request` is too small for the next message.
pub(super) fn is_too_small(request: PullSize, unused: PullSize, message: &Message) -> bool {
    let too_large = message.description.as_deref() == Some(TOO_LARGE);
    too_large && unused.bytes == request.bytes && request.bytes < MAX_BYTES
}

/// Returns whether the server would refuse the same request again.
fn is_final(description: &str) -> bool {
    matches!(description, "Consumer Deleted" | "Consumer is push based")
        || description.starts_with("Exceeded MaxRequest")
}

#[cfg(test)]
mod tests {
    use super::*;
    use async_nats::HeaderMap;
    use bytes::Bytes;

    const WHOLE: PullSize = PullSize {
        messages: 100,
        bytes: 1_000,
    };

    fn status_message(status: StatusCode, description: &str, headers: &[(&str, &str)]) -> Message {
        let mut map = HeaderMap::new();
        headers
            .iter()
            .for_each(|&(name, value)| map.insert(name, value));
        Message {
            subject: "_INBOX.x".into(),
            reply: None,
            payload: Bytes::new(),
            headers: Some(map),
            status: Some(status),
            description: Some(description.to_owned()),
            length: 0,
        }
    }

    fn unused_of(
        status: StatusCode,
        description: &str,
        headers: &[(&str, &str)],
    ) -> Result<PullSize, String> {
        let message = status_message(status, description, headers);
        unused(status, &message, WHOLE).map_err(|error| error.to_string())
    }

    #[test]
    fn a_request_that_ends_gives_back_what_it_has_not_used() {
        let left = [(UNUSED_MESSAGES, "7"), (UNUSED_BYTES, "70")];
        let part = PullSize {
            messages: 7,
            bytes: 70,
        };
        for (status, description) in [
            (StatusCode::TIMEOUT, "Request Timeout"),
            (
                StatusCode::REQUEST_TERMINATED,
                "Message Size Exceeds MaxBytes",
            ),
            (StatusCode::REQUEST_TERMINATED, "Batch Completed"),
        ] {
            assert_eq!(unused_of(status, description, &left), Ok(part));
            assert_eq!(unused_of(status, description, &[]), Ok(WHOLE));
        }
        let nothing = PullSize::default();
        assert_eq!(unused_of(StatusCode::IDLE_HEARTBEAT, "", &[]), Ok(nothing));
    }

    #[test]
    fn what_would_be_refused_again_ends_the_pull() {
        for (status, description, expected) in [
            (
                StatusCode::REQUEST_TERMINATED,
                "Consumer Deleted",
                "fetch: 409 Consumer Deleted",
            ),
            (
                StatusCode::REQUEST_TERMINATED,
                "Exceeded MaxRequestBatch of 10",
                "fetch: 409 Exceeded MaxRequestBatch of 10",
            ),
            (StatusCode::NO_RESPONDERS, "", "fetch: no responders"),
        ] {
            assert_eq!(
                unused_of(status, description, &[]),
                Err(expected.to_owned())
            );
        }
    }

    #[test]
    fn refusals_in_a_row_end_the_pull_and_anything_else_is_a_new_beginning() {
        let refusal = status_message(StatusCode::REQUEST_TERMINATED, "Exceeded MaxWaiting", &[]);
        let mut count = 0;
        for _ in 0..MAX_REFUSALS {
            count = refusals(count, StatusCode::REQUEST_TERMINATED, &refusal).unwrap();
        }
        let error = refusals(count, StatusCode::REQUEST_TERMINATED, &refusal).unwrap_err();
        assert_eq!(
            error.to_string(),
            "NATS refuses to send messages (Exceeded MaxWaiting)"
        );
        for status in [StatusCode::IDLE_HEARTBEAT, StatusCode::TIMEOUT] {
            assert_eq!(
                refusals(count, status, &status_message(status, "", &[])).unwrap(),
                0
            );
        }
    }

    #[test]
    fn only_a_whole_request_that_cannot_hold_the_next_message_is_too_small() {
        let part = PullSize {
            bytes: WHOLE.bytes - 1,
            ..WHOLE
        };
        let most = PullSize {
            bytes: MAX_BYTES,
            ..WHOLE
        };
        let too_large = status_message(StatusCode::REQUEST_TERMINATED, TOO_LARGE, &[]);
        assert!(is_too_small(WHOLE, WHOLE, &too_large));
        assert!(!is_too_small(WHOLE, part, &too_large));
        assert!(!is_too_small(most, most, &too_large));
        let other = status_message(StatusCode::REQUEST_TERMINATED, "Batch Completed", &[]);
        assert!(!is_too_small(WHOLE, WHOLE, &other));
    }
}
