//! The log: readable text for a terminal, or one JSON object per line for a log service.
//!
//! A line consists of a message and key-values ([`::log::kv`]). Control characters are escaped, so
//! that text from a client can neither start a new line nor send commands to a terminal.
//!
//! A panic is logged as a line too, so that a log service can parse it like the others.
//!
//! Lines of other crates appear only at `warn` and above, even if the filter allows more: at `debug`,
//! an HTTP client logs URLs and headers, which contain session URIs and tokens. Lines of tiny_http
//! never appear, because it also returns the errors that it logs.

mod json;
mod text;

use std::backtrace::{Backtrace, BacktraceStatus};
use std::io;
use std::panic::{self, PanicHookInfo};
use std::str::FromStr;
use std::thread;

use ::log::{LevelFilter, Log, Metadata, Record};
use env_filter::Filter;
use thiserror::Error;

/// Keys that describe an HTTP request, with Cloud Logging's names
/// (<https://docs.cloud.google.com/logging/docs/reference/v2/rest/v2/LogEntry#httprequest>). In
/// JSON they go into `httpRequest`. Text omits them, because the message contains the same.
const HTTP_REQUEST_KEYS: [&str; 7] =
    ["requestMethod", "requestUrl", "status", "latency", "remoteIp", "userAgent", "responseSize"];

/// Format of log lines.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub enum LogFormat {
    /// Time, level, message and key-values, for people.
    #[default]
    Text,
    /// One JSON object per line, as Cloud Logging parses a container's output.
    Json,
}

/// Error for a text that is not a valid [`LogFormat`].
#[derive(Clone, Debug, PartialEq, Eq, Error)]
#[error("invalid log format {0:?}: use text or json")]
pub struct LogFormatError(String);

impl FromStr for LogFormat {
    type Err = LogFormatError;

    fn from_str(text: &str) -> Result<Self, Self::Err> {
        match text {
            "text" => Ok(Self::Text),
            "json" => Ok(Self::Json),
            _ => Err(LogFormatError(text.chars().take(40).collect())),
        }
    }
}

impl std::fmt::Display for LogFormat {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.write_str(match self {
            Self::Text => "text",
            Self::Json => "json",
        })
    }
}

/// The reason why the log could not be initialized.
#[derive(Debug, Error)]
pub enum LogError {
    /// The filter is malformed.
    #[error(
        "invalid log filter {filter:?}: use a level, or a level and modules with other levels (info,gcs_uploader::gcs=debug): {reason}"
    )]
    InvalidFilter {
        /// The filter.
        filter: String,
        /// The reason.
        reason: String,
    },
    /// The process already has a logger.
    #[error(transparent)]
    AlreadySet(#[from] ::log::SetLoggerError),
}

/// Initializes the log of the process, on stderr, and logs panics. `filter` has the format of
/// `RUST_LOG`; an empty filter allows only errors.
///
/// # Errors
/// `filter` is malformed, or the process already has a logger.
pub fn init(format: LogFormat, filter: &str) -> Result<(), LogError> {
    let logger = logger(format, filter, env_logger::Target::Stderr)?;
    let level = logger.filter.filter();
    ::log::set_boxed_logger(Box::new(logger))?;
    ::log::set_max_level(level);
    panic::set_hook(Box::new(log_panic));
    Ok(())
}

fn log_panic(panic: &PanicHookInfo<'_>) {
    let thread = thread::current();
    let thread = thread.name().unwrap_or("unnamed");
    // Captured only if RUST_BACKTRACE is set.
    match Backtrace::capture() {
        trace if trace.status() == BacktraceStatus::Captured => {
            ::log::error!(thread = thread; "{panic}\n{trace}");
        }
        _ => ::log::error!(thread = thread; "{panic}"),
    }
}

