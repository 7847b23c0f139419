//! Installation secret, from which all other keys are derived; shared by all nodes and never stored in the database.

use chacha20poly1305::ChaCha20Poly1305;
use chacha20poly1305::aead::Aead;
use diesel::prelude::*;
use diesel_async::{AsyncPgConnection, RunQueryDsl};
use hmac::{Hmac, KeyInit, Mac};
use schema::{BASE32, installation};
use sha2::Sha256;

/// 256 random bits. If they are lost, click IDs in circulation can no longer be verified.
#[derive(Clone)]
pub struct Secret([u8; 32]);

/// Reason for rejecting a secret.
#[derive(Debug, thiserror::Error)]
pub enum SecretError {
    /// Text that [`Secret::to_text`] did not write.
    #[error("the secret must be 52 characters of lower-case base32 (0-9, a-z without i, l, o, u)")]
    Malformed,
    /// The database was set up with another secret.
    #[error(
        "this database belongs to an installation with another secret. Set CLICKLEDGER_SECRET, or the file \
         secret.key in the data directory, to the secret of the other nodes; with a different secret, this node could \
         not verify their click IDs"
    )]
    NotOfThisInstallation,
    /// The database failed.
    #[error("database: {0}")]
    Query(#[from] diesel::result::Error),
}

impl Secret {
    /// Fresh random secret.
    #[must_use]
    pub fn random() -> Self {
        Self(rand::random())
    }

    /// Parses the output of [`Secret::to_text`].
    ///
    /// # Errors
    /// [`SecretError::Malformed`] for anything else.
    pub fn from_text(text: &str) -> Result<Self, SecretError> {
        BASE32
            .decode(text.trim().as_bytes())
            .ok()
            .and_then(|bytes| bytes.try_into().ok())
            .map(Self)
            .ok_or(SecretError::Malformed)
    }

    /// Text form of 52 characters, for a file or an environment variable.
    #[must_use]
    pub fn to_text(&self) -> String {
        BASE32.encode(&self.0)
    }

    /// Key for one purpose: HMAC-SHA256 of the purpose. Keys of different purposes reveal nothing about each other.
    #[must_use]
    pub fn derive(&self, purpose: &[u8]) -> [u8; 32] {
        #[expect(clippy::expect_used, reason = "HMAC takes keys of any length")]
        let mut mac = Hmac::<Sha256>::new_from_slice(&self.0).expect("HMAC takes any key");
        mac.update(purpose);
        mac.finalize().into_bytes().into()
    }

    /// Encrypts a value for one purpose.
    #[must_use]
    pub fn seal(&self, purpose: &[u8], plain: &[u8]) -> Vec<u8> {
        let nonce: [u8; 12] = rand::random();
        let cipher = ChaCha20Poly1305::new(&self.derive(purpose).into());
        #[expect(clippy::expect_used, reason = "fails only beyond 256 GiB")]
        let sealed = cipher.encrypt(&nonce.into(), plain).expect("a short text");
        [nonce.as_slice(), &sealed].concat()
    }

    /// Decrypts a value that [`Secret::seal`] encrypted for the same purpose; None for anything else.
    #[must_use]
    pub fn unseal(&self, purpose: &[u8], sealed: &[u8]) -> Option<Vec<u8>> {
        let (nonce, sealed) = sealed.split_first_chunk::<12>()?;
        let cipher = ChaCha20Poly1305::new(&self.derive(purpose).into());
        cipher.decrypt(&(*nonce).into(), sealed).ok()
    }

    /// Checks that this is the secret the database was set up with; the first node to call this sets it.
    ///
    /// # Errors
    /// [`SecretError::NotOfThisInstallation`] if not, or when the database fails.
    pub async fn claim(&self, conn: &mut AsyncPgConnection) -> Result<(), SecretError> {
        let fingerprint = self.derive(b"fingerprint").to_vec();
        diesel::insert_into(installation::table)
            .values(installation::secret_fingerprint.eq(&fingerprint))
            .on_conflict_do_nothing()
            .execute(conn)
            .await?;
        self.check(conn).await
    }

    /// Checks that the database was set up with this secret, or with none yet.
    ///
    /// # Errors
    /// [`SecretError::NotOfThisInstallation`] if not, or when the database fails.
    pub async fn check(&self, conn: &mut AsyncPgConnection) -> Result<(), SecretError> {
        let stored: Option<Vec<u8>> = installation::table
            .select(installation::secret_fingerprint)
            .first(conn)
            .await
            .optional()?;
        if stored.is_none_or(|stored| stored == self.derive(b"fingerprint")) {
            Ok(())
        } else {
            Err(SecretError::NotOfThisInstallation)
        }
    }
}

#[cfg(test)]
mod tests {
    use super::Secret;

    #[test]
    fn a_sealed_value_opens_for_its_purpose_only() {
        let secret = Secret::random();
        let sealed = secret.seal(b"totp 1", b"twenty bytes of seed");
        assert_eq!(
            secret.unseal(b"totp 1", &sealed).as_deref(),
            Some(b"twenty bytes of seed".as_slice())
        );
        assert_eq!(secret.unseal(b"totp 2", &sealed), None);
        assert_eq!(Secret::random().unseal(b"totp 1", &sealed), None);
        assert_eq!(secret.unseal(b"totp 1", b"short"), None);
    }
}
