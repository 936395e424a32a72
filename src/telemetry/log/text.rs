//! Text lines for people: time, level, target, message, key-values.

use std::fmt::{self, Write as _};
use std::io::{self, Write};

use env_logger::fmt::Formatter;
use log::Record;
use log::kv::{Error, Key, Value, VisitSource};

use super::{HTTP_REQUEST_KEYS, to_io_error};

pub(super) fn write(out: &mut Formatter, record: &Record<'_>) -> io::Result<()> {
    let style = out.default_level_style(record.level());
    let time = out.timestamp_millis();
    let level = record.level();
    write!(out, "{time} {style}{level:<5}{style:#} ")?;
    let mut line = Escaped(out);
    write!(line, "{}: {}", record.target(), record.args()).map_err(io::Error::other)?;
    record.key_values().visit(&mut line).map_err(to_io_error)?;
    writeln!(out)
}

/// Escapes control characters, including C1, like Rust does in a string literal.
struct Escaped<'a>(&'a mut Formatter);

impl<'kvs> VisitSource<'kvs> for Escaped<'_> {
    fn visit_pair(&mut self, key: Key<'kvs>, value: Value<'kvs>) -> Result<(), Error> {
        if HTTP_REQUEST_KEYS.contains(&key.as_str()) {
            return Ok(());
        }
        Ok(write!(self, " {key}={value}")?)
    }
}

impl fmt::Write for Escaped<'_> {
    fn write_str(&mut self, text: &str) -> fmt::Result {
        for part in text.split_inclusive(char::is_control) {
            let printable = part.trim_end_matches(char::is_control);
            let control = part[printable.len()..].escape_default();
            write!(self.0, "{printable}{control}").map_err(|_| fmt::Error)?;
        }
        Ok(())
    }
}
