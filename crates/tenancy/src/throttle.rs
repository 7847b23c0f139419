//! How often a sign-in may be tried: per account, so that a password cannot be guessed, and per address, so that one
//! machine cannot try every account.

use std::net::IpAddr;
use std::sync::Arc;
use std::sync::atomic::{AtomicU32, Ordering};
use std::time::Duration;

use moka::future::Cache;

/// Tries are counted over this time, from the first one on.
pub const WINDOW: Duration = Duration::from_secs(15 * 60);
/// Tries per account.
const PER_ACCOUNT: u32 = 10;
/// Tries per address; an office shares one.
const PER_ADDRESS: u32 = 100;
/// Accounts and addresses remembered; more push the least used out.
const REMEMBERED: u64 = 100_000;

/// There were too many tries; the next one is welcome when [`WINDOW`] has passed.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
#[error("too many tries")]
pub struct TooManyTries;

/// Counts the tries of this node. Cheap to clone; all clones share it.
#[derive(Clone)]
pub struct SignInThrottle {
    tries: Cache<String, Arc<AtomicU32>>,
}

impl SignInThrottle {
    /// Nobody has tried yet.
    #[must_use]
    pub fn new() -> Self {
        Self {
            tries: Cache::builder()
                .max_capacity(REMEMBERED)
                .time_to_live(WINDOW)
                .build(),
        }
    }

    /// Counts a try before its password is looked at, whether the account exists or not.
    ///
    /// # Errors
    /// [`TooManyTries`]: the password must not be looked at.
    pub async fn count(&self, email: &str, address: Option<IpAddr>) -> Result<(), TooManyTries> {
        let account = self.increment(account(email)).await;
        let address = match address {
            Some(address) => self.increment(of_address(address)).await,
            None => 0,
        };
        if account > PER_ACCOUNT || address > PER_ADDRESS {
            Err(TooManyTries)
        } else {
            Ok(())
        }
    }

    /// Whether an address has tried so many wrong API keys that no other of its keys is looked at.
    ///
    /// # Errors
    /// [`TooManyTries`]: the key must not be looked at.
    pub async fn check_keys(&self, address: Option<IpAddr>) -> Result<(), TooManyTries> {
        let Some(address) = address else { return Ok(()) };
        let tried = self.tries.get(&keys(address)).await;
        match tried.is_some_and(|tries| tries.load(Ordering::Relaxed) >= PER_ADDRESS) {
            true => Err(TooManyTries),
            false => Ok(()),
        }
    }

    /// Counts a wrong API key. Right ones are not counted: a program may call all day.
    pub async fn count_wrong_key(&self, address: Option<IpAddr>) {
        if let Some(address) = address {
            self.increment(keys(address)).await;
        }
    }

    /// Forgets an account's tries after a right password, and the last one of its address: an office signs in from one.
    pub async fn forgive(&self, email: &str, address: Option<IpAddr>) {
        self.tries.invalidate(&account(email)).await;
        if let Some(address) = address
            && let Some(tries) = self.tries.get(&of_address(address)).await
        {
            let _ = tries.fetch_update(Ordering::Relaxed, Ordering::Relaxed, |count| count.checked_sub(1));
        }
    }

    async fn increment(&self, key: String) -> u32 {
        let tries = self.tries.get_with(key, async { Arc::default() }).await;
        tries.fetch_add(1, Ordering::Relaxed).saturating_add(1)
    }
}

impl Default for SignInThrottle {
    fn default() -> Self {
        Self::new()
    }
}

/// An address as it is counted: of IPv6 the /64, which one machine has to itself.
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
        assert_eq!(throttle.count("me@example.com ", None).await, Err(TooManyTries));
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
            Err(TooManyTries)
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
        assert_eq!(throttle.check_keys(address).await, Err(TooManyTries));
        assert_eq!(throttle.check_keys("203.0.113.8".parse().ok()).await, Ok(()));
        assert_eq!(throttle.count("me@example.com", address).await, Ok(()));
    }
}
