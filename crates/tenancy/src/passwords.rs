//! Password hashing with argon2id, on a few threads.

use std::sync::{Arc, Mutex, PoisonError, mpsc};
use std::thread;

use argon2::password_hash::phc::{self, Output, ParamsString, Salt};
use argon2::{Algorithm, Argon2, Block, Params, Version};
use tokio::sync::{Semaphore, oneshot};

/// Number of threads, and so of passwords hashed at the same time. Each takes 19 MiB and a core for tens of milliseconds,
/// which must not starve clicks. Each thread has its memory for good: an allocator that gets 19 MiB back after each of a
/// hundred sign-ins keeps half a gigabyte in fragments.
const THREADS: usize = 2;

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
    /// Text of the hash, to store.
    #[must_use]
    pub fn as_str(&self) -> &str {
        &self.0
    }

    /// Hash from its stored text.
    #[must_use]
    pub fn from_stored(phc: String) -> Self {
        Self(phc)
    }
}

type Work = Box<dyn FnOnce(&mut Memory) + Send>;

/// Hashes and verifies passwords. One per process; cheap to clone.
#[derive(Clone)]
pub struct Passwords {
    work: mpsc::Sender<Work>,
    pending: Arc<Semaphore>,
    /// Hash that a password for an unknown address is verified against, so that response times do not reveal which
    /// addresses exist.
    dummy: PasswordHash,
}

impl Passwords {
    /// Starts the threads, which end with the last clone, and prepares the dummy hash, which takes as long as one
    /// sign-in.
    #[must_use]
    pub fn new() -> Self {
        Self {
            work: start_threads(),
            pending: Arc::new(Semaphore::new(MAX_PENDING)),
            dummy: Memory::default().hash(""),
        }
    }

    /// Hash of a password, to store.
    ///
    /// # Errors
    /// [`TooBusy`] if too many password checks are pending.
    pub async fn hash(&self, password: &str) -> Result<PasswordHash, TooBusy> {
        let password = password.to_owned();
        self.limited(move |memory| memory.hash(&password)).await
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
        Ok(self
            .limited(move |memory| memory.verify(&password, &stored))
            .await?
            && known)
    }

    async fn limited<T: Send + 'static>(
        &self,
        work: impl FnOnce(&mut Memory) -> T + Send + 'static,
    ) -> Result<T, TooBusy> {
        let permit = Arc::clone(&self.pending)
            .try_acquire_owned()
            .map_err(|_| TooBusy)?;
        let (done, result) = oneshot::channel();
        // The work holds the permit: after the caller disconnects, the permit stays taken until the work has ended.
        let work = Box::new(move |memory: &mut Memory| {
            let _permit = permit;
            // A caller that has disconnected takes no result.
            drop(done.send(work(memory)));
        });
        self.work.send(work).map_err(|_| TooBusy)?;
        result.await.map_err(|_| TooBusy)
    }
}

fn start_threads() -> mpsc::Sender<Work> {
    let (work, waiting) = mpsc::channel::<Work>();
    let waiting = Arc::new(Mutex::new(waiting));
    for _ in 0..THREADS {
        let waiting = Arc::clone(&waiting);
        thread::spawn(move || {
            let mut memory = Memory::default();
            loop {
                // A thread waits with the lock, the others for the lock.
                let next = waiting.lock().unwrap_or_else(PoisonError::into_inner).recv();
                let Ok(work) = next else { break };
                // A panic must not end the thread; its caller gets no result.
                let outcome = std::panic::catch_unwind(std::panic::AssertUnwindSafe(|| work(&mut memory)));
                if outcome.is_err() {
                    tracing::error!("a password was not hashed: the work panicked");
                }
            }
        });
    }
    work
}

impl Default for Passwords {
    fn default() -> Self {
        Self::new()
    }
}

/// Memory that every hash fills anew.
#[derive(Default)]
struct Memory(Vec<Block>);

impl Memory {
    fn hash(&mut self, password: &str) -> PasswordHash {
        let salt = Salt::generate();
        #[expect(
            clippy::expect_used,
            reason = "valid constants, and a password that is not 4 GiB long"
        )]
        let hash = params()
            .and_then(|params| {
                Ok(phc::PasswordHash {
                    algorithm: Algorithm::Argon2id.ident(),
                    version: Some(Version::V0x13.into()),
                    params: ParamsString::try_from(&params)?,
                    hash: Some(self.output(Algorithm::Argon2id, Version::V0x13, params, password, &salt)?),
                    salt: Some(salt),
                })
            })
            .expect("argon2id hashes");
        PasswordHash(hash.to_string())
    }

    fn verify(&mut self, password: &str, stored: &PasswordHash) -> bool {
        let result = phc::PasswordHash::new(&stored.0)
            .map_err(Into::into)
            .and_then(|stored| self.is_of(password, &stored));
        result.unwrap_or_else(|error| {
            tracing::error!(%error, "malformed password hash in the database");
            false
        })
    }

    /// True if a hash is that of a password, by the parameters that it was made with.
    fn is_of(
        &mut self,
        password: &str,
        hash: &phc::PasswordHash,
    ) -> Result<bool, argon2::password_hash::Error> {
        let (Some(salt), Some(expected)) = (&hash.salt, &hash.hash) else {
            return Ok(false);
        };
        let algorithm = Algorithm::try_from(hash.algorithm.as_str())?;
        let version = hash.version.map(Version::try_from).transpose()?;
        let version = version.unwrap_or_default();
        let found = self.output(algorithm, version, Params::try_from(hash)?, password, salt)?;
        // Compares in constant time.
        Ok(found == *expected)
    }

    fn output(
        &mut self,
        algorithm: Algorithm,
        version: Version,
        params: Params,
        password: &str,
        salt: &Salt,
    ) -> Result<Output, argon2::password_hash::Error> {
        let length = params.output_len().unwrap_or(Params::DEFAULT_OUTPUT_LEN);
        self.0.resize(params.block_count(), Block::new());
        let argon2 = Argon2::new(algorithm, version, params);
        let mut output = vec![0; length];
        argon2.hash_password_into_with_memory(password.as_bytes(), salt, &mut output, &mut self.0)?;
        Ok(Output::new(&output)?)
    }
}

/// The parameters that OWASP recommends first: 19 MiB, two passes, one lane.
fn params() -> Result<Params, argon2::password_hash::Error> {
    Ok(Params::new(19 * 1024, 2, 1, Some(Params::DEFAULT_OUTPUT_LEN))?)
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

    #[test]
    fn the_memory_is_used_again_and_hashes_of_the_library_are_verified() {
        use argon2::{PasswordHasher as _, PasswordVerifier as _};
        let mut memory = Memory::default();
        for password in ["correct horse", "battery staple"] {
            let of_library: phc::PasswordHash = Argon2::default().hash_password(password.as_bytes()).unwrap();
            let of_library = PasswordHash(of_library.to_string());
            assert!(memory.verify(password, &of_library) && !memory.verify("another", &of_library));
            let ours = phc::PasswordHash::new(memory.hash(password).as_str()).unwrap();
            assert_eq!(
                Argon2::default().verify_password(password.as_bytes(), &ours),
                Ok(())
            );
        }
        assert_eq!(memory.0.len(), 19 * 1024);
        assert!(!memory.verify("x", &PasswordHash("$argon2id$nonsense".to_owned())));
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
