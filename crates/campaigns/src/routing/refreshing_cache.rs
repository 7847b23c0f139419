//! Bounded cache whose values are loaded on first use and reloaded when they may be outdated.

use std::borrow::Borrow;
use std::hash::Hash;
use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};
use std::time::{Duration, Instant};

use quick_cache::sync::Cache;
use schema::NetworkId;
use tracing::{Instrument, debug_span};

use super::error::RoutingError;

/// Time a caller waits for a reload before it uses the outdated value; also the minimum time between two reloads.
const RELOAD_TIMEOUT: Duration = Duration::from_millis(250);
/// Time during which callers do not wait for reloads after one timed out: otherwise each of many values would make its
/// caller wait.
const BACK_OFF: Duration = Duration::from_secs(2);

/// Freshness of a value that was loaded a while ago.
pub(super) enum Freshness {
    /// Unchanged.
    Good,
    /// Probably unchanged, but due for a reload.
    Aged,
    /// Possibly changed.
    Stale,
}

/// Key of a cache that, if it belongs to a network, names it in spans.
pub(super) trait Key: Hash + Eq + Clone + Send + Sync + 'static {
    fn network(&self) -> Option<NetworkId> {
        None
    }
}

impl Key for String {}

impl Key for NetworkId {
    fn network(&self) -> Option<NetworkId> {
        Some(*self)
    }
}

impl<A: Hash + Eq + Clone + Send + Sync + 'static> Key for (NetworkId, A) {
    fn network(&self) -> Option<NetworkId> {
        Some(self.0)
    }
}

impl<A, B> Key for (NetworkId, A, B)
where
    A: Hash + Eq + Clone + Send + Sync + 'static,
    B: Hash + Eq + Clone + Send + Sync + 'static,
{
    fn network(&self) -> Option<NetworkId> {
        Some(self.0)
    }
}

#[derive(Clone)]
struct Entry<V> {
    value: V,
    at: Instant,
    /// Start of the last reload in milliseconds after `at`; zero for none.
    tried: Arc<AtomicU64>,
}

impl<V> Entry<V> {
    fn new(value: V, at: Instant) -> Self {
        Self {
            value,
            at,
            tried: Arc::default(),
        }
    }

    /// Returns true if the caller is to reload the value: one caller at a time, and not while the last reload may run.
    fn claim(&self) -> bool {
        let now = millis(self.at.elapsed()).max(1);
        let last = self.tried.load(Ordering::Relaxed);
        (last == 0 || now.saturating_sub(last) > millis(RELOAD_TIMEOUT))
            && self
                .tried
                .compare_exchange(last, now, Ordering::Relaxed, Ordering::Relaxed)
                .is_ok()
    }
}

/// Bounded cache whose values are loaded on first use and reloaded when they may be outdated.
pub(super) struct RefreshingCache<K, V> {
    /// Name in spans.
    name: &'static str,
    cache: Arc<Cache<K, Entry<V>>>,
    loads: Arc<Loads>,
}

/// Loads from the database, as all caches see them: their number, and the period in which callers do not wait for them.
pub(super) struct Loads {
    start: Instant,
    /// End of the period in milliseconds after `start`.
    until: AtomicU64,
    count: AtomicU64,
}

impl Default for Loads {
    fn default() -> Self {
        Self {
            start: Instant::now(),
            until: AtomicU64::new(0),
            count: AtomicU64::new(0),
        }
    }
}

impl Loads {
    /// Loads a value that has a substitute, for which callers wait as for a reload: the substitute takes its place if the
    /// database fails or does not answer.
    pub(super) async fn or<V>(
        &self,
        substitute: V,
        loading: impl Future<Output = Result<V, RoutingError>>,
    ) -> V {
        if self.is_backing_off() {
            return substitute;
        }
        match tokio::time::timeout(RELOAD_TIMEOUT, loading).await {
            Ok(Ok(value)) => value,
            Ok(Err(error)) => {
                tracing::debug!(%error, "configuration not loaded; what this node kept is used");
                substitute
            }
            Err(_) => {
                self.back_off();
                substitute
            }
        }
    }

    /// Counts a value that was loaded into memory.
    pub(super) fn add(&self) {
        self.count.fetch_add(1, Ordering::Relaxed);
    }

    /// Number of values that were loaded into memory.
    pub(super) fn count(&self) -> u64 {
        self.count.load(Ordering::Relaxed)
    }

    fn is_backing_off(&self) -> bool {
        millis(self.start.elapsed()) < self.until.load(Ordering::Relaxed)
    }

    fn back_off(&self) {
        self.until
            .store(millis(self.start.elapsed() + BACK_OFF), Ordering::Relaxed);
    }
}

fn millis(duration: Duration) -> u64 {
    u64::try_from(duration.as_millis()).unwrap_or(u64::MAX)
}

