//! Rate limit for sign-ins: per account, so that passwords cannot be guessed, and per IP address, so that one machine
//! cannot try every account.

use std::hash::{BuildHasher, RandomState};
use std::net::IpAddr;
use std::sync::Arc;
use std::sync::atomic::{AtomicU32, Ordering};
use std::time::Duration;

use moka::future::Cache;

/// Period over which attempts are counted, from the first attempt on.
pub const WINDOW: Duration = Duration::from_secs(15 * 60);
/// Maximum number of attempts per account.
const MAX_PER_ACCOUNT: u32 = 10;
/// Maximum number of attempts per IP address, which the people of an office may share.
const MAX_PER_ADDRESS: u32 = 100;
/// Maximum number of accounts and addresses that are counted; beyond it, the least used ones are evicted.
const MAX_COUNTERS: u64 = 100_000;

/// Error for too many attempts; the caller should retry after [`WINDOW`].
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
#[error("too many attempts")]
pub struct TooManyAttempts;

/// Attempt counters of this node. Cheap to clone; clones share the counters.
#[derive(Clone)]
pub struct SignInThrottle {
    /// By the hash of what is counted: a typed e-mail address may be of any length.
    attempts: Cache<u64, Arc<AtomicU32>>,
    hasher: RandomState,
}

impl SignInThrottle {
    /// Throttle without any attempts.
    #[must_use]
    pub fn new() -> Self {
        Self {
            attempts: Cache::builder()
                .max_capacity(MAX_COUNTERS)
                .time_to_live(WINDOW)
                .build(),
            hasher: RandomState::new(),
        }
    }

    /// Counts an attempt before its password is verified, for known and unknown accounts alike.
    ///
    /// # Errors
    /// [`TooManyAttempts`]: the password must not be verified.
    pub async fn count(&self, email: &str, address: Option<IpAddr>) -> Result<(), TooManyAttempts> {
        if let Some(address) = address
            && self.increment(&of_address(address)).await > MAX_PER_ADDRESS
        {
            // Before the account, so that one machine cannot fill the memory with accounts.
            return Err(TooManyAttempts);
        }
        if self.increment(&account(email)).await > MAX_PER_ACCOUNT {
            return Err(TooManyAttempts);
        }
        Ok(())
    }

    /// Rejects an address that has sent too many wrong API keys.
    ///
    /// # Errors
    /// [`TooManyAttempts`]: the key must not be verified.
    pub async fn check_keys(&self, address: Option<IpAddr>) -> Result<(), TooManyAttempts> {
        let Some(address) = address else { return Ok(()) };
        let wrong_keys = self.attempts.get(&self.key(&keys(address))).await;
        if wrong_keys.is_some_and(|count| count.load(Ordering::Relaxed) >= MAX_PER_ADDRESS) {
            Err(TooManyAttempts)
        } else {
            Ok(())
        }
    }

    /// Counts a wrong API key. Right keys are not counted, because programs may send many requests.
    pub async fn count_wrong_key(&self, address: Option<IpAddr>) {
        if let Some(address) = address {
            self.increment(&keys(address)).await;
        }
    }

    /// Resets an account's attempts after a right password, and takes back the last attempt of its address, so that the
    /// people of an office do not lock each other out.
    pub async fn forgive(&self, email: &str, address: Option<IpAddr>) {
        self.attempts.invalidate(&self.key(&account(email))).await;
        if let Some(address) = address
            && let Some(attempts) = self.attempts.get(&self.key(&of_address(address))).await
        {
            let _previous =
                attempts.fetch_update(Ordering::Relaxed, Ordering::Relaxed, |count| count.checked_sub(1));
        }
    }

    fn key(&self, counted: &str) -> u64 {
        self.hasher.hash_one(counted)
    }

    async fn increment(&self, counted: &str) -> u32 {
        let key = self.key(counted);
        let attempts = self.attempts.get_with(key, async { Arc::default() }).await;
        attempts.fetch_add(1, Ordering::Relaxed).saturating_add(1)
    }
}

impl Default for SignInThrottle {
    fn default() -> Self {
        Self::new()
    }
}

/// Counter key of an address; for IPv6 its /64, because one machine has all addresses of it.
fn of_address(address: IpAddr) -> String {
    match address {
        IpAddr::V4(address) => format!("address {address}"),
        IpAddr::V6(address) => format!("address {:x}", address.to_bits() >> 64),
    }
}

fn account(email: &str) -> String {
    format!("account {}", email.trim().to_lowercase())
}

fn keys(address: IpAddr) -> String {
    format!("keys {address}")
}

#[cfg(test)]
mod tests {
    use super::*;

    #[tokio::test]
    async fn an_account_can_be_tried_ten_times_and_others_are_not_affected() {
        let throttle = SignInThrottle::new();
        for _ in 0..10 {
            assert_eq!(throttle.count("Me@example.com", None).await, Ok(()));
        }
        assert_eq!(
            throttle.count("me@example.com ", None).await,
            Err(TooManyAttempts)
        );
        assert_eq!(throttle.count("you@example.com", None).await, Ok(()));
        throttle.forgive("ME@example.com", None).await;
        assert_eq!(throttle.count("me@example.com", None).await, Ok(()));
    }

    #[tokio::test]
    async fn an_office_signs_in_from_one_address() {
        let (throttle, address) = (SignInThrottle::new(), "203.0.113.7".parse().ok());
        for number in 0..300 {
            let email = format!("{number}@example.com");
            assert_eq!(throttle.count(&email, address).await, Ok(()));
            throttle.forgive(&email, address).await;
        }
    }

    #[tokio::test]
    async fn one_address_cannot_try_every_account() {
        let (throttle, address) = (SignInThrottle::new(), "203.0.113.7".parse().ok());
        for number in 0..100 {
            assert_eq!(
                throttle.count(&format!("{number}@example.com"), address).await,
                Ok(())
            );
        }
        assert_eq!(
            throttle.count("last@example.com", address).await,
            Err(TooManyAttempts)
        );
        assert_eq!(
            throttle
                .count("last@example.com", "203.0.113.8".parse().ok())
                .await,
            Ok(())
        );
    }

    #[tokio::test]
    async fn an_address_that_tries_a_hundred_wrong_keys_is_stopped() {
        let (throttle, address) = (SignInThrottle::new(), "203.0.113.7".parse().ok());
        for _ in 0..100 {
            assert_eq!(throttle.check_keys(address).await, Ok(()));
            throttle.count_wrong_key(address).await;
        }
        assert_eq!(throttle.check_keys(address).await, Err(TooManyAttempts));
        assert_eq!(throttle.check_keys("203.0.113.8".parse().ok()).await, Ok(()));
        assert_eq!(throttle.count("me@example.com", address).await, Ok(()));
    }
}
