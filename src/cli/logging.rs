//! Settings of the log.

use clap::Args;

use crate::telemetry::log::{self as logs, LogFormat};

use super::Failure;

/// Settings of the log.
#[derive(Args, Clone, Debug)]
#[command(next_help_heading = "Logging")]
pub(super) struct Logging {
    /// Format of the log on standard error: text for people, json for Cloud Logging
    #[arg(long, env = "LOG_FORMAT", value_name = "FORMAT", default_value = "text")]
    log_format: LogFormat,

    /// What to log: error, warn, info, debug or trace, also by module (info,gcs_uploader=debug); HTTP
    /// libraries never log below warn, because they would reveal secrets [default: info for servers]
    #[arg(long = "log", env = "RUST_LOG", value_name = "FILTER")]
    filter: Option<String>,
}

impl Logging {
    /// Starts logging, with `default` as the filter if none is set.
    pub(super) fn start(&self, default: &str) -> Result<(), Failure> {
        let filter = self.filter.as_deref().filter(|filter| !filter.is_empty()).unwrap_or(default);
        logs::init(self.log_format, filter)
            .map_err(|error| Failure::Setting(format!("RUST_LOG (--log): {error}")))
    }
}
