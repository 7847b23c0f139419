//! Two-factor authentication: six-digit codes of an authenticator app (TOTP, RFC 6238), and recovery codes in case the
//! app is lost. Every code works once.

use chrono::{DateTime, Utc};
use diesel::prelude::*;
use diesel_async::{AsyncPgConnection, RunQueryDsl};
use qrcode::QrCode;
use qrcode::render::svg;
use schema::{BASE32, PersonId, people, recovery_codes};
use sha2::{Digest, Sha256};
use totp_rs::{Algorithm, Builder, Totp};

use crate::Secret;

/// Number of recovery codes per person.
const RECOVERY_CODES: usize = 10;
/// Length of a TOTP secret in bytes, as RFC 4226 recommends.
const SEED_BYTES: usize = 20;

/// Unconfirmed TOTP secret: travels sealed in the form until the first code proves that the app has it.
pub struct Enrolment {
    seed: [u8; SEED_BYTES],
}

impl Enrolment {
    /// Fresh random secret.
    #[must_use]
    pub fn fresh() -> Self {
        Self { seed: rand::random() }
    }

    /// Sealed form for a hidden field, which only this installation can read, and only for this person.
    #[must_use]
    pub fn sealed(&self, secret: &Secret, person_id: PersonId) -> String {
        BASE32.encode(&secret.seal(&purpose("enrolment", person_id), &self.seed))
    }

    /// Reads what [`Enrolment::sealed`] wrote; None for anything else.
    #[must_use]
    pub fn unsealed(text: &str, secret: &Secret, person_id: PersonId) -> Option<Self> {
        let sealed = BASE32.decode(text.as_bytes()).ok()?;
        let seed = secret.unseal(&purpose("enrolment", person_id), &sealed)?;
        Some(Self {
            seed: seed.try_into().ok()?,
        })
    }

    /// Secret to type into an app that cannot scan: upper-case RFC 4648 base32, in groups of four.
    #[must_use]
    pub fn typed(&self) -> String {
        let mut text = data_encoding::BASE32_NOPAD.encode(&self.seed);
        for at in (4..text.len()).step_by(4).rev() {
            text.insert(at, ' ');
        }
        text
    }

