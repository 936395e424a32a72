//! The kinds of values that settings have, and what each must be.

use std::num::NonZeroUsize;
use std::time::Duration;

use crate::content::ByteSize;
use crate::http::header_params::is_media_type;

/// The largest object that Cloud Storage takes
/// (<https://docs.cloud.google.com/storage/quotas#objects>).
pub(super) const LARGEST_OBJECT: ByteSize = ByteSize::bytes(5 << 40);

/// A bucket's name, as Cloud Storage has it
/// (<https://docs.cloud.google.com/storage/docs/buckets#naming>).
pub(super) fn bucket(text: &str) -> Result<String, String> {
    let legal = |c: char| c.is_ascii_lowercase() || c.is_ascii_digit() || "-_.".contains(c);
    let ends = |c: Option<char>| c.is_some_and(|c| c.is_ascii_lowercase() || c.is_ascii_digit());
    let length = 3..=222;
    let right = length.contains(&text.len())
        && text.chars().all(legal)
        && ends(text.chars().next())
        && ends(text.chars().last());
    match right {
        true => Ok(text.to_owned()),
        false => Err(format!(
            "{:?} is no bucket's name: write 3 to 222 lower-case letters, digits, dashes, \
             underscores and dots, without gs://",
            shortened(text),
        )),
    }
}

/// A duration of at least a second: `40s`, `5m`, `1h 30m`.
pub(super) fn duration(text: &str) -> Result<Duration, String> {
    let error = || format!("{:?} is no duration: write 40s, 5m or 1h", shortened(text));
    let duration = humantime::parse_duration(text).map_err(|_| error())?;
    let sensible = Duration::from_secs(1)..=Duration::from_secs(7 * 24 * 3600);
    match sensible.contains(&duration) {
        true => Ok(duration),
        false => Err(format!("{:?} is out of range: write 1s to 7d", shortened(text))),
    }
}

/// A number of threads.
pub(super) fn workers(text: &str) -> Result<NonZeroUsize, String> {
    match text.parse::<NonZeroUsize>() {
        Ok(workers) if workers.get() <= 4096 => Ok(workers),
        _ => Err(format!("{:?} is no number of workers: write 1 to 4096", shortened(text))),
    }
}

/// A number of requests that may wait.
pub(super) fn queue_depth(text: &str) -> Result<usize, String> {
    match text.parse::<usize>() {
        Ok(depth) if depth <= 65_536 => Ok(depth),
        _ => Err(format!("{:?} is no depth of a queue: write 0 to 65536", shortened(text))),
    }
}

/// A number of sessions; 0 is none.
pub(super) fn ready_sessions(text: &str) -> Result<usize, String> {
    match text.parse::<usize>() {
        Ok(sessions) if sessions <= 4096 => Ok(sessions),
        _ => Err(format!("{:?} is no number of sessions: write 0 to 4096", shortened(text))),
    }
}

/// A number of connections.
pub(super) fn max_connections(text: &str) -> Result<NonZeroUsize, String> {
    match text.parse::<NonZeroUsize>() {
        Ok(connections) if connections.get() <= 65_536 => Ok(connections),
        _ => Err(format!("{:?} is no number of connections: write 1 to 65536", shortened(text))),
    }
}

/// A size that an object can have.
pub(super) fn object_size(text: &str) -> Result<ByteSize, String> {
    let size: ByteSize = text.parse().map_err(|error| format!("{error}"))?;
    match size <= LARGEST_OBJECT {
        true => Ok(size),
        false => Err(format!("{size} is more than Cloud Storage takes: write at most 5TiB")),
    }
}

/// A media type, such as `text/csv; charset=utf-8`.
pub(super) fn media_type(text: &str) -> Result<String, String> {
    if is_media_type(text) {
        Ok(text.to_owned())
    } else {
        Err(format!("{:?} is not a valid media type: use one like text/csv", shortened(text)))
    }
}

fn shortened(text: &str) -> String {
    text.chars().take(80).collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_buckets_name_is_checked() {
        for name in ["abc", "a-b_c.d", "0ab", "my-project-uploads-7f3c"] {
            assert_eq!(bucket(name).as_deref(), Ok(name));
        }
        for name in ["", "ab", "Abc", "-ab", "ab-", "gs://abc", "a b", "abc/", &"a".repeat(223)] {
            assert!(bucket(name).unwrap_err().contains("write 3 to 222"), "{name:?}");
        }
    }

    #[test]
    fn durations_have_units_and_are_sensible() {
        assert_eq!(duration("40s"), Ok(Duration::from_secs(40)));
        assert_eq!(duration("5m"), Ok(Duration::from_secs(300)));
        for text in ["", "40", "-1s", "0s", "999ms", "8d", "soon", "99999999999999999999y"] {
            assert!(duration(text).unwrap_err().contains("write"), "{text:?}");
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
    fn a_media_type_is_checked() {
        for text in ["text/csv", "text/plain; charset=utf-8", "application/vnd.x+json"] {
            assert_eq!(media_type(text).as_deref(), Ok(text));
        }
        for text in ["", "text", "text/", "/csv", "text/csv\r\nX: y", "text csv", "tä/xt"] {
            assert!(media_type(text).unwrap_err().contains("use one like text/csv"), "{text:?}");
        }
    }

    #[test]
    fn an_object_is_no_larger_than_cloud_storage_takes() {
        assert_eq!(object_size("5TiB"), Ok(LARGEST_OBJECT));
        assert!(object_size("5497558138881").is_err());
        assert!(object_size("1.5MiB").is_err());
    }
}
