//! Signed postbacks: `HMAC-SHA256(secret, "{timestamp}.{digest}")`, where the digest is the hexadecimal SHA-256 of the request
//! target, a line feed, and the body.
//!
//! A digest is signed and not the request itself, so that the journal can store the signed string without the secrets of
//! the request, and the signature can be checked again in a replay.

use chrono::{DateTime, Utc};
use data_encoding::HEXLOWER;
use hmac::{Hmac, KeyInit, Mac};
use serde::{Deserialize, Serialize};
use sha2::{Digest, Sha256};
use subtle::ConstantTimeEq;

use crate::verdict::{Reason, Verdict};

/// Header with timestamp and signature: `t=1700000000,v1=…`.
pub const HEADER: &str = "X-Clickledger-Signature";

/// Signature of a postback with the digest of what it signs.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub(crate) struct Signed {
    /// Timestamp as sent: seconds since 1970.
    timestamp: String,
    /// Signature as sent: hexadecimal.
    signature: String,
    /// Hexadecimal SHA-256 of the request.
    digest: String,
}

impl Signed {
    /// Signature of a request: in the header, or as the parameters `timestamp` and `signature`, of which the second comes
    /// last and is not signed. `None` if the request has neither.
    pub(crate) fn of(
        target: &str,
        body: &[u8],
        header: Option<&str>,
        parameters: (Option<&str>, Option<&str>),
    ) -> Option<Self> {
        let (timestamp, signature, signed_target) = match (header.and_then(read_header), parameters) {
            (Some((timestamp, signature)), _) => (timestamp, signature, target.to_owned()),
            (None, (Some(timestamp), Some(signature))) => (
                timestamp.to_owned(),
                signature.to_owned(),
                without_signature(target),
            ),
            _ => return None,
        };
        let mut hash = Sha256::new();
        hash.update(signed_target.as_bytes());
        hash.update(b"\n");
        hash.update(body);
        Some(Self {
            timestamp,
            signature,
            digest: HEXLOWER.encode(&hash.finalize()),
        })
    }

    /// Checks the signature against a secret, and its time against ours.
    ///
    /// # Errors
    /// The verdict, when it does not match.
    pub(crate) fn check(&self, secret: &str, seconds: i32, now: DateTime<Utc>) -> Result<(), Verdict> {
        let at: i64 = self.timestamp.parse().map_err(|_| {
            let message = "The timestamp of the signature is not a number of seconds since 1970.";
            Verdict::with_message(Reason::TimestampSkew, message)
        })?;
        let skew = now.timestamp().saturating_sub(at);
        if skew.unsigned_abs() > u64::from(seconds.unsigned_abs()) {
            let direction = if skew > 0 { "behind" } else { "ahead of" };
            let message = format!(
                "The timestamp of the signature is {} s {direction} our clock; the tolerance is {seconds} s.",
                skew.unsigned_abs()
            );
            return Err(Verdict::with_message(Reason::TimestampSkew, message));
        }
        let expected = sign(secret, &self.timestamp, &self.digest);
        let sent = self.signature.trim().to_ascii_lowercase();
        if bool::from(expected.as_bytes().ct_eq(sent.as_bytes())) {
            Ok(())
        } else {
            Err(Verdict::of(Reason::SignatureInvalid))
        }
    }

    /// Signature as sent.
    pub(crate) fn signature(&self) -> &str {
        &self.signature
    }

    /// String that the signature must sign, for users who may see it.
    pub(crate) fn signed_string(&self) -> String {
        format!("{}.{}", self.timestamp, self.digest)
    }
}

/// Signature of a digest at a time, hexadecimal.
fn sign(secret: &str, timestamp: &str, digest: &str) -> String {
    #[expect(clippy::expect_used, reason = "HMAC takes keys of any length")]
    let mut mac = Hmac::<Sha256>::new_from_slice(secret.as_bytes()).expect("HMAC takes any key");
    mac.update(format!("{timestamp}.{digest}").as_bytes());
    HEXLOWER.encode(&mac.finalize().into_bytes())
}

fn read_header(header: &str) -> Option<(String, String)> {
    let part = |name: &str| {
        header
            .split(',')
            .filter_map(|part| part.trim().split_once('='))
            .find(|(key, _)| *key == name)
            .map(|(_, value)| value.chars().take(128).collect::<String>())
    };
    part("t").zip(part("v1"))
}

/// Target before the signature was appended.
fn without_signature(target: &str) -> String {
    let Some((path, query)) = target.split_once('?') else {
        return target.to_owned();
    };
    let kept: Vec<_> = query
        .split('&')
        .filter(|pair| !pair.starts_with("signature="))
        .collect();
    if kept.is_empty() {
        path.to_owned()
    } else {
        format!("{path}?{}", kept.join("&"))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const SECRET: &str = "s3cret";

    fn at(seconds: i64) -> DateTime<Utc> {
        DateTime::from_timestamp(seconds, 0).unwrap()
    }

    /// Signature as a shop computes it, step by step.
    fn shop_signs(target: &str, body: &[u8], timestamp: &str) -> String {
        let digest = HEXLOWER.encode(&Sha256::digest([target.as_bytes(), b"\n", body].concat()));
        sign(SECRET, timestamp, &digest)
    }

    #[test]
    fn the_scheme_is_the_documented_one() {
        // hmac.new(b"s3cret", ("1700000000." + sha256(b"/postback?a=1\n").hexdigest()).encode(), "sha256") of Python.
        let expected = "7291621c2c4814cb021702c9b2987da6408c53c395f223144f3c99bc9eed6069";
        assert_eq!(shop_signs("/postback?a=1", b"", "1700000000"), expected);
    }

    #[test]
    fn header_and_parameters_are_both_accepted() {
        let target = "/postback?a=1";
        let signature = shop_signs(target, b"body", "1700000000");
        let header = format!("t=1700000000, v1={signature}");
        let signed = Signed::of(target, b"body", Some(&header), (None, None)).unwrap();
        assert_eq!(signed.check(SECRET, 300, at(1_700_000_100)), Ok(()));

        let target = "/postback?a=1&timestamp=1700000000";
        let signature = shop_signs(target, b"", "1700000000");
        let called = format!("{target}&signature={signature}");
        let signed = Signed::of(&called, b"", None, (Some("1700000000"), Some(&signature))).unwrap();
        assert_eq!(signed.check(SECRET, 300, at(1_700_000_000)), Ok(()));
        assert_eq!(Signed::of(target, b"", None, (Some("1"), None)), None);
    }

    #[test]
    fn a_changed_or_late_request_is_refused() {
        let target = "/postback?a=1";
        let signature = shop_signs(target, b"", "1700000000");
        let header = format!("t=1700000000,v1={signature}");
        let reason = |target: &str, secret: &str, now: i64| {
            let signed = Signed::of(target, b"", Some(&header), (None, None)).unwrap();
            signed.check(secret, 300, at(now)).unwrap_err().reason
        };
        assert_eq!(
            reason("/postback?a=2", SECRET, 1_700_000_000),
            Reason::SignatureInvalid
        );
        assert_eq!(reason(target, "other", 1_700_000_000), Reason::SignatureInvalid);
        assert_eq!(reason(target, SECRET, 1_700_000_301), Reason::TimestampSkew);
        assert_eq!(reason(target, SECRET, 1_699_999_699), Reason::TimestampSkew);
        let signed = Signed::of(target, b"", Some("t=soon,v1=x"), (None, None)).unwrap();
        assert_eq!(
            signed.check(SECRET, 300, at(0)).unwrap_err().reason,
            Reason::TimestampSkew
        );
    }
}