    /// QR code for the app as a `data:` URL, black on white.
    #[must_use]
    pub fn picture(&self, email: &str) -> String {
        let secret = data_encoding::BASE32_NOPAD.encode(&self.seed);
        // A validated address contains only characters that need no escaping in a URL.
        let url = format!("otpauth://totp/Clickledger:{email}?secret={secret}&issuer=Clickledger");
        let drawn =
            QrCode::new(url).map(|code| code.render::<svg::Color<'_>>().min_dimensions(200, 200).build());
        // Too long a URL does not fit into a QR code; the secret can be typed instead.
        let picture = data_encoding::BASE64.encode(drawn.unwrap_or_default().as_bytes());
        format!("data:image/svg+xml;base64,{picture}")
    }

    /// Sets up two-factor authentication if the code is right, and returns fresh recovery codes; None if it is wrong.
    ///
    /// # Errors
    /// Returns an error if the database fails.
    #[tracing::instrument(skip_all, fields(person = %person_id))]
    pub async fn confirm(
        &self,
        conn: &mut AsyncPgConnection,
        secret: &Secret,
        person_id: PersonId,
        code: &str,
        now: DateTime<Utc>,
    ) -> QueryResult<Option<Vec<String>>> {
        let Some(step) = step_of(&self.seed, code, now) else {
            return Ok(None);
        };
        diesel::update(people::table.find(person_id))
            .set((
                people::totp_sealed.eq(secret.seal(&purpose("totp", person_id), &self.seed)),
                people::totp_last_step.eq(step),
            ))
            .execute(conn)
            .await?;
        fresh_recovery_codes(conn, person_id).await.map(Some)
    }
}

fn purpose(kind: &str, person_id: PersonId) -> Vec<u8> {
    format!("{kind} {person_id}").into_bytes()
}

/// Time step of a code: the current step, or one to either side; None if the code is wrong.
fn step_of(seed: &[u8], code: &str, now: DateTime<Utc>) -> Option<i64> {
    let code: String = code.chars().filter(|c| !c.is_whitespace()).collect();
    let seconds = u64::try_from(now.timestamp()).ok()?;
    i64::try_from(totp(seed)?.check(&code, seconds)?).ok()
}

fn totp(seed: &[u8]) -> Option<Totp> {
    Builder::new()
        .with_algorithm(Algorithm::SHA1)
        .with_digits(6)
        .with_skew(1)
        .with_step_duration(30)
        .with_secret(seed.to_vec())
        .build()
        .ok()
}

/// Code at this time, for tests only.
#[must_use]
pub fn code_at(typed_secret: &str, now: DateTime<Utc>) -> Option<String> {
    let text: String = typed_secret.chars().filter(|c| !c.is_whitespace()).collect();
    let seed = data_encoding::BASE32_NOPAD.decode(text.as_bytes()).ok()?;
    let seconds = u64::try_from(now.timestamp()).ok()?;
    Some(totp(&seed)?.generate(seconds).to_string())
}

/// Replaces a person's recovery codes. They are shown once; only hashes are stored.
///
/// # Errors
/// Returns an error if the database fails.
pub async fn fresh_recovery_codes(
    conn: &mut AsyncPgConnection,
    person_id: PersonId,
) -> QueryResult<Vec<String>> {
    // Locks the person, so that concurrent requests leave one set of codes and not two.
    let _: PersonId = people::table
        .find(person_id)
        .select(people::id)
        .for_update()
        .first(conn)
        .await?;
    diesel::delete(recovery_codes::table.filter(recovery_codes::person_id.eq(person_id)))
        .execute(conn)
        .await?;
    let codes: Vec<String> = (0..RECOVERY_CODES)
        .map(|_| BASE32.encode(&rand::random::<[u8; 10]>()))
        .collect();
    let rows: Vec<_> = codes
        .iter()
        .map(|code| {
            (
                recovery_codes::person_id.eq(person_id),
                recovery_codes::code_hash.eq(hash(code)),
            )
        })
        .collect();
    diesel::insert_into(recovery_codes::table)
        .values(rows)
        .execute(conn)
        .await?;
    Ok(codes)
}

fn hash(code: &str) -> Vec<u8> {
    Sha256::digest(code.as_bytes()).to_vec()
}

/// Uses up a code of the app or a recovery code and returns true if it was right. No code works twice, even
/// concurrently.
///
/// # Errors
/// Returns an error if the database fails.
#[tracing::instrument(skip_all, fields(person = %person_id))]
pub async fn use_code(
    conn: &mut AsyncPgConnection,
    secret: &Secret,
    person_id: PersonId,
    code: &str,
    now: DateTime<Utc>,
) -> QueryResult<bool> {
    let sealed: Option<Vec<u8>> = people::table
        .find(person_id)
        .select(people::totp_sealed)
        .first(conn)
        .await?;
    let seed = sealed.and_then(|sealed| {
        let seed = secret.unseal(&purpose("totp", person_id), &sealed);
        if seed.is_none() {
            tracing::error!("stored TOTP secret cannot be decrypted");
        }
        seed
    });
    if let Some(step) = seed.and_then(|seed| step_of(&seed, code, now)) {
        let used = diesel::update(
            people::table.find(person_id).filter(
                people::totp_last_step
                    .is_null()
                    .or(people::totp_last_step.lt(step)),
            ),
        )
        .set(people::totp_last_step.eq(step))
        .execute(conn)
        .await?;
        return Ok(used == 1);
    }
    let typed = code.trim().to_lowercase();
    let used = diesel::delete(recovery_codes::table.find((person_id, hash(&typed))))
        .execute(conn)
        .await?;
    Ok(used == 1)
}

/// Number of recovery codes left; None if the person has not set up two-factor authentication.
///
/// # Errors
/// Returns an error if the database fails.
pub async fn state(conn: &mut AsyncPgConnection, person_id: PersonId) -> QueryResult<Option<i64>> {
    let has: bool = people::table
        .find(person_id)
        .select(people::totp_sealed.is_not_null())
        .first(conn)
        .await?;
    let left = recovery_codes::table
        .filter(recovery_codes::person_id.eq(person_id))
        .count()
        .get_result(conn)
        .await?;
    Ok(has.then_some(left))
}

/// Turns off two-factor authentication for a person.
///
/// # Errors
/// Returns an error if the database fails.
#[tracing::instrument(skip_all, fields(person = %person_id))]
pub async fn remove(conn: &mut AsyncPgConnection, person_id: PersonId) -> QueryResult<()> {
    diesel::update(people::table.find(person_id))
        .set((
            people::totp_sealed.eq(None::<Vec<u8>>),
            people::totp_last_step.eq(None::<i64>),
        ))
        .execute(conn)
        .await?;
    diesel::delete(recovery_codes::table.filter(recovery_codes::person_id.eq(person_id)))
        .execute(conn)
        .await?;
    Ok(())
}

#[cfg(test)]
mod tests {
    use super::*;

    fn at(seconds: i64) -> DateTime<Utc> {
        DateTime::from_timestamp(seconds, 0).unwrap()
    }

    /// The first and third vectors of RFC 6238, appendix B, cut to six digits.
    #[test]
    fn codes_match_the_vectors_of_the_rfc() {
        let seed = b"12345678901234567890";
        assert_eq!(step_of(seed, "287082", at(59)), Some(1));
        assert_eq!(step_of(seed, "081 804", at(1_111_111_109)), Some(37_037_036));
        assert_eq!(step_of(seed, "287082", at(59 + 30)), Some(1), "one step late");
        assert_eq!(step_of(seed, "287082", at(59 + 90)), None, "too late");
        for wrong in ["", "28708", "2870822", "abcdef", "287083"] {
            assert_eq!(step_of(seed, wrong, at(59)), None, "{wrong}");
        }
    }

    #[test]
    fn an_enrolment_is_bound_to_one_person() {
        let (secret, enrolment) = (Secret::random(), Enrolment::fresh());
        let sealed = enrolment.sealed(&secret, PersonId(1));
        assert!(
            Enrolment::unsealed(&sealed, &secret, PersonId(1))
                .is_some_and(|read| read.seed == enrolment.seed)
        );
        assert!(Enrolment::unsealed(&sealed, &secret, PersonId(2)).is_none());
        let code = code_at(&enrolment.typed(), at(1_000)).unwrap();
        assert_eq!(step_of(&enrolment.seed, &code, at(1_000)), Some(33));
        let picture = enrolment.picture("me@example.com");
        let svg = picture.strip_prefix("data:image/svg+xml;base64,").unwrap();
        let svg = data_encoding::BASE64.decode(svg.as_bytes()).unwrap();
        assert!(String::from_utf8(svg).unwrap().contains("<svg"));
    }
}
