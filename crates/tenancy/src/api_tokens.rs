//! API tokens: JWTs valid for 15 minutes, issued for an API key or a dashboard session, for places where a long-lived
//! key is too dangerous (a browser, a script on a laptop).
//!
//! Signed with HS256 only. Signing keys rotate every 30 days and are not stored: each is derived from the
//! installation's secret and the number of the period, which is the header's `kid`; only the current and the previous
//! period are accepted. A token is a pointer: [`actor_of`] checks on every use that its API key or session still
//! exists, so revoking the key or signing out ends its tokens at once.

use std::net::IpAddr;

use chrono::{DateTime, TimeDelta, Utc};
use jsonwebtoken::{Algorithm, DecodingKey, EncodingKey, Header, Validation};
use schema::{ApiKeyId, BASE32, Db, DbError, MembershipId, NetworkId, SessionId};
use serde::{Deserialize, Serialize};

use crate::actor::{Actor, Impersonation};
use crate::author::Via;
use crate::sessions::Session;
use crate::{Secret, api_keys, people, sessions, unscoped};

/// Validity of a token.
pub const LIFETIME: TimeDelta = TimeDelta::minutes(15);
/// Audience (`aud` claim) of our tokens.
const AUDIENCE: &str = "clickledger-api";
/// Validity of one signing key, in seconds.
const PERIOD: i64 = 30 * 24 * 60 * 60;
/// Maximum length of a token in bytes; longer ones are rejected unparsed.
const MAX_TOKEN_BYTES: usize = 4 * 1024;
/// Accepted clock skew: a node's clock may be ahead of ours by this much.
const MAX_CLOCK_SKEW: TimeDelta = TimeDelta::minutes(1);

/// Credential that a token was issued for.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum TokenSource {
    /// API key, and the membership it belongs to.
    ApiKey(ApiKeyId, MembershipId),
    /// Session, and the membership in use.
    Session(SessionId, MembershipId),
    /// Session of an operator who impersonates a member.
    Impersonation {
        /// The operator's session.
        session_id: SessionId,
        /// Membership of the member.
        membership_id: MembershipId,
        /// Reason that the operator entered.
        reason: String,
    },
}

/// Reason for rejecting a token.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
pub enum TokenFlaw {
    /// Expired.
    #[error("the token has expired")]
    Expired,
    /// Not issued by this installation, or tampered with.
    #[error("not a token of this installation")]
    NotOurs,
}

/// Claims of a verified token.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Claims {
    /// Network the token is valid in.
    pub network_id: NetworkId,
    /// Credential that the token was issued for.
    pub source: TokenSource,
}

/// JWT payload. All fields but `imp` are required, unknown fields are rejected, and types are strict: `exp` must be an
/// integer.
#[derive(Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
struct Payload {
    iss: String,
    aud: String,
    sub: String,
    net: NetworkId,
    mbr: MembershipId,
    exp: i64,
    jti: String,
    /// Reason of an operator's impersonation; absent if the person acts.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    imp: Option<String>,
}

impl Payload {
    fn source(&self) -> Option<TokenSource> {
        if let Some(reason) = &self.imp {
            return Some(TokenSource::Impersonation {
                session_id: self.sub.parse().ok()?,
                membership_id: self.mbr,
                reason: reason.clone(),
            });
        }
        let key = self.sub.parse().map(|id| TokenSource::ApiKey(id, self.mbr));
        let session = || self.sub.parse().map(|id| TokenSource::Session(id, self.mbr));
        key.or_else(|_| session()).ok()
    }
}

/// Issues and verifies tokens. Cheap to clone.
#[derive(Clone)]
pub struct ApiTokens {
    secret: Secret,
    issuer: String,
}

impl ApiTokens {
    /// Tokens of the installation with this secret and this dashboard URL, which becomes the issuer (`iss` claim).
    #[must_use]
    pub fn new(secret: &Secret, issuer_url: &str) -> Self {
        Self {
            secret: secret.clone(),
            issuer: issuer_url.to_owned(),
        }
    }