fn logger(
    format: LogFormat,
    filter: &str,
    target: env_logger::Target,
) -> Result<FilteredLogger, LogError> {
    let invalid = |reason: env_filter::ParseError| LogError::InvalidFilter {
        filter: filter.chars().take(200).collect(),
        reason: reason.to_string(),
    };
    let filter = env_filter::Builder::new().try_parse(filter).map_err(invalid)?.build();
    let format = match format {
        LogFormat::Text => text::write,
        LogFormat::Json => json::write,
    };
    let writer = env_logger::Builder::new()
        .filter_level(LevelFilter::Trace)
        .target(target)
        .format(format)
        .build();
    Ok(FilteredLogger { filter, writer })
}

/// A logger with the user's filter and the limit on lines of other crates.
struct FilteredLogger {
    filter: Filter,
    writer: env_logger::Logger,
}

impl Log for FilteredLogger {
    fn enabled(&self, metadata: &Metadata<'_>) -> bool {
        is_allowed(metadata) && self.filter.enabled(metadata)
    }

    fn log(&self, record: &Record<'_>) {
        if is_allowed(record.metadata()) && self.filter.matches(record) {
            self.writer.log(record);
        }
    }

    fn flush(&self) {
        self.writer.flush();
    }
}

fn is_allowed(metadata: &Metadata<'_>) -> bool {
    match metadata.target().split("::").next() {
        Some(env!("CARGO_CRATE_NAME")) => true,
        // It returns the errors that it logs, and also logs an intended shutdown as an error.
        Some("tiny_http") => false,
        _ => metadata.level() <= LevelFilter::Warn,
    }
}

/// Converts a `kv` error, which only a value's own formatting can cause.
fn to_io_error(error: ::log::kv::Error) -> io::Error {
    io::Error::other(error)
}

#[cfg(test)]
mod tests {
    use std::io::Write;
    use std::sync::{Arc, Mutex};

    use ::log::Level;

    use super::*;

    #[derive(Clone, Default)]
    struct Sink(Arc<Mutex<Vec<u8>>>);

    impl Write for Sink {
        fn write(&mut self, bytes: &[u8]) -> io::Result<usize> {
            self.0.lock().unwrap().write(bytes)
        }

        fn flush(&mut self) -> io::Result<()> {
            Ok(())
        }
    }

