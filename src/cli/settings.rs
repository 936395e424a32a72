//! Parsers for the values of settings.

use std::num::NonZeroUsize;
use std::time::Duration;

use crate::content::ByteSize;
use crate::http::header_params::is_media_type;

/// Maximum object size of Cloud Storage
/// (<https://docs.cloud.google.com/storage/quotas#objects>).
pub(super) const MAX_OBJECT_SIZE: ByteSize = ByteSize::bytes(5 << 40);

/// Parses a bucket name by the rules of Cloud Storage
/// (<https://docs.cloud.google.com/storage/docs/buckets#naming>).
pub(super) fn bucket(text: &str) -> Result<String, String> {
    let legal = |c: char| c.is_ascii_lowercase() || c.is_ascii_digit() || "-_.".contains(c);
    let ends = |c: Option<char>| c.is_some_and(|c| c.is_ascii_lowercase() || c.is_ascii_digit());
    let length = 3..=222;
    let valid = length.contains(&text.len())
        && text.chars().all(legal)
        && ends(text.chars().next())
        && ends(text.chars().last());
    if valid {
        Ok(text.to_owned())
    } else {
        Err(format!(
            "invalid bucket name {:?}: use 3 to 222 lower-case letters, digits, dashes, underscores \
             and dots, without gs://",
            truncated(text),
        ))
    }
}

/// Parses a duration from a second to seven days: `40s`, `5m`, `1h 30m`.
pub(super) fn duration(text: &str) -> Result<Duration, String> {
    let error = || {
        format!("invalid duration {:?}: use a number with a unit (40s, 5m, 1h)", truncated(text))
    };
    let duration = humantime::parse_duration(text).map_err(|_| error())?;
    let allowed = Duration::from_secs(1)..=Duration::from_secs(7 * 24 * 3600);
    if allowed.contains(&duration) {
        Ok(duration)
    } else {
        Err(format!("duration {:?} is out of range: use 1s to 7d", truncated(text)))
    }
}

/// Parses the number of workers.
pub(super) fn workers(text: &str) -> Result<NonZeroUsize, String> {
    match text.parse::<NonZeroUsize>() {
        Ok(workers) if workers.get() <= 4096 => Ok(workers),
        _ => Err(format!("invalid number of workers {:?}: use 1 to 4096", truncated(text))),
    }
}

/// Parses the depth of the queue.
pub(super) fn queue_depth(text: &str) -> Result<usize, String> {
    match text.parse::<usize>() {
        Ok(depth) if depth <= 65_536 => Ok(depth),
        _ => Err(format!("invalid queue depth {:?}: use 0 to 65536", truncated(text))),
    }
}

/// Parses the number of ready sessions.
pub(super) fn ready_sessions(text: &str) -> Result<usize, String> {
    match text.parse::<usize>() {
        Ok(sessions) if sessions <= 4096 => Ok(sessions),
        _ => Err(format!("invalid number of sessions {:?}: use 0 to 4096", truncated(text))),
    }
}

/// Parses the maximum number of connections.
pub(super) fn max_connections(text: &str) -> Result<NonZeroUsize, String> {
    match text.parse::<NonZeroUsize>() {
        Ok(connections) if connections.get() <= 65_536 => Ok(connections),
        _ => Err(format!("invalid number of connections {:?}: use 1 to 65536", truncated(text))),
    }
}

/// Parses the size of an object.
pub(super) fn object_size(text: &str) -> Result<ByteSize, String> {
    let size: ByteSize = text.parse().map_err(|error| format!("{error}"))?;
    if size <= MAX_OBJECT_SIZE {
        Ok(size)
    } else {
        Err(format!("{size} exceeds the maximum object size of Cloud Storage: use at most 5TiB"))
    }
}

/// Parses a media type, such as `text/csv; charset=utf-8`.
pub(super) fn media_type(text: &str) -> Result<String, String> {
    if is_media_type(text) {
        Ok(text.to_owned())
    } else {
        Err(format!("invalid media type {:?}: use TYPE/SUBTYPE, e.g. text/csv", truncated(text)))
    }
}

fn truncated(text: &str) -> String {
    text.chars().take(80).collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn bucket_name_follows_the_rules_of_cloud_storage() {
        for name in ["abc", "a-b_c.d", "0ab", "my-project-uploads-7f3c"] {
            assert_eq!(bucket(name).as_deref(), Ok(name));
        }
        for name in ["", "ab", "Abc", "-ab", "ab-", "gs://abc", "a b", "abc/", &"a".repeat(223)] {
            assert!(bucket(name).unwrap_err().contains("use 3 to 222"), "{name:?}");
        }
    }

    #[test]
    fn duration_needs_a_unit_and_is_bounded() {
        assert_eq!(duration("40s"), Ok(Duration::from_secs(40)));
        assert_eq!(duration("5m"), Ok(Duration::from_secs(300)));
        for text in ["", "40", "-1s", "0s", "999ms", "8d", "soon", "99999999999999999999y"] {
            assert!(duration(text).unwrap_err().contains("use "), "{text:?}");
        }
    }

    #[test]
    fn counts_are_bounded() {
        assert_eq!(workers("4096").map(NonZeroUsize::get), Ok(4096));
        assert_eq!(queue_depth("0"), Ok(0));
        assert_eq!((ready_sessions("0"), ready_sessions("4096")), (Ok(0), Ok(4096)));
        for text in ["0", "4097", "-1", "", "many"] {
            assert!(workers(text).is_err(), "{text:?}");
            assert!(text == "0" || ready_sessions(text).is_err(), "{text:?}");
        }
        for text in ["65537", "-1", "", "1e3"] {
            assert!(queue_depth(text).is_err(), "{text:?}");
            assert!(max_connections(text).is_err(), "{text:?}");
        }
    }

    #[test]
    fn media_type_has_a_type_and_a_subtype() {
        for text in ["text/csv", "text/plain; charset=utf-8", "application/vnd.x+json"] {
            assert_eq!(media_type(text).as_deref(), Ok(text));
        }
        for text in ["", "text", "text/", "/csv", "text/csv\r\nX: y", "text csv", "tä/xt"] {
            assert!(media_type(text).unwrap_err().contains("e.g. text/csv"), "{text:?}");
        }
    }

    #[test]
    fn object_size_is_at_most_the_maximum_of_cloud_storage() {
        assert_eq!(object_size("5TiB"), Ok(MAX_OBJECT_SIZE));
        assert!(object_size("5497558138881").is_err());
        assert!(object_size("1.5MiB").is_err());
    }
}
