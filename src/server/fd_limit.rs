//! How many descriptors the process may have, and how many connections that allows.

use rustix::process::{Resource, Rlimit, getrlimit, setrlimit};

use crate::http::dispatch;
use crate::server::Config;

/// tiny_http holds two descriptors of a stream, and the relay one.
const PER_STREAM: usize = 3;

/// A connection to Cloud Storage, one to replace it, and what resolving its name takes: for each
/// thread that talks to it.
const PER_WORKER: usize = 4;

/// Standard streams, listening sockets, signals, credentials, and some to spare.
const OTHERS: usize = 40;

/// How few connections a server is worth starting for.
const FEWEST: usize = 8;

/// Raises the soft limit of descriptors to the hard one. How many connections there may be: as many
/// as are configured, or as fit.
pub(crate) fn connections(config: &Config) -> usize {
    let wanted = config.max_connections.get();
    let uploads = config.workers.get().saturating_add(config.queue_depth);
    let talkers = config.workers.get().saturating_add(config.openers);
    let allowed = raise_descriptors();
    let fitting = fitting(allowed, wanted, uploads, talkers);
    if fitting < wanted {
        log::warn!(
            "{allowed} descriptors (ulimit -n) are too few for MAX_CONNECTIONS {wanted}, WORKERS and \
             QUEUE_DEPTH: taking {fitting} connections at most; {} would do",
            needed(wanted, uploads, talkers)
        );
    }
    fitting
}

fn raise_descriptors() -> usize {
    let Rlimit { current, maximum } = getrlimit(Resource::Nofile);
    let raised = setrlimit(Resource::Nofile, Rlimit { current: maximum, maximum });
    let allowed = match raised {
        Ok(()) => maximum,
        Err(error) => {
            log::warn!("the limit of descriptors (ulimit -n) cannot be raised: {error}");
            current
        }
    };
    allowed.and_then(|allowed| usize::try_from(allowed).ok()).unwrap_or(usize::MAX)
}

fn needed(connections: usize, uploads: usize, talkers: usize) -> usize {
    let streams = dispatch::streams_for(uploads, connections);
    let others = crate::http::acceptor::TURNED_AWAY + OTHERS;
    connections
        .saturating_add(streams.saturating_mul(PER_STREAM))
        .saturating_add(talkers.saturating_mul(PER_WORKER))
        .saturating_add(others)
}

fn fitting(allowed: usize, wanted: usize, uploads: usize, talkers: usize) -> usize {
    let fewest = FEWEST.min(wanted);
    let mut fitting = wanted;
    while fitting > fewest && needed(fitting, uploads, talkers) > allowed {
        let beyond = needed(fitting, uploads, talkers) - allowed;
        // Fewer connections may take fewer streams, too: so not all at once.
        fitting = fitting.saturating_sub(beyond.div_ceil(1 + PER_STREAM)).max(fewest);
    }
    fitting
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_defaults_fit_into_2048_descriptors() {
        assert!(needed(512, 160, 32) <= 2048, "{}", needed(512, 160, 32));
        assert_eq!(fitting(2048, 512, 160, 32), 512);
    }

    #[test]
    fn what_does_not_fit_is_lowered_until_it_does() {
        for allowed in [128, 256, 512, 1024, 1200] {
            let fitting = fitting(allowed, 512, 4, 2);
            assert!(needed(fitting, 4, 2) <= allowed, "{allowed}: {fitting}");
            assert!(fitting == 512 || needed(fitting + 4, 4, 2) > allowed, "{allowed}: {fitting}");
        }
    }

    #[test]
    fn some_are_taken_in_any_case() {
        assert_eq!(fitting(20, 512, 160, 32), FEWEST);
        assert_eq!(fitting(20, 2, 160, 32), 2);
    }
}
