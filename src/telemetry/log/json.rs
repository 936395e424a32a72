//! JSON lines for Cloud Logging: its special fields and the key-values
//! (<https://docs.cloud.google.com/logging/docs/structured-logging#structured_logging_special_fields>).

use std::io::{self, Write};

use env_logger::fmt::Formatter;
use log::kv::{Error, Key, Value, VisitSource, VisitValue};
use log::{Level, Record};
use serde_json::{Map, Value as Json};

use super::{HTTP_REQUEST_KEYS, to_io_error};

pub(super) fn write(out: &mut Formatter, record: &Record<'_>) -> io::Result<()> {
    let mut fields = Fields::default();
    record.key_values().visit(&mut fields).map_err(to_io_error)?;
    let mut line = fields.top_level;
    if !fields.http_request.is_empty() {
        line.insert("httpRequest".to_owned(), Json::Object(fields.http_request));
    }
    line.insert("severity".to_owned(), severity(record.level()).into());
    line.insert("time".to_owned(), out.timestamp_micros().to_string().into());
    line.insert("target".to_owned(), record.target().into());
    line.insert("message".to_owned(), record.args().to_string().into());
    writeln!(out, "{}", Json::Object(line))
}

fn severity(level: Level) -> &'static str {
    match level {
        Level::Error => "ERROR",
        Level::Warn => "WARNING",
        Level::Info => "INFO",
        Level::Debug | Level::Trace => "DEBUG",
    }
}

/// The key-values of a record, sorted by their place in the JSON object.
#[derive(Default)]
struct Fields {
    top_level: Map<String, Json>,
    http_request: Map<String, Json>,
}

impl<'kvs> VisitSource<'kvs> for Fields {
    fn visit_pair(&mut self, key: Key<'kvs>, value: Value<'kvs>) -> Result<(), Error> {
        let mut json = ToJson(Json::Null);
        value.visit(&mut json)?;
        let fields = if HTTP_REQUEST_KEYS.contains(&key.as_str()) {
            &mut self.http_request
        } else {
            &mut self.top_level
        };
        fields.insert(key.as_str().to_owned(), json.0);
        Ok(())
    }
}

/// Converts one value to JSON and keeps numbers and booleans as such.
struct ToJson(Json);

impl<'v> VisitValue<'v> for ToJson {
    fn visit_any(&mut self, value: Value<'_>) -> Result<(), Error> {
        self.0 = value.to_string().into();
        Ok(())
    }

    fn visit_null(&mut self) -> Result<(), Error> {
        Ok(())
    }

    fn visit_u64(&mut self, value: u64) -> Result<(), Error> {
        self.0 = value.into();
        Ok(())
    }

    fn visit_i64(&mut self, value: i64) -> Result<(), Error> {
        self.0 = value.into();
        Ok(())
    }

    fn visit_f64(&mut self, value: f64) -> Result<(), Error> {
        self.0 = value.into();
        Ok(())
    }

    fn visit_bool(&mut self, value: bool) -> Result<(), Error> {
        self.0 = value.into();
        Ok(())
    }
}
