//! Lines for a person: time, level, target, message, key-values.

use std::fmt::{self, Write as _};
use std::io::{self, Write};

use env_logger::fmt::Formatter;
use log::Record;
use log::kv::{Error, Key, Value, VisitSource};

use super::{HTTP_REQUEST, to_io};

pub(super) fn write(out: &mut Formatter, record: &Record<'_>) -> io::Result<()> {
    let style = out.default_level_style(record.level());
    let time = out.timestamp_millis();
    let level = record.level();
    write!(out, "{time} {style}{level:<5}{style:#} ")?;
    let mut line = Escaped(out);
    write!(line, "{}: {}", record.target(), record.args()).map_err(io::Error::other)?;
    record.key_values().visit(&mut line).map_err(to_io)?;
    writeln!(out)
}

/// Writes control characters, the C1 ones included, as Rust writes them in a literal.
struct Escaped<'a>(&'a mut Formatter);

impl<'kvs> VisitSource<'kvs> for Escaped<'_> {
    fn visit_pair(&mut self, key: Key<'kvs>, value: Value<'kvs>) -> Result<(), Error> {
        if HTTP_REQUEST.contains(&key.as_str()) {
            return Ok(());
        }
        Ok(write!(self, " {key}={value}")?)
    }
}

impl fmt::Write for Escaped<'_> {
    fn write_str(&mut self, text: &str) -> fmt::Result {
        for part in text.split_inclusive(char::is_control) {
            let harmless = part.trim_end_matches(char::is_control);
            let control = part[harmless.len()..].escape_default();
            write!(self.0, "{harmless}{control}").map_err(|_| fmt::Error)?;
        }
        Ok(())
    }
}