    struct Line<'a> {
        filter: &'a str,
        target: &'a str,
        level: Level,
        message: &'a str,
        fields: &'a [(&'a str, &'a str)],
    }

    const LINE: Line<'_> = Line {
        filter: "trace",
        target: "gcs_uploader::server",
        level: Level::Info,
        message: "a message",
        fields: &[],
    };

    /// Returns the output for a line.
    fn written(format: LogFormat, line: &Line<'_>) -> String {
        let sink = Sink::default();
        let target = env_logger::Target::Pipe(Box::new(sink.clone()));
        logger(format, line.filter, target).unwrap().log(
            &Record::builder()
                .level(line.level)
                .target(line.target)
                .key_values(&line.fields)
                .args(format_args!("{}", line.message))
                .build(),
        );
        let bytes = sink.0.lock().unwrap().clone();
        String::from_utf8(bytes).unwrap()
    }

    fn json(line: &Line<'_>) -> serde_json::Value {
        serde_json::from_str(&written(LogFormat::Json, line)).unwrap()
    }

    #[test]
    fn text_line_has_time_level_target_message_and_fields() {
        let text = written(
            LogFormat::Text,
            &Line { fields: &[("requestId", "r-1"), ("status", "200")], ..LINE },
        );
        let (time, rest) = text.split_once(' ').unwrap();
        assert!(humantime::parse_rfc3339(time).is_ok(), "{time}");
        assert_eq!(rest, "INFO  gcs_uploader::server: a message requestId=r-1\n");
    }

    #[test]
    fn text_line_escapes_line_breaks_and_terminal_commands() {
        let evil = "x\r\n2026-01-01 ERROR forged\u{1b}[2J\u{9b}";
        let text = written(
            LogFormat::Text,
            &Line { message: evil, fields: &[("userAgent", evil), ("name", evil)], ..LINE },
        );
        assert_eq!(text.matches('\n').count(), 1, "{text:?}");
        assert!(!text.trim_end_matches('\n').contains(char::is_control), "{text:?}");
        assert!(text.contains(r"x\r\n2026-01-01 ERROR forged\u{1b}[2J\u{9b}"), "{text:?}");
    }

    #[test]
    fn json_line_is_one_object_in_cloud_loggings_format() {
        let text = written(
            LogFormat::Json,
            &Line {
                level: Level::Warn,
                message: "two\nlines",
                fields: &[("requestId", "r-1"), ("requestMethod", "GET"), ("latency", "0.5s")],
                ..LINE
            },
        );
        assert_eq!(text.matches('\n').count(), 1, "{text:?}");
        let value: serde_json::Value = serde_json::from_str(&text).unwrap();
        assert_eq!(value["severity"], "WARNING");
        assert_eq!(value["message"], "two\nlines");
        assert_eq!(value["target"], "gcs_uploader::server");
        assert_eq!(value["requestId"], "r-1");
        assert_eq!(value["httpRequest"]["requestMethod"], "GET");
        assert_eq!(value["httpRequest"]["latency"], "0.5s");
        assert!(humantime::parse_rfc3339(value["time"].as_str().unwrap()).is_ok());
    }

    #[test]
    fn json_severity_is_cloud_loggings_name_of_the_level() {
        for (level, severity) in [
            (Level::Error, "ERROR"),
            (Level::Warn, "WARNING"),
            (Level::Info, "INFO"),
            (Level::Debug, "DEBUG"),
            (Level::Trace, "DEBUG"),
        ] {
            assert_eq!(json(&Line { level, ..LINE })["severity"], severity);
        }
    }

    #[test]
    fn field_cannot_replace_severity_or_message() {
        let value = json(&Line { fields: &[("severity", "DEBUG"), ("message", "other")], ..LINE });
        assert_eq!(value["severity"], "INFO");
        assert_eq!(value["message"], "a message");
    }

    #[test]
    fn lines_of_other_crates_below_warn_are_dropped_despite_the_filter() {
        for target in ["ureq::run", "ureq", "hyper::client", "rustls", "gcs_uploader_like"] {
            for filter in ["trace", "ureq=trace,hyper=trace,rustls=trace", "ureq::run=trace"] {
                for level in [Level::Info, Level::Debug, Level::Trace] {
                    let line = Line { filter, target, level, ..LINE };
                    assert_eq!(written(LogFormat::Text, &line), "", "{target} {filter} {level}");
                }
            }
            let line = Line { target, level: Level::Warn, ..LINE };
            assert_ne!(written(LogFormat::Text, &line), "");
        }
    }

    #[test]
    fn filter_applies_to_lines_of_this_crate() {
        let filter = "warn,gcs_uploader::gcs=debug";
        let shown = |target, level| {
            !written(LogFormat::Text, &Line { filter, target, level, ..LINE }).is_empty()
        };
        assert!(shown("gcs_uploader::gcs::session", Level::Debug));
        assert!(!shown("gcs_uploader::server", Level::Info));
        assert!(shown("gcs_uploader::server", Level::Warn));
    }

    #[test]
    fn malformed_filter_is_rejected() {
        let error = logger(LogFormat::Text, "info,gcs=loud", env_logger::Target::Stderr).err();
        assert!(
            error
                .unwrap()
                .to_string()
                .starts_with("invalid log filter \"info,gcs=loud\": use a level")
        );
    }

    #[test]
    fn displayed_format_parses_to_itself() {
        for format in [LogFormat::Text, LogFormat::Json] {
            assert_eq!(format.to_string().parse(), Ok(format));
        }
        let error = "xml".parse::<LogFormat>().unwrap_err();
        assert_eq!(error.to_string(), "invalid log format \"xml\": use text or json");
    }
}
