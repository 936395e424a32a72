//! Host names and their addresses: what the system says of a name holds for some seconds.
//!
//! ureq has every request's name resolved, also where a connection is at hand, and each time in a
//! thread of its own, so that the time-out holds. That would be most of what a small upload costs.

use std::collections::HashMap;
use std::sync::{Mutex, MutexGuard};
use std::time::{Duration, Instant};

use ureq::Error;
use ureq::config::Config;
use ureq::http::Uri;
use ureq::unversioned::resolver::{DefaultResolver, ResolvedSocketAddrs, Resolver};
use ureq::unversioned::transport::NextTimeout;

use crate::sync::LockExt as _;

/// Lifetime of a cached address: shorter than any wait during which a name could move, longer than
/// the time between two requests of a busy server.
const TTL: Duration = Duration::from_secs(10);

/// Asks the system, and remembers what it said.
#[derive(Debug, Default)]
pub(super) struct CachingResolver {
    system: DefaultResolver,
    /// As many as there are hosts to speak with: Cloud Storage, and a proxy.
    cache: Mutex<HashMap<String, Known>>,
}

#[derive(Debug)]
struct Known {
    since: Instant,
    addresses: ResolvedSocketAddrs,
}

impl CachingResolver {
    fn recall(&self, name: &str) -> Option<ResolvedSocketAddrs> {
        let cache = self.lock();
        let cache = cache.get(name).filter(|cache| cache.since.elapsed() < TTL)?;
        Some(cache.addresses.clone())
    }

    fn lock(&self) -> MutexGuard<'_, HashMap<String, Known>> {
        self.cache.lock_ignoring_poison()
    }
}

impl Resolver for CachingResolver {
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
        let cache = Known { since: Instant::now(), addresses: addresses.clone() };
        self.lock().insert(name, cache);
        Ok(addresses)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn resolve(resolver: &CachingResolver, url: &str) -> Result<ResolvedSocketAddrs, Error> {
        let timeout = NextTimeout { after: Duration::from_secs(30).into(), ..Default::default() };
        resolver.resolve(&url.parse().unwrap(), &Config::default(), timeout)
    }

    #[test]
    fn resolved_addresses_are_cached_per_port_until_they_expire() {
        let resolver = CachingResolver::default();
        let first = resolve(&resolver, "http://127.0.0.1:81/a").unwrap();
        assert_eq!(*first, ["127.0.0.1:81".parse().unwrap()]);
        assert_eq!(
            *resolve(&resolver, "http://127.0.0.1:82/").unwrap(),
            ["127.0.0.1:82".parse().unwrap()]
        );
        // What is remembered is what is answered, until it is too old.
        let other = resolve(&resolver, "http://127.0.0.1:83/").unwrap();
        let put = |since| {
            let cache = Known { since, addresses: other.clone() };
            resolver.lock().insert("127.0.0.1:81".to_owned(), cache);
        };
        put(Instant::now());
        assert_eq!(*resolve(&resolver, "http://127.0.0.1:81/b").unwrap(), *other);
        put(Instant::now().checked_sub(TTL).unwrap());
        assert_eq!(*resolve(&resolver, "http://127.0.0.1:81/b").unwrap(), *first);
    }

    #[test]
    fn failed_lookup_is_not_cached() {
        let resolver = CachingResolver::default();
        assert!(resolve(&resolver, "http://nowhere.invalid/").is_err());
        assert!(resolver.lock().is_empty());
    }
}
