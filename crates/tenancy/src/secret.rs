//! The installation's secret: one key from which every other is derived, shared by all nodes, never in the database.

use chacha20poly1305::ChaCha20Poly1305;
use chacha20poly1305::aead::Aead;
use diesel::prelude::*;
use diesel_async::{AsyncPgConnection, RunQueryDsl};
use hmac::{Hmac, KeyInit, Mac};
use schema::{BASE32, installation};
use sha2::Sha256;

/// 256 random bits. Losing them makes every click id that is still travelling unverifiable.
#[derive(Clone)]
pub struct Secret([u8; 32]);

/// Why a secret cannot be used.
#[derive(Debug, thiserror::Error)]
pub enum SecretError {
    /// The text is not what [`Secret::to_text`] writes.
    #[error("the secret must be 52 characters of lower-case base32 (0-9, a-z without i, l, o, u)")]
    Malformed,
    /// The database was set up with another secret.
    #[error(
        "this database belongs to an installation with another secret. Give this node the secret the others have \
         (CLICKLEDGER_SECRET, or the file secret.key in the data directory); with a different one it could not \
         recognise their click ids"
    )]
    NotOfThisInstallation,
    /// The database failed.
    #[error("database: {0}")]
    Query(#[from] diesel::result::Error),
}

impl Secret {
    /// A fresh random secret.
    #[must_use]
    pub fn random() -> Self {
        Self(rand::random())
    }

    /// Reads what [`Secret::to_text`] wrote.
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

    /// 52 characters to keep in a file or an environment variable.
    #[must_use]
    pub fn to_text(&self) -> String {
        BASE32.encode(&self.0)
    }

    /// The key for one purpose: HMAC-SHA256 of its name. Keys of different purposes say nothing of each other.
    #[must_use]
    pub fn derive(&self, purpose: &[u8]) -> [u8; 32] {
        #[expect(clippy::expect_used, reason = "HMAC takes keys of any length")]
        let mut mac = Hmac::<Sha256>::new_from_slice(&self.0).expect("HMAC takes any key");
        mac.update(purpose);
        mac.finalize().into_bytes().into()
    }

    /// Encrypts what must be read again, for one purpose.
    #[must_use]
    pub fn seal(&self, purpose: &[u8], plain: &[u8]) -> Vec<u8> {
        let nonce: [u8; 12] = rand::random();
        let cipher = ChaCha20Poly1305::new(&self.derive(purpose).into());
        #[expect(clippy::expect_used, reason = "fails only beyond 256 GiB")]
        let sealed = cipher.encrypt(&nonce.into(), plain).expect("a short text");
        [nonce.as_slice(), &sealed].concat()
    }

    /// Decrypts what [`Secret::seal`] made for the same purpose; none for anything else.
    #[must_use]
    pub fn unseal(&self, purpose: &[u8], sealed: &[u8]) -> Option<Vec<u8>> {
        let (nonce, sealed) = sealed.split_first_chunk::<12>()?;
        let cipher = ChaCha20Poly1305::new(&self.derive(purpose).into());
        cipher.decrypt(&(*nonce).into(), sealed).ok()
    }

    /// Makes sure that this is the secret the database was set up with; the first node to ask sets it.
    ///
    /// # Errors
    /// [`SecretError::NotOfThisInstallation`], or the database's.
    pub async fn claim(&self, conn: &mut AsyncPgConnection) -> Result<(), SecretError> {
        let fingerprint = self.derive(b"fingerprint").to_vec();
        diesel::insert_into(installation::table)
            .values(installation::secret_fingerprint.eq(&fingerprint))
            .on_conflict_do_nothing()
            .execute(conn)
            .await?;
        let stored: Vec<u8> = installation::table
            .select(installation::secret_fingerprint)
            .first(conn)
            .await?;
        if stored == fingerprint {
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
    fn what_is_sealed_opens_for_its_purpose_only() {
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
