//! The log: readable text for a terminal, or one JSON object a line for a log service.
//!
//! A line is made of a message and key-values ([`::log::kv`]). Whatever a client sent is escaped
//! on the way out, so that it can neither begin a line of its own nor speak to a terminal.
//!
//! A panic is a line of the log as well, so that a log service reads it like the others.
//!
//! Lines of other crates appear at `warn` and above only, whatever the filter says: at `debug`
//! an HTTP client writes out URLs and headers, and here these are session URIs and tokens. Those of
//! tiny_http never do: it returns what it logs.

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

/// The keys that describe an HTTP request, as Cloud Logging names them
/// (<https://docs.cloud.google.com/logging/docs/reference/v2/rest/v2/LogEntry#httprequest>). In
/// JSON they go into `httpRequest`; text leaves them out, as the message says the same.
const HTTP_REQUEST: [&str; 7] =
    ["requestMethod", "requestUrl", "status", "latency", "remoteIp", "userAgent", "responseSize"];

/// How a line looks.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub enum LogFormat {
    /// Time, level, message and key-values, for a person.
    #[default]
    Text,
    /// A JSON object a line, as Cloud Logging reads it from a container's output.
    Json,
}

/// Why a text is no [`LogFormat`].
#[derive(Clone, Debug, PartialEq, Eq, Error)]
#[error("{0:?} is no log format: write text or json")]
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

/// Why no log could be set up.
#[derive(Debug, Error)]
pub enum LogError {
    /// The filter is not of the form that it must have.
    #[error(
        "{filter:?} is no log filter: write a level, or parts with theirs: info,gcs_uploader::gcs=debug ({reason})"
    )]
    BadFilter {
        /// The filter as it was given.
        filter: String,
        /// What is wrong with it.
        reason: String,
    },
    /// The process has a logger already.
    #[error(transparent)]
    AlreadySet(#[from] ::log::SetLoggerError),
}

/// Sets up the log of the process, on stderr, panics included. `filter` is of the form that
/// `RUST_LOG` has; an empty one shows errors alone.
///
/// # Errors
/// When `filter` makes no sense, or the process has a logger already.
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
    // Only if RUST_BACKTRACE asks for it.
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
    let bad = |reason: env_filter::ParseError| LogError::BadFilter {
        filter: filter.chars().take(200).collect(),
        reason: reason.to_string(),
    };
    let filter = env_filter::Builder::new().try_parse(filter).map_err(bad)?.build();
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

/// The filter that was asked for, under the cap on other crates' lines.
struct FilteredLogger {
    filter: Filter,
    writer: env_logger::Logger,
}

impl Log for FilteredLogger {
    fn enabled(&self, metadata: &Metadata<'_>) -> bool {
        may_be_shown(metadata) && self.filter.enabled(metadata)
    }

    fn log(&self, record: &Record<'_>) {
        if may_be_shown(record.metadata()) && self.filter.matches(record) {
            self.writer.log(record);
        }
    }

    fn flush(&self) {
        self.writer.flush();
    }
}

fn may_be_shown(metadata: &Metadata<'_>) -> bool {
    match metadata.target().split("::").next() {
        Some(env!("CARGO_CRATE_NAME")) => true,
        // It logs the errors that it returns as well, and takes an intended end for one.
        Some("tiny_http") => false,
        _ => metadata.level() <= LevelFilter::Warn,
    }
}

/// A `kv` error can only come from a value's own formatting.
fn to_io(error: ::log::kv::Error) -> io::Error {
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

    /// What is written when this line is logged.
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
    fn text_has_time_level_target_message_and_fields() {
        let text = written(
            LogFormat::Text,
            &Line { fields: &[("requestId", "r-1"), ("status", "200")], ..LINE },
        );
        let (time, rest) = text.split_once(' ').unwrap();
        assert!(humantime::parse_rfc3339(time).is_ok(), "{time}");
        assert_eq!(rest, "INFO  gcs_uploader::server: a message requestId=r-1\n");
    }

    #[test]
    fn text_escapes_what_could_forge_a_line_or_command_a_terminal() {
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
    fn json_is_one_object_a_line_in_cloud_loggings_form() {
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
    fn json_knows_each_level_by_cloud_loggings_name() {
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
    fn a_field_cannot_take_the_place_of_the_lines_own() {
        let value = json(&Line { fields: &[("severity", "DEBUG"), ("message", "other")], ..LINE });
        assert_eq!(value["severity"], "INFO");
        assert_eq!(value["message"], "a message");
    }

    #[test]
    fn other_crates_are_silent_below_warn_whatever_the_filter_says() {
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
    fn the_filter_decides_about_our_own_lines() {
        let filter = "warn,gcs_uploader::gcs=debug";
        let shown = |target, level| {
            !written(LogFormat::Text, &Line { filter, target, level, ..LINE }).is_empty()
        };
        assert!(shown("gcs_uploader::gcs::session", Level::Debug));
        assert!(!shown("gcs_uploader::server", Level::Info));
        assert!(shown("gcs_uploader::server", Level::Warn));
    }

    #[test]
    fn a_senseless_filter_is_refused() {
        let error = logger(LogFormat::Text, "info,gcs=loud", env_logger::Target::Stderr).err();
        assert!(error.unwrap().to_string().starts_with("\"info,gcs=loud\" is no log filter"));
    }

    #[test]
    fn formats_are_read_as_they_are_written() {
        for format in [LogFormat::Text, LogFormat::Json] {
            assert_eq!(format.to_string().parse(), Ok(format));
        }
        let error = "xml".parse::<LogFormat>().unwrap_err();
        assert_eq!(error.to_string(), "\"xml\" is no log format: write text or json");
    }
}
