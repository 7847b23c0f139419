//! Values by key, loaded when they are first asked for and again when they are no longer to be believed.

use std::borrow::Borrow;
use std::hash::Hash;
use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};
use std::time::{Duration, Instant};

use quick_cache::sync::Cache;

use super::RoutingError;

/// How long a reload may take before the value that was known is used after all; and how long nobody tries again then.
const PATIENCE: Duration = Duration::from_millis(250);
/// How long nobody waits for a reload after one took too long: each of many values would make somebody wait anew.
const SILENCE: Duration = Duration::from_secs(2);

/// Whether a value that was loaded a while ago is to be believed.
pub(super) enum Freshness {
    /// It is.
    Good,
    /// Nothing speaks against it, but it is time to look again.
    Aged,
    /// It may have changed.
    Stale,
}

#[derive(Clone)]
struct Noted<V> {
    value: V,
    at: Instant,
    /// When somebody last set out to load it again, in milliseconds after `at`; zero for never.
    tried: Arc<AtomicU64>,
}

impl<V> Noted<V> {
    fn new(value: V, at: Instant) -> Self {
        Self {
            value,
            at,
            tried: Arc::default(),
        }
    }

    /// Whether it is on the caller to load it again: one at a time, and not while the last attempt may still run.
    fn claim(&self) -> bool {
        let now = millis(self.at.elapsed()).max(1);
        let last = self.tried.load(Ordering::Relaxed);
        (last == 0 || now.saturating_sub(last) > millis(PATIENCE))
            && self
                .tried
                .compare_exchange(last, now, Ordering::Relaxed, Ordering::Relaxed)
                .is_ok()
    }
}

/// A bounded memory of values.
pub(super) struct Remembered<K, V> {
    cache: Arc<Cache<K, Noted<V>>>,
    silence: Arc<Silence>,
}

/// Since when the database has not answered in time.
struct Silence {
    start: Instant,
    /// Until when nobody waits, in milliseconds after the start.
    until: AtomicU64,
}

impl Silence {
    fn is_on(&self) -> bool {
        millis(self.start.elapsed()) < self.until.load(Ordering::Relaxed)
    }

    fn begin(&self) {
        self.until
            .store(millis(self.start.elapsed() + SILENCE), Ordering::Relaxed);
    }
}

fn millis(duration: Duration) -> u64 {
    u64::try_from(duration.as_millis()).unwrap_or(u64::MAX)
}

impl<K, V> Remembered<K, V>
where
    K: Hash + Eq + Clone + Send + Sync + 'static,
    V: Clone + Send + Sync + 'static,
{
    pub(super) fn new(entries: usize) -> Self {
        Self {
            cache: Arc::new(Cache::new(entries)),
            silence: Arc::new(Silence {
                start: Instant::now(),
                until: AtomicU64::new(0),
            }),
        }
    }

    /// The value of a key. `load` gets `with` and the key.
    ///
    /// Whoever finds a stale value loads it again and waits a moment for that; everyone else takes the stale one
    /// meanwhile, and so does the first when the database does not answer. While it is known not to, nobody waits.
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
        let Some(noted) = self.cache.get(key) else {
            // Boxed: it is rare, and whoever finds what they want need not make room for it.
            return Box::pin(self.load(key.to_owned(), load(with.clone(), key.to_owned()))).await;
        };
        let freshness = freshness(&noted.value, noted.at);
        if matches!(freshness, Freshness::Good) || !noted.claim() {
            return Ok(noted.value);
        }
        let (cache, silence) = (self.cache.clone(), self.silence.clone());
        let (owned, loading) = (key.to_owned(), load(with.clone(), key.to_owned()));
        let again = tokio::spawn(async move {
            let at = Instant::now();
            match tokio::time::timeout(4 * PATIENCE, loading).await {
                Ok(Ok(value)) => cache.insert(owned, Noted::new(value, at)),
                Ok(Err(error)) => tracing::warn!(%error, "configuration not looked up again"),
                Err(_) => {
                    silence.begin();
                    tracing::warn!("configuration not looked up again within a second");
                }
            }
        });
        if matches!(freshness, Freshness::Aged) || self.silence.is_on() {
            return Ok(noted.value);
        }
        match tokio::time::timeout(PATIENCE, again).await {
            // As it is now, or as it was if that failed.
            Ok(_) => Ok(self.cache.get(key).map_or(noted.value, |now| now.value)),
            Err(_) => {
                self.silence.begin();
                Ok(noted.value)
            }
        }
    }

    /// Loads what nothing is known of; those who ask for it at the same time wait for the same answer.
    async fn load(
        &self,
        key: K,
        loading: impl Future<Output = Result<V, RoutingError>>,
    ) -> Result<V, RoutingError> {
        let at = Instant::now();
        match self.cache.get_value_or_guard_async(&key).await {
            Ok(noted) => Ok(noted.value),
            Err(vacancy) => {
                let value = loading.await?;
                // A vacancy that was taken away by a removal is no loss.
                drop(vacancy.insert(Noted::new(value.clone(), at)));
                Ok(value)
            }
        }
    }
}