    /// Issues a token and returns it with its expiry.
    #[must_use]
    pub fn issue(
        &self,
        network_id: NetworkId,
        source: TokenSource,
        now: DateTime<Utc>,
    ) -> (String, DateTime<Utc>) {
        let expiry = now + LIFETIME;
        let (sub, mbr, imp) = match source {
            TokenSource::ApiKey(id, membership_id) => (id.to_string(), membership_id, None),
            TokenSource::Session(id, membership_id) => (id.to_string(), membership_id, None),
            TokenSource::Impersonation {
                session_id,
                membership_id,
                reason,
            } => (session_id.to_string(), membership_id, Some(reason)),
        };
        let payload = Payload {
            iss: self.issuer.clone(),
            aud: AUDIENCE.to_owned(),
            sub,
            net: network_id,
            mbr,
            exp: expiry.timestamp(),
            jti: BASE32.encode(&rand::random::<[u8; 15]>()),
            imp,
        };
        let period = period_of(now);
        let key = EncodingKey::from_secret(&self.key(period));
        #[expect(
            clippy::expect_used,
            reason = "strings and integers serialize, and HMAC accepts keys of any length"
        )]
        let token = jsonwebtoken::encode(&header(period), &payload, &key).expect("a token serializes");
        (token, expiry)
    }

    /// Verifies signature, issuer, audience and expiry, and returns the claims.
    ///
    /// # Errors
    /// [`TokenFlaw`].
    pub fn verify(&self, token: &str, now: DateTime<Utc>) -> Result<Claims, TokenFlaw> {
        if token.len() > MAX_TOKEN_BYTES {
            return Err(TokenFlaw::NotOurs);
        }
        let parsed = jsonwebtoken::decode_header(token).map_err(|_| TokenFlaw::NotOurs)?;
        // The header must equal one that we write, so that no other header field (jwk, jku, x5u, crit) has any effect.
        let present = period_of(now);
        let period = [present, present - 1]
            .into_iter()
            .find(|period| parsed == header(*period))
            .ok_or(TokenFlaw::NotOurs)?;
        let key = DecodingKey::from_secret(&self.key(period));
        let payload = jsonwebtoken::decode::<Payload>(token, &key, &self.rules())
            .map_err(|_| TokenFlaw::NotOurs)?
            .claims;
        let expiry = DateTime::from_timestamp(payload.exp, 0).ok_or(TokenFlaw::NotOurs)?;
        if expiry - now > LIFETIME + MAX_CLOCK_SKEW {
            return Err(TokenFlaw::NotOurs);
        }
        if expiry <= now {
            return Err(TokenFlaw::Expired);
        }
        Ok(Claims {
            network_id: payload.net,
            source: payload.source().ok_or(TokenFlaw::NotOurs)?,
        })
    }

    fn rules(&self) -> Validation {
        let mut rules = Validation::new(Algorithm::HS256);
        rules.set_issuer(&[&self.issuer]);
        rules.set_audience(&[AUDIENCE]);
        rules.set_required_spec_claims(&["exp", "iss", "aud", "sub"]);
        // `verify` checks the expiry itself, against the `now` parameter.
        rules.validate_exp = false;
        rules.leeway = 0;
        rules
    }

    fn key(&self, period: i64) -> [u8; 32] {
        self.secret.derive(format!("api token {period}").as_bytes())
    }
}

fn period_of(now: DateTime<Utc>) -> i64 {
    now.timestamp().div_euclid(PERIOD)
}

fn header(period: i64) -> Header {
    let mut header = Header::new(Algorithm::HS256);
    header.kid = Some(period.to_string());
    header
}

