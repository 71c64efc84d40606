//! Subject filters, by the rules of NATS: `*` matches one token, `>` all remaining tokens.

/// Returns whether `subject` matches `filter`.
pub fn matches(filter: &str, subject: &str) -> bool {
    // Nearly every filter is a plain subject, or a prefix and `>`. These are compared without
    // splitting, because this runs for each message.
    match filter.strip_suffix('>') {
        Some(prefix) if !prefix.contains('*') => {
            subject.len() > prefix.len() && subject.as_bytes().starts_with(prefix.as_bytes())
        }
        None if !filter.contains('*') => filter == subject,
        _ => matches_tokens(filter, subject),
    }
}

fn matches_tokens(filter: &str, subject: &str) -> bool {
    let mut tokens = subject.split('.');
    for wanted in filter.split('.') {
        match (wanted, tokens.next()) {
            (">", Some(_)) => return true,
            ("*", Some(_)) => {}
            (wanted, Some(token)) if wanted == token => {}
            _ => return false,
        }
    }
    tokens.next().is_none()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn filters_mean_what_they_mean_to_the_server() {
        let yes = [
            (">", "a"),
            (">", "a.b"),
            ("a", "a"),
            ("a.b", "a.b"),
            ("a.>", "a.b"),
            ("a.>", "a.b.c"),
            ("a.*", "a.b"),
            ("*.b", "a.b"),
            ("a.*.c", "a.b.c"),
            ("*.b.>", "a.b.c.d"),
        ];
        let no = [
            ("a", "b"),
            ("a", "a.b"),
            ("a.b", "a"),
            ("a.>", "a"),
            ("a.>", "ab.c"),
            ("a.*", "a"),
            ("a.*", "a.b.c"),
            ("*.b", "a.c"),
            ("*.b.>", "a.b"),
            ("*.b.>", "a.c.d"),
        ];
        for (filter, subject) in yes {
            assert!(matches(filter, subject), "{filter} means {subject}");
        }
        for (filter, subject) in no {
            assert!(
                !matches(filter, subject),
                "{filter} does not mean {subject}"
            );
        }
    }
}
