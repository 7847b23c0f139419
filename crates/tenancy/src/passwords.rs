//! Password hashing with argon2id, on blocking threads and with limited concurrency.

use std::sync::Arc;

use argon2::password_hash::phc;
use argon2::{Algorithm, Argon2, Params, PasswordHasher, PasswordVerifier, Version};
use tokio::sync::Semaphore;

/// Maximum number of passwords hashed at the same time. Each takes 19 MiB and a core for tens of milliseconds, which
/// must not starve clicks.
const MAX_CONCURRENT: usize = 2;

/// Maximum number of password checks, running and waiting.
const MAX_PENDING: usize = 50;

/// Error for a request that exceeds the number of waiting password checks; the caller should retry later.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
#[error("too many sign-ins at the same time")]
pub struct TooBusy;

/// Password hash as stored: argon2id in PHC string format.
#[derive(Clone)]
pub struct PasswordHash(String);

impl PasswordHash {
    pub(crate) fn as_str(&self) -> &str {
        &self.0
    }

    pub(crate) fn from_stored(phc: String) -> Self {
        Self(phc)
    }
}

/// Hashes and verifies passwords. One per process; cheap to clone.
#[derive(Clone)]
pub struct Passwords {
    running: Arc<Semaphore>,
    pending: Arc<Semaphore>,
    /// Hash that a password for an unknown address is verified against, so that response times do not reveal which
    /// addresses exist.
    dummy: PasswordHash,
}

impl Passwords {
    /// Prepares the dummy hash, which takes as long as one sign-in.
    #[must_use]
    pub fn new() -> Self {
        Self {
            running: Arc::new(Semaphore::new(MAX_CONCURRENT)),
            pending: Arc::new(Semaphore::new(MAX_PENDING)),
            dummy: hash(""),
        }
    }

    /// Hash of a password, to store.
    ///
    /// # Errors
    /// [`TooBusy`] if too many password checks are pending.
    pub async fn hash(&self, password: &str) -> Result<PasswordHash, TooBusy> {
        let password = password.to_owned();
        self.limited(move || hash(&password)).await
    }

    /// True if the password matches the stored hash. Without a hash (unknown address), returns false after the same
    /// work.
    ///
    /// # Errors
    /// [`TooBusy`] if too many password checks are pending.
    #[tracing::instrument(skip_all)]
    pub async fn verify(&self, password: &str, stored: Option<PasswordHash>) -> Result<bool, TooBusy> {
        let password = password.to_owned();
        let known = stored.is_some();
        let stored = stored.unwrap_or_else(|| self.dummy.clone());
        Ok(self.limited(move || verify(&password, &stored)).await? && known)
    }

    async fn limited<T: Send + 'static>(
        &self,
        work: impl FnOnce() -> T + Send + 'static,
    ) -> Result<T, TooBusy> {
        let _pending = self.pending.try_acquire().map_err(|_| TooBusy)?;
        let permit = Arc::clone(&self.running)
            .acquire_owned()
            .await
            .map_err(|_| TooBusy)?;
        // The work holds the permit: after the caller disconnects, the permit stays taken until the work has ended.
        let working = tokio::task::spawn_blocking(move || {
            let _permit = permit;
            work()
        });
        match working.await {
            Ok(result) => Ok(result),
            Err(stopped) => std::panic::resume_unwind(stopped.into_panic()),
        }
    }
}

impl Default for Passwords {
    fn default() -> Self {
        Self::new()
    }
}

/// Argon2id with the parameters that OWASP recommends first: 19 MiB, two passes, one lane.
fn argon2id() -> Argon2<'static> {
    #[expect(
        clippy::expect_used,
        reason = "constant parameters within the algorithm's limits"
    )]
    let params = Params::new(19 * 1024, 2, 1, None).expect("valid parameters");
    Argon2::new(Algorithm::Argon2id, Version::V0x13, params)
}

fn hash(password: &str) -> PasswordHash {
    #[expect(
        clippy::expect_used,
        reason = "fails only for passwords beyond 4 GiB or without a system RNG"
    )]
    let hash = argon2id()
        .hash_password(password.as_bytes())
        .expect("argon2id hashes");
    PasswordHash(hash.to_string())
}

