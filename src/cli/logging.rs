//! The settings that say what is logged, and how.

use clap::Args;

use crate::telemetry::log::{self as logs, LogFormat};

use super::Failure;

/// What is logged, and how.
#[derive(Args, Clone, Debug)]
#[command(next_help_heading = "Logging")]
pub(super) struct Logging {
    /// How log lines are written, to standard error: text for people, json for Cloud Logging
    #[arg(long, env = "LOG_FORMAT", value_name = "FORMAT", default_value = "text")]
    log_format: LogFormat,

    /// What is logged: error, warn, info, debug or trace, also by module (info,gcs_uploader=debug);
    /// HTTP libraries never log below warn, as they would show secrets [default: info for servers]
    #[arg(long = "log", env = "RUST_LOG", value_name = "FILTER")]
    filter: Option<String>,
}

impl Logging {
    /// Starts logging, with this filter where none is set.
    pub(super) fn start(&self, default: &str) -> Result<(), Failure> {
        let filter = self.filter.as_deref().filter(|filter| !filter.is_empty()).unwrap_or(default);
        logs::init(self.log_format, filter)
            .map_err(|error| Failure::Setting(format!("RUST_LOG (--log): {error}")))
    }
}
