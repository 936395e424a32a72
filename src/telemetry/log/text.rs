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
    write!(out, "{}: {}", Escaped(record.target()), Escaped(record.args()))?;
    record.key_values().visit(&mut Fields(out)).map_err(to_io)?;
    writeln!(out)
}

struct Fields<'a>(&'a mut Formatter);

impl<'kvs> VisitSource<'kvs> for Fields<'_> {
    fn visit_pair(&mut self, key: Key<'kvs>, value: Value<'kvs>) -> Result<(), Error> {
        if HTTP_REQUEST.contains(&key.as_str()) {
            return Ok(());
        }
        Ok(write!(self.0, " {}={}", Escaped(key), Escaped(value))?)
    }
}

/// Shows control characters, the C1 ones included, as Rust writes them in a literal.
struct Escaped<T>(T);

impl<T: fmt::Display> fmt::Display for Escaped<T> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(Escape(f), "{}", self.0)
    }
}

struct Escape<'a, 'f>(&'a mut fmt::Formatter<'f>);

impl fmt::Write for Escape<'_, '_> {
    fn write_str(&mut self, text: &str) -> fmt::Result {
        text.chars().try_for_each(|character| match character.is_control() {
            true => write!(self.0, "{}", character.escape_default()),
            false => self.0.write_char(character),
        })
    }
}