/// Actor behind a verified token; None if its credential no longer holds. An API key must be active; a session must not
/// have ended, must belong to that membership, must have passed two-factor authentication, and must not be an
/// impersonation. The session of an impersonating operator may belong to any membership, and its person must still be
/// an operator.
///
/// # Errors
/// Returns an error if the database fails.
#[tracing::instrument(skip_all, fields(network = %claims.network_id))]
pub async fn actor_of(
    db: &Db,
    claims: &Claims,
    address: Option<IpAddr>,
    now: DateTime<Utc>,
) -> Result<Option<Actor>, DbError> {
    let network_id = claims.network_id;
    match &claims.source {
        TokenSource::ApiKey(id, membership_id) => {
            let (id, membership_id) = (*id, *membership_id);
            let mut conn = db.network(network_id).await?;
            let scopes = api_keys::scopes(&mut conn, id, membership_id, now).await?;
            conn.commit().await?;
            let Some(scopes) = scopes else { return Ok(None) };
            let found = unscoped::actor(db, network_id, membership_id, Via::Api, address).await?;
            Ok(found.map(|mut actor| {
                actor.scopes = Some(scopes);
                actor
            }))
        }
        TokenSource::Session(id, membership_id) => {
            let (id, membership_id) = (*id, *membership_id);
            let Some(session) = personal_session(db, id, now).await? else {
                return Ok(None);
            };
            if session.network_id != Some(network_id) || session.membership_id != Some(membership_id) {
                return Ok(None);
            }
            let found = unscoped::actor(db, network_id, membership_id, Via::Api, address).await?;
            Ok(found
                .filter(|actor| actor.person_id == session.person_id)
                .map(|mut actor| {
                    actor.session_id = Some(id);
                    actor
                }))
        }
        TokenSource::Impersonation {
            session_id,
            membership_id,
            reason,
        } => {
            let Some(session) = personal_session(db, *session_id, now).await? else {
                return Ok(None);
            };
            let person = people::find(&mut *db.unscoped().await?, session.person_id).await?;
            let Some(operator) = person.filter(|person| person.is_operator) else {
                return Ok(None);
            };
            let found = unscoped::actor(db, network_id, *membership_id, Via::Api, address).await?;
            Ok(found.map(|actor| Actor {
                session_id: Some(*session_id),
                lacks_second_factor: false,
                impersonation: Some(Impersonation {
                    operator_id: operator.id,
                    operator_name: operator.name,
                    reason: reason.clone(),
                }),
                ..actor
            }))
        }
    }
}

/// Session in which the person acts: it has passed two-factor authentication and is not an impersonation.
async fn personal_session(db: &Db, id: SessionId, now: DateTime<Utc>) -> Result<Option<Session>, DbError> {
    let session = sessions::find(&mut *db.unscoped().await?, id, now).await?;
    Ok(session.filter(|session| !session.awaits_second_factor && !session.is_impersonation()))
}

#[cfg(test)]
mod tests {
    use data_encoding::BASE64URL_NOPAD;
    use hmac::{Hmac, KeyInit, Mac};
    use serde_json::{Value, json};
    use sha2::Sha256;

    use super::*;

    const ISSUER: &str = "https://app.example";

    fn tokens() -> ApiTokens {
        ApiTokens::new(&Secret::from_text(&"0".repeat(52)).unwrap(), ISSUER)
    }

    fn now() -> DateTime<Utc> {
        DateTime::from_timestamp(1_800_000_000, 0).unwrap()
    }

    fn source() -> TokenSource {
        TokenSource::ApiKey(ApiKeyId(7), MembershipId(8))
    }

    fn claims() -> Value {
        json!({
            "iss": ISSUER, "aud": AUDIENCE, "sub": ApiKeyId(7), "net": NetworkId(9), "mbr": MembershipId(8),
            "exp": now().timestamp() + 900, "jti": "x",
        })
    }

    fn good_header() -> Value {
        json!({ "typ": "JWT", "alg": "HS256", "kid": period_of(now()).to_string() })
    }

    fn with(mut object: Value, field: &str, value: Value) -> Value {
        object[field] = value;
        object
    }

    fn without(mut object: Value, field: &str) -> Value {
        object.as_object_mut().unwrap().remove(field);
        object
    }

    fn encoded(text: &str) -> String {
        BASE64URL_NOPAD.encode(text.as_bytes())
    }

    /// Signs any header and payload with the given key.
    fn signed(header: &str, payload: &str, key: &[u8]) -> String {
        let message = format!("{}.{}", encoded(header), encoded(payload));
        let mut mac = Hmac::<Sha256>::new_from_slice(key).unwrap();
        mac.update(message.as_bytes());
        format!(
            "{message}.{}",
            BASE64URL_NOPAD.encode(&mac.finalize().into_bytes())
        )
    }

    fn ours(header: &Value, payload: &Value) -> String {
        signed(
            &header.to_string(),
            &payload.to_string(),
            &tokens().key(period_of(now())),
        )
    }