impl<K, V> RefreshingCache<K, V>
where
    K: Key,
    V: Clone + Send + Sync + 'static,
{
    pub(super) fn new(name: &'static str, entries: usize, loads: &Arc<Loads>) -> Self {
        Self {
            name,
            cache: Arc::new(Cache::new(entries)),
            loads: loads.clone(),
        }
    }

    /// Returns the value of a key. `load` gets `with` and the key.
    ///
    /// # Errors
    /// The error of the first load.
    pub(super) async fn get<Q, W, F, Fut>(
        &self,
        key: &Q,
        with: &Arc<W>,
        freshness: impl Fn(&V, Instant) -> Freshness,
        load: F,
    ) -> Result<V, RoutingError>
    where
        K: Borrow<Q>,
        Q: Hash + Eq + ToOwned<Owned = K> + ?Sized,
        F: Fn(Arc<W>, K) -> Fut,
        Fut: Future<Output = Result<V, RoutingError>> + Send + 'static,
    {
        self.get_or(key, with, freshness, || None, load).await
    }

    /// Returns the value of a key as [`RefreshingCache::get`] does. `substitute` is what the node kept of a value that is not in
    /// memory; it is used while the database does not answer, and never put into memory.
    ///
    /// The first caller that finds a stale value reloads it and waits up to [`RELOAD_TIMEOUT`]; all others get the stale
    /// value meanwhile, and so does the first if the database does not answer. During a back-off no caller waits.
    pub(super) async fn get_or<Q, W, F, Fut>(
        &self,
        key: &Q,
        with: &Arc<W>,
        freshness: impl Fn(&V, Instant) -> Freshness,
        substitute: impl FnOnce() -> Option<V>,
        load: F,
    ) -> Result<V, RoutingError>
    where
        K: Borrow<Q>,
        Q: Hash + Eq + ToOwned<Owned = K> + ?Sized,
        F: Fn(Arc<W>, K) -> Fut,
        Fut: Future<Output = Result<V, RoutingError>> + Send + 'static,
    {
        let Some(entry) = self.cache.get(key) else {
            // Boxed: misses are rare, and hits should not pay for the size of their future.
            let loading = Box::pin(self.load(key.to_owned(), load(with.clone(), key.to_owned())));
            return match substitute() {
                Some(substitute) => Ok(self.loads.or(substitute, loading).await),
                None => loading.await,
            };
        };
        let freshness = freshness(&entry.value, entry.at);
        if matches!(freshness, Freshness::Good) || !entry.claim() {
            return Ok(entry.value);
        }
        let reload = tokio::spawn(self.reload(key.to_owned(), load(with.clone(), key.to_owned())));
        if matches!(freshness, Freshness::Aged) || self.loads.is_backing_off() {
            return Ok(entry.value);
        }
        match tokio::time::timeout(RELOAD_TIMEOUT, reload).await {
            // The reloaded value, or the old one if that failed.
            Ok(_) => Ok(self.cache.get(key).map_or(entry.value, |entry| entry.value)),
            Err(_) => {
                self.loads.back_off();
                Ok(entry.value)
            }
        }
    }

    /// Keys and values that are in memory, as they were loaded.
    pub(super) fn loaded(&self) -> impl Iterator<Item = (K, V)> + '_ {
        self.cache.iter().map(|(key, entry)| (key, entry.value))
    }

    /// Value of a key that is in memory, as it was loaded.
    pub(super) fn peek<Q>(&self, key: &Q) -> Option<V>
    where
        K: Borrow<Q>,
        Q: Hash + Eq + ToOwned<Owned = K> + ?Sized,
    {
        self.cache.get(key).map(|entry| entry.value)
    }

    /// Loads a missing value; concurrent callers wait for the same load.
    async fn load(
        &self,
        key: K,
        loading: impl Future<Output = Result<V, RoutingError>>,
    ) -> Result<V, RoutingError> {
        let at = Instant::now();
        match self.cache.get_value_or_guard_async(&key).await {
            Ok(entry) => Ok(entry.value),
            Err(vacancy) => {
                let span = debug_span!(
                    "routing_miss",
                    cache = self.name,
                    network = key.network().map(tracing::field::display)
                );
                let value = loading.instrument(span).await?;
                self.loads.add();
                if vacancy.insert(Entry::new(value.clone(), at)).is_err() {
                    tracing::debug!(cache = self.name, "entry removed while it was loaded; not cached");
                }
                Ok(value)
            }
        }
    }

    /// Reloads a value that may be outdated; on an error the old one stays.
    fn reload<Fut>(&self, key: K, loading: Fut) -> impl Future<Output = ()> + Send + use<K, V, Fut>
    where
        Fut: Future<Output = Result<V, RoutingError>> + Send + 'static,
    {
        let (cache, loads, name) = (self.cache.clone(), self.loads.clone(), self.name);
        let span = debug_span!(
            "routing_refresh",
            cache = name,
            network = key.network().map(tracing::field::display)
        );
        let reload = async move {
            let at = Instant::now();
            match tokio::time::timeout(4 * RELOAD_TIMEOUT, loading).await {
                Ok(Ok(value)) => {
                    cache.insert(key, Entry::new(value, at));
                    loads.add();
                }
                Ok(Err(error)) => tracing::warn!(cache = name, %error, "configuration not reloaded"),
                Err(_) => {
                    // Once a back-off: many values become due while the database does not answer.
                    if !loads.is_backing_off() {
                        tracing::warn!(cache = name, "configuration not reloaded within a second");
                    }
                    loads.back_off();
                }
            }
        };
        reload.instrument(span)
    }
}