fn verify(password: &str, stored: &PasswordHash) -> bool {
    match phc::PasswordHash::new(&stored.0) {
        Ok(stored) => argon2id().verify_password(password.as_bytes(), &stored).is_ok(),
        Err(error) => {
            tracing::error!(%error, "malformed password hash in the database");
            false
        }
    }
}

/// Minimum password length in characters. (ASVS 6.2.1 requires 8 and recommends 15; composition rules are not
/// recommended.)
const MIN_CHARACTERS: usize = 10;
/// Maximum password length in bytes, which bounds the cost of hashing.
const MAX_BYTES: usize = 256;
/// Common passwords of sufficient length, without trailing digits and punctuation.
#[rustfmt::skip]
const COMMON: [&str; 42] = [
    "password", "passwort", "motdepasse", "contrasena", "qwertyuiop", "qwerty", "qwertz", "azerty", "asdfghjkl",
    "zxcvbnm", "letmein", "iloveyou", "welcome", "administrator", "admin", "changeme", "trustno", "superman", "batman",
    "football", "baseball", "basketball", "princess", "sunshine", "starwars", "whatever", "computer", "internet",
    "michelle", "jennifer", "michael", "liverpool", "manchester", "chelsea", "barcelona", "q1w2e3r4t5y", "1q2w3e4r5t",
    "1qaz2wsx3edc", "abcdefghij", "monkey", "dragon", "clickledger",
];

/// Validates a new password. `about` is public information about the person: name and address.
///
/// # Errors
/// Error message for the field.
pub fn check_password(password: &str, about: &[&str]) -> Result<(), &'static str> {
    let lower = password.to_lowercase();
    let core = lower.trim_end_matches(|c: char| !c.is_alphabetic());
    let known = about
        .iter()
        .flat_map(|text| text.split(['@', ' ', '.']))
        .map(str::to_lowercase)
        .any(|word| word.len() > 3 && core == word);
    let characters: std::collections::BTreeSet<char> = lower.chars().collect();
    let digits_in_order = "01234567890123456789".contains(&lower) || "98765432109876543210".contains(&lower);
    if password.chars().count() < MIN_CHARACTERS {
        Err("Use at least 10 characters; a few words are easiest to remember.")
    } else if password.len() > MAX_BYTES {
        Err("Use at most 256 bytes.")
    } else if known
        || COMMON.contains(&core)
        || COMMON.contains(&lower.as_str())
        || digits_in_order
        || characters.len() < 5
    {
        Err("This password is too easy to guess. Use a few words that do not belong together.")
    } else {
        Ok(())
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[tokio::test]
    async fn only_the_right_password_is_accepted() {
        let passwords = Passwords::new();
        let stored = passwords.hash("correct horse").await.unwrap();
        assert!(stored.as_str().starts_with("$argon2id$v=19$m=19456,t=2,p=1$"));
        assert!(
            passwords
                .verify("correct horse", Some(stored.clone()))
                .await
                .unwrap()
        );
        assert!(!passwords.verify("Correct horse", Some(stored)).await.unwrap());
    }

    #[tokio::test]
    async fn an_unknown_address_never_signs_in() {
        let passwords = Passwords::new();
        assert!(!passwords.verify("", None).await.unwrap());
    }

    #[test]
    fn a_password_must_be_long_and_hard_to_guess() {
        let about = ["maria@orbit.example", "Maria Kowalska"];
        for good in [
            "correct horse",
            "żółć gęślą jaźń",
            "x7#kQ2!mPz",
            &"word ".repeat(20),
        ] {
            assert_eq!(check_password(good, &about), Ok(()), "{good}");
        }
        for bad in [
            "short",
            "password123",
            "1234567890",
            "aaaaaaaaaaaa",
            "Kowalska2026!",
            "qwertyuiop",
            &"x".repeat(300),
        ] {
            assert!(check_password(bad, &about).is_err(), "{bad}");
        }
    }
}