    #[test]
    fn a_token_yields_its_credential_until_it_expires() {
        let tokens = tokens();
        let impersonation = TokenSource::Impersonation {
            session_id: SessionId(3),
            membership_id: MembershipId(4),
            reason: "Ticket 77".to_owned(),
        };
        let session = TokenSource::Session(SessionId(3), MembershipId(4));
        for source in [source(), session, impersonation] {
            let (token, expiry) = tokens.issue(NetworkId(9), source.clone(), now());
            let claims = Claims {
                network_id: NetworkId(9),
                source,
            };
            assert_eq!(expiry, now() + LIFETIME);
            assert_eq!(tokens.verify(&token, now()), Ok(claims.clone()));
            assert_eq!(tokens.verify(&token, expiry - TimeDelta::seconds(1)), Ok(claims));
            assert_eq!(tokens.verify(&token, expiry), Err(TokenFlaw::Expired));
        }
        // The tests below forge tokens with `ours`; an unmodified one must be valid.
        assert!(tokens.verify(&ours(&good_header(), &claims()), now()).is_ok());
    }

    #[test]
    fn a_token_survives_one_key_rotation_but_not_two() {
        let tokens = tokens();
        let last_second = DateTime::from_timestamp((period_of(now()) + 1) * PERIOD - 1, 0).unwrap();
        let (token, _) = tokens.issue(NetworkId(9), source(), last_second);
        assert!(tokens.verify(&token, last_second + TimeDelta::seconds(2)).is_ok());
        let old = with(good_header(), "kid", json!((period_of(now()) - 2).to_string()));
        let key = tokens.key(period_of(now()) - 2);
        let token = signed(&old.to_string(), &claims().to_string(), &key);
        assert_eq!(tokens.verify(&token, now()), Err(TokenFlaw::NotOurs));
    }

    #[test]
    fn no_hostile_header_is_accepted() {
        let mut headers: Vec<Value> = [
            "none",
            "None",
            "NONE",
            "nOnE",
            "",
            " HS256",
            "hs256",
            "HS384",
            "HS512",
            "RS256",
            "RS512",
            "PS256",
            "ES256",
            "EdDSA",
            "HS256\u{0}",
        ]
        .into_iter()
        .map(|alg| with(good_header(), "alg", json!(alg)))
        .collect();
        let period = period_of(now());
        for kid in [
            json!("../../../../dev/null"),
            json!("/dev/null"),
            json!("' OR 1=1 --"),
            json!(""),
            json!(period),
            json!((period + 1).to_string()),
            json!((period - 2).to_string()),
            json!(format!("0{period}")),
            json!(format!("{period}\n")),
            json!([period.to_string()]),
            Value::Null,
        ] {
            headers.push(with(good_header(), "kid", kid));
        }
        let jwk = json!({ "kty": "oct", "k": "AAAA", "alg": "HS256" });
        for (field, value) in [
            ("jwk", jwk),
            ("jku", json!("https://evil.example/keys")),
            ("x5u", json!("https://evil.example/cert")),
            ("x5c", json!(["AAAA"])),
            ("crit", json!(["exp"])),
            ("b64", json!(false)),
            ("zip", json!("DEF")),
            ("cty", json!("JWT")),
            ("typ", json!("none")),
            ("enc", json!("A128GCM")),
        ] {
            headers.push(with(good_header(), field, value));
        }
        for field in ["alg", "kid", "typ"] {
            headers.push(without(good_header(), field));
        }
        for header in &headers {
            let refused = tokens().verify(&ours(header, &claims()), now());
            assert_eq!(refused, Err(TokenFlaw::NotOurs), "{header}");
        }
        assert!(headers.len() >= 35);
    }

    #[test]
    fn other_algorithms_with_the_right_key_are_refused() {
        let key = EncodingKey::from_secret(&tokens().key(period_of(now())));
        for algorithm in [Algorithm::HS384, Algorithm::HS512] {
            let mut header = header(period_of(now()));
            header.alg = algorithm;
            let token = jsonwebtoken::encode(&header, &claims(), &key).unwrap();
            assert_eq!(
                tokens().verify(&token, now()),
                Err(TokenFlaw::NotOurs),
                "{algorithm:?}"
            );
        }
    }

