//! Limit of descriptors of the process, and the number of connections that it allows.

use rustix::process::{Resource, Rlimit, getrlimit, setrlimit};

use super::config::Config;
use crate::http::acceptor::MAX_LINGERING;
use crate::http::dispatch::Dispatcher;

/// Descriptors of a thread that talks to Cloud Storage: a connection, one that replaces it, and those
/// for resolving its name.
const PER_STORAGE_THREAD: usize = 4;

/// Standard streams, listeners, signals, credentials, and some to spare.
const OTHERS: usize = 40;

/// Connections of the listener for metrics, health and readiness, if it has one of its own: a few
/// scrapers and probes.
pub(crate) const MAX_METRICS_CONNECTIONS: usize = 16;

/// Connections that a server has at least, whatever the limit.
const MIN_CONNECTIONS: usize = 8;

/// Raises the soft limit of descriptors to the hard limit. Returns how many connections may be open:
/// the configured number, or as many as fit.
pub(crate) fn max_connections(config: &Config) -> usize {
    let configured = config.max_connections.get();
    let storage_threads = config.workers.get().saturating_add(config.pool_threads);
    let metrics = if config.metrics_listen.is_some() { MAX_METRICS_CONNECTIONS } else { 0 };
    let limit = raise_limit();
    let fitting = fitting_connections(limit.saturating_sub(metrics), configured, storage_threads);
    if fitting < configured {
        log::warn!(
            "fd limit {limit} (ulimit -n) is too low for MAX_CONNECTIONS {configured} and WORKERS: \
             limiting connections to {fitting}; raise it to {}",
            fds_needed(configured, storage_threads).saturating_add(metrics)
        );
    }
    fitting
}

fn raise_limit() -> usize {
    let Rlimit { current, maximum } = getrlimit(Resource::Nofile);
    let raised = setrlimit(Resource::Nofile, Rlimit { current: maximum, maximum });
    let limit = match raised {
        Ok(()) => maximum,
        Err(error) => {
            log::warn!("cannot raise the fd limit (ulimit -n): {error}");
            current
        }
    };
    limit.and_then(|limit| usize::try_from(limit).ok()).unwrap_or(usize::MAX)
}

fn fds_needed(connections: usize, storage_threads: usize) -> usize {
    connections
        .saturating_add(storage_threads.saturating_mul(PER_STORAGE_THREAD))
        .saturating_add(Dispatcher::DESCRIPTORS + MAX_LINGERING + OTHERS)
}

fn fitting_connections(limit: usize, configured: usize, storage_threads: usize) -> usize {
    let others = fds_needed(0, storage_threads);
    limit.saturating_sub(others).clamp(MIN_CONNECTIONS.min(configured), configured)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn default_settings_fit_into_1024_descriptors() {
        assert!(fds_needed(512, 32) <= 1024, "{}", fds_needed(512, 32));
        assert_eq!(fitting_connections(1024, 512, 32), 512);
    }

    #[test]
    fn connections_are_limited_to_those_that_fit() {
        for limit in [128, 256, 512] {
            let fitting = fitting_connections(limit, 512, 2);
            assert_eq!(fds_needed(fitting, 2), limit);
        }
    }

    #[test]
    fn minimum_number_of_connections_is_kept() {
        assert_eq!(fitting_connections(20, 512, 32), MIN_CONNECTIONS);
        assert_eq!(fitting_connections(20, 2, 32), 2);
    }
}
