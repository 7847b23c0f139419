//! Password hashing: argon2id, off the async threads, a few at a time.

use std::sync::Arc;

use argon2::password_hash::phc;
use argon2::{Algorithm, Argon2, Params, PasswordHasher, PasswordVerifier, Version};
use tokio::sync::Semaphore;

/// How many passwords are hashed at once. Each takes 19 MiB and a core for tens of milliseconds: sign-ins must not
/// starve clicks.
const AT_ONCE: usize = 2;

/// How many may wait for their turn, those at work included.
const WAITING: usize = 50;

/// So many passwords wait to be hashed that one more is better told to come back.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
#[error("too many sign-ins at once")]
pub struct TooBusy;

/// The hash of a password, as stored: argon2id in PHC string format.
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
    turns: Arc<Semaphore>,
    places: Arc<Semaphore>,
    /// What an unknown address is verified against, so that it takes as long as a known one.
    dummy: PasswordHash,
}

impl Passwords {
    /// Prepares the dummy hash, which takes as long as one sign-in.
    #[must_use]
    pub fn new() -> Self {
        Self {
            turns: Arc::new(Semaphore::new(AT_ONCE)),
            places: Arc::new(Semaphore::new(WAITING)),
            dummy: hash(""),
        }
    }

    /// The hash to store for a password.
    ///
    /// # Errors
    /// [`TooBusy`] when too many wait already.
    pub async fn hash(&self, password: &str) -> Result<PasswordHash, TooBusy> {
        let password = password.to_owned();
        self.in_turn(move || hash(&password)).await
    }

    /// Whether the password is the one that was hashed. With no hash (nobody has that address) the answer is no,
    /// after the same work.
    ///
    /// # Errors
    /// [`TooBusy`] when too many wait already.
    pub async fn verify(&self, password: &str, stored: Option<PasswordHash>) -> Result<bool, TooBusy> {
        let password = password.to_owned();
        let known = stored.is_some();
        let stored = stored.unwrap_or_else(|| self.dummy.clone());
        Ok(self.in_turn(move || verify(&password, &stored)).await? && known)
    }

    async fn in_turn<T: Send + 'static>(
        &self,
        work: impl FnOnce() -> T + Send + 'static,
    ) -> Result<T, TooBusy> {
        let _place = self.places.try_acquire().map_err(|_| TooBusy)?;
        let turn = Arc::clone(&self.turns)
            .acquire_owned()
            .await
            .map_err(|_| TooBusy)?;
        // The turn goes with the work: a caller who hangs up does not make room while it still runs.
        let working = tokio::task::spawn_blocking(move || {
            let _turn = turn;
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

/// OWASP's first choice for argon2id: 19 MiB, two passes, one lane.
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
    phc::PasswordHash::new(&stored.0)
        .is_ok_and(|stored| argon2id().verify_password(password.as_bytes(), &stored).is_ok())
}

/// Shortest password, in characters. (ASVS 6.2.1 asks for 8 and advises 15; nothing is asked of what it is made of.)
const SHORTEST: usize = 10;
/// Longest password, in bytes, so that hashing it costs what hashing any costs.
const LONGEST: usize = 256;
/// The much-used passwords that are long enough, without digits and signs at their end.
#[rustfmt::skip]
const COMMON: [&str; 42] = [
    "password", "passwort", "motdepasse", "contrasena", "qwertyuiop", "qwerty", "qwertz", "azerty", "asdfghjkl",
    "zxcvbnm", "letmein", "iloveyou", "welcome", "administrator", "admin", "changeme", "trustno", "superman", "batman",
    "football", "baseball", "basketball", "princess", "sunshine", "starwars", "whatever", "computer", "internet",
    "michelle", "jennifer", "michael", "liverpool", "manchester", "chelsea", "barcelona", "q1w2e3r4t5y", "1q2w3e4r5t",
    "1qaz2wsx3edc", "abcdefghij", "monkey", "dragon", "clickledger",
];

/// Whether somebody may use this password. `about` is what others know of them: name, address.
///
/// # Errors
/// What is wrong with it, for the person who typed it.
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
    if password.chars().count() < SHORTEST {
        Err("Use at least 10 characters; a few words are easiest to remember.")
    } else if password.len() > LONGEST {
        Err("Use at most 256 bytes.")
    } else if known
        || COMMON.contains(&core)
        || COMMON.contains(&lower.as_str())
        || digits_in_order
        || characters.len() < 5
    {
        Err(
            "This password is among the first that would be tried. Use a few words that do not belong together.",
        )
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
    async fn nobody_signs_in_as_an_unknown_person() {
        let passwords = Passwords::new();
        assert!(!passwords.verify("", None).await.unwrap());
    }

    #[test]
    fn a_password_is_long_and_not_what_everybody_takes() {
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