    #[test]
    fn no_hostile_payload_is_accepted_even_when_signed() {
        let at = now().timestamp();
        let mut payloads: Vec<String> = Vec::new();
        for field in ["iss", "aud", "sub", "net", "mbr", "exp", "jti"] {
            payloads.push(without(claims(), field).to_string());
            payloads.push(with(claims(), field, Value::Null).to_string());
            payloads.push(with(claims(), field, json!({})).to_string());
        }
        for (field, value) in [
            ("iss", json!("https://evil.example")),
            ("iss", json!([ISSUER])),
            ("iss", json!("https://app.example/")),
            ("aud", json!("another-api")),
            ("aud", json!([AUDIENCE])),
            ("aud", json!("")),
            ("exp", json!((at + 900).to_string())),
            ("exp", json!(900.5)),
            ("exp", json!(1e300)),
            ("exp", json!("NaN")),
            ("exp", json!(i64::MAX)),
            ("exp", json!(u64::MAX)),
            ("exp", json!(-1)),
            ("exp", json!(i64::MIN)),
            ("exp", json!(at + 100_000)),
            ("exp", json!(true)),
            ("exp", json!([at + 900])),
            ("sub", json!(PREFIXED_WRONGLY)),
            ("sub", json!("")),
            ("net", json!(9)),
            ("net", json!("net_zzzzzzz")),
            ("role", json!("owner")),
        ] {
            payloads.push(with(claims(), field, value).to_string());
        }
        payloads.extend(["", "null", "[]", "{}", "1", "\"x\"", "{"].map(str::to_owned));
        payloads.push(claims().to_string().replace("}", ",\"exp\":4102444800}"));
        payloads.push(
            claims()
                .to_string()
                .replace(&format!("\"exp\":{}", at + 900), "\"exp\":NaN"),
        );
        for payload in &payloads {
            let token = signed(
                &good_header().to_string(),
                payload,
                &tokens().key(period_of(now())),
            );
            assert!(tokens().verify(&token, now()).is_err(), "{payload}");
        }
        assert!(payloads.len() >= 45);
        let expired = with(claims(), "exp", json!(at - 1));
        assert_eq!(
            tokens().verify(&ours(&good_header(), &expired), now()),
            Err(TokenFlaw::Expired)
        );
    }

    const PREFIXED_WRONGLY: &str = "prs_0000010";

    #[test]
    fn no_mutilated_token_is_accepted() {
        let (token, _) = tokens().issue(NetworkId(9), source(), now());
        let (message, signature) = token.rsplit_once('.').unwrap();
        let (header, _) = message.split_once('.').unwrap();
        let swapped = encoded(&with(claims(), "net", json!(NetworkId(10))).to_string());
        let none = encoded(&json!({ "typ": "JWT", "alg": "none" }).to_string());
        let mut hostile = vec![
            String::new(),
            ".".to_owned(),
            "..".to_owned(),
            "...".to_owned(),
            "a.b.c".to_owned(),
            format!("{message}."),
            message.to_owned(),
            format!("{none}.{swapped}."),
            format!("{none}.{swapped}.{signature}"),
            format!("{header}.{swapped}.{signature}"),
            format!("{token}."),
            format!(".{token}"),
            format!("{token}.{signature}"),
            format!(" {token}"),
            format!("{token} "),
            format!("{token}\n"),
            format!("{token}="),
            token.replace('.', ". "),
            format!("{message}.{}", &signature[..signature.len() - 2]),
            format!("{message}.{signature}AA"),
            format!("{message}.{}", "A".repeat(43)),
            token.to_uppercase(),
            format!("{token}{}", "A".repeat(1 << 20)),
            "A".repeat(1 << 20),
            format!("Bearer {token}"),
            encoded(&token),
            ours(&good_header(), &json!(token)),
            signed(&good_header().to_string(), &claims().to_string(), b""),
            signed(&good_header().to_string(), &claims().to_string(), b"secret"),
            signed(&good_header().to_string(), &claims().to_string(), &[0; 32]),
            signed(
                &good_header().to_string(),
                &claims().to_string(),
                &tokens().key(period_of(now()) - 1),
            ),
        ];
        hostile.extend(
            (1..token.len())
                .step_by(7)
                .map(|length| token[..length].to_owned()),
        );
        for token in &hostile {
            let start: String = token.chars().take(100).collect();
            assert_eq!(tokens().verify(token, now()), Err(TokenFlaw::NotOurs), "{start}");
        }
        assert!(hostile.len() >= 40);
        let others = ApiTokens::new(&Secret::random(), ISSUER);
        assert_eq!(others.verify(&token, now()), Err(TokenFlaw::NotOurs));
    }
}
