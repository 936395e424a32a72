//! Host names and their addresses: what the system says of a name holds for some seconds.
//!
//! ureq has every request's name resolved, also where a connection is at hand, and each time in a
//! thread of its own, so that the time-out holds. That would be most of what a small upload costs.

use std::collections::HashMap;
use std::sync::{Mutex, MutexGuard, PoisonError};
use std::time::{Duration, Instant};

use ureq::Error;
use ureq::config::Config;
use ureq::http::Uri;
use ureq::unversioned::resolver::{DefaultResolver, ResolvedSocketAddrs, Resolver};
use ureq::unversioned::transport::NextTimeout;

/// How long an answer holds: shorter than any wait that would let a name move meanwhile, longer than
/// the time between two requests of a server that has work to do.
const HOLDS: Duration = Duration::from_secs(10);

/// Asks the system, and remembers what it said.
#[derive(Debug, Default)]
pub(super) struct Names {
    system: DefaultResolver,
    /// As many as there are hosts to speak with: Cloud Storage, and a proxy.
    known: Mutex<HashMap<String, Known>>,
}

#[derive(Debug)]
struct Known {
    since: Instant,
    addresses: ResolvedSocketAddrs,
}

impl Names {
    fn recall(&self, name: &str) -> Option<ResolvedSocketAddrs> {
        let known = self.lock();
        let known = known.get(name).filter(|known| known.since.elapsed() < HOLDS)?;
        Some(known.addresses.clone())
    }

    fn lock(&self) -> MutexGuard<'_, HashMap<String, Known>> {
        self.known.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

impl Resolver for Names {
    fn resolve(
        &self,
        uri: &Uri,
        config: &Config,
        timeout: NextTimeout,
    ) -> Result<ResolvedSocketAddrs, Error> {
        let parts = uri.scheme().zip(uri.authority());
        let name = parts.and_then(|(scheme, host)| DefaultResolver::host_and_port(scheme, host));
        let Some(name) = name else { return self.system.resolve(uri, config, timeout) };
        if let Some(addresses) = self.recall(&name) {
            return Ok(addresses);
        }
        let addresses = self.system.resolve(uri, config, timeout)?;
        let known = Known { since: Instant::now(), addresses: addresses.clone() };
        self.lock().insert(name, known);
        Ok(addresses)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn resolve(names: &Names, url: &str) -> Result<ResolvedSocketAddrs, Error> {
        let timeout = NextTimeout { after: Duration::from_secs(30).into(), ..Default::default() };
        names.resolve(&url.parse().unwrap(), &Config::default(), timeout)
    }

    #[test]
    fn an_answer_holds_for_a_while_and_for_its_own_port() {
        let names = Names::default();
        let first = resolve(&names, "http://127.0.0.1:81/a").unwrap();
        assert_eq!(*first, ["127.0.0.1:81".parse().unwrap()]);
        assert_eq!(
            *resolve(&names, "http://127.0.0.1:82/").unwrap(),
            ["127.0.0.1:82".parse().unwrap()]
        );
        // What is remembered is what is answered, until it is too old.
        let other = resolve(&names, "http://127.0.0.1:83/").unwrap();
        let put = |since| {
            let known = Known { since, addresses: other.clone() };
            names.lock().insert("127.0.0.1:81".to_owned(), known);
        };
        put(Instant::now());
        assert_eq!(*resolve(&names, "http://127.0.0.1:81/b").unwrap(), *other);
        put(Instant::now().checked_sub(HOLDS).unwrap());
        assert_eq!(*resolve(&names, "http://127.0.0.1:81/b").unwrap(), *first);
    }

    #[test]
    fn a_name_that_was_not_found_is_asked_for_again() {
        let names = Names::default();
        assert!(resolve(&names, "http://nowhere.invalid/").is_err());
        assert!(names.lock().is_empty());
    }
}
