//! A postback as it stands in the journal: JSON, what was understood of it beside the call itself, every secret blanked.
//!
//! The token is not in it, only what is stored of tokens: so the call can be decided later, and nobody who reads a
//! journal can send one.

use campaigns::integrations::{Token, TokenHash};
use chrono::{DateTime, Utc};
use data_encoding::{BASE64, HEXLOWER};
use dialects::{Amount, Postback, RawCall, native};
use schema::{NetworkId, PostbackId};
use serde::{Deserialize, Serialize};

use crate::redaction::{blank_text, blank_token, blank_tokens, is_secret};
use crate::tracker::InboundCall;
use crate::verdict::{Reason, Verdict};

/// The one format there is.
const FORMAT: u8 = 1;

/// A postback of the journal.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub(crate) struct PostbackRecord {
    format: u8,
    pub(crate) network: NetworkId,
    pub(crate) id: PostbackId,
    pub(crate) received_at: DateTime<Utc>,
    pub(crate) method: String,
    pub(crate) target: String,
    pub(crate) content_type: Option<String>,
    /// Base64.
    body: String,
    pub(crate) remote_ip: Option<String>,
    /// Hexadecimal SHA-256 of the token that came with it.
    token: Option<String>,
    pub(crate) click_id: Option<String>,
    pub(crate) goal: Option<String>,
    pub(crate) order_id: Option<String>,
    pub(crate) amount_micros: Option<i64>,
    pub(crate) currency: Option<String>,
    pub(crate) extra: Vec<(String, String)>,
    /// Why it must not be acted on, whatever it says.
    flaw: Option<Flaw>,
}

#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
struct Flaw {
    reason: String,
    message: String,
    hint: Option<String>,
}

impl PostbackRecord {
    /// Understands a call and blanks its secrets.
    pub(crate) fn of(network: NetworkId, call: InboundCall) -> Self {
        let raw = RawCall {
            query: call.target.split_once('?').map_or("", |(_, query)| query),
            content_type: call.content_type.as_deref(),
            body: &call.body,
        };
        let (said, problem) = native::parse(raw);
        let token = said.token.as_deref();
        let verdict = call.flaw.map(Verdict::of).or(problem.map(Verdict::from));
        let blank = |text: Option<String>| text.map(|text| blank_text(&text, token));
        let extra = said.extra.into_iter().map(|(name, value)| {
            let kept = match is_secret(&name) {
                true => blank_token(&value),
                false => blank_text(&value, token),
            };
            (name, kept)
        });
        Self {
            format: FORMAT,
            network,
            id: call.id,
            received_at: call.received_at,
            method: call.method,
            target: blank_text(&call.target, token),
            content_type: call.content_type,
            body: BASE64.encode(&blank_tokens(&call.body, token)),
            remote_ip: call.remote_ip.map(|net| net.to_string()),
            token: token.map(|token| HEXLOWER.encode(&Token::from_call(token).hash().0)),
            // A token in the wrong place would be quoted back.
            click_id: blank(said.click_id),
            goal: blank(said.goal),
            currency: blank(said.currency),
            order_id: said.order_id,
            amount_micros: said.amount.map(|amount| amount.micros),
            extra: extra.collect(),
            flaw: verdict.map(|verdict| Flaw {
                reason: verdict.reason.code().to_owned(),
                message: blank_text(&verdict.message, token),
                hint: verdict.hint,
            }),
        }
    }

    /// Writes it at the end of a buffer.
    pub(crate) fn write(&self, buffer: &mut Vec<u8>) {
        // Strings and numbers only: serialising those cannot fail.
        drop(serde_json::to_writer(buffer, self));
    }

    /// Reads one.
    ///
    /// # Errors
    /// What is wrong with it, in words.
    pub(crate) fn read(record: &[u8]) -> Result<Self, String> {
        let read: Self =
            serde_json::from_slice(record).map_err(|error| format!("this is no postback: {error}"))?;
        let flaw = read.flaw.as_ref().map(|flaw| flaw.reason.as_str());
        match (read.format, flaw) {
            // It must not be acted on, and this program would not know why.
            (FORMAT, Some(reason)) if Reason::of_code(reason).is_none() => Err(format!(
                "this postback has the flaw {reason}, which this program does not know"
            )),
            (FORMAT, _) => Ok(read),
            (other, _) => Err(format!(
                "this is a postback of format {other}, which this program does not know"
            )),
        }
    }

    /// The body, secrets blanked.
    pub(crate) fn body(&self) -> Vec<u8> {
        BASE64.decode(self.body.as_bytes()).unwrap_or_default()
    }

    /// What is stored of the token that came with it.
    pub(crate) fn token(&self) -> Option<TokenHash> {
        let bytes = HEXLOWER.decode(self.token.as_deref()?.as_bytes()).ok()?;
        Some(TokenHash(bytes.try_into().ok()?))
    }

    /// Why it must not be acted on, whatever it says.
    pub(crate) fn flaw(&self) -> Option<Verdict> {
        let flaw = self.flaw.as_ref()?;
        let reason = Reason::of_code(&flaw.reason)?;
        Some(Verdict {
            reason,
            message: flaw.message.clone(),
            hint: flaw.hint.clone(),
            conversion_id: None,
        })
    }

    /// What it says, in the words every dialect is translated to.
    pub(crate) fn postback(&self) -> Postback {
        Postback {
            click_id: self.click_id.clone(),
            goal: self.goal.clone(),
            order_id: self.order_id.clone(),
            amount: self.amount_micros.map(|micros| Amount { micros }),
            currency: self.currency.clone(),
            ..Postback::default()
        }
    }
}

#[cfg(test)]
mod tests {
    use schema::clock;

    use super::*;

    fn call(target: &str) -> InboundCall {
        let now = clock::now();
        InboundCall {
            id: PostbackId::fresh(now),
            received_at: now,
            method: "GET".to_owned(),
            target: target.to_owned(),
            content_type: None,
            body: Vec::new(),
            remote_ip: "198.51.100.23/32".parse().ok(),
            flaw: None,
        }
    }

    #[test]
    fn a_record_reads_back_and_holds_no_token() {
        let token = "t0k3nt0k3nt0k3nt0k3n";
        let target = format!(
            "/postback?click_id=c&order_id=Ä-1&amount=1.5&token={token}&my_token=abcdefghijklmnop&goal={token}"
        );
        let record = PostbackRecord::of(NetworkId(7), call(&target));
        let mut buffer = Vec::new();
        record.write(&mut buffer);
        let text = String::from_utf8(buffer.clone()).unwrap();
        assert!(!text.contains(token), "{text}");
        assert!(!text.contains("abcdefghijkl"), "{text}");
        assert_eq!(PostbackRecord::read(&buffer), Ok(record.clone()));
        assert_eq!(record.token(), Some(Token::from_call(token).hash()));
        assert_eq!(record.postback().order_id.as_deref(), Some("Ä-1"));
        assert_eq!(
            record.postback().amount.map(|amount| amount.micros),
            Some(1_500_000)
        );
    }

    #[test]
    fn what_is_wrong_with_a_call_goes_with_it() {
        let record = PostbackRecord::of(NetworkId(7), call("/postback?click_id=c&amount=12,5"));
        assert_eq!(
            record.flaw().map(|verdict| verdict.reason),
            Some(Reason::AmountInvalid)
        );
    }

    #[test]
    fn what_is_no_record_is_refused_in_words() {
        assert!(PostbackRecord::read(b"{}").unwrap_err().contains("no postback"));
        assert!(
            PostbackRecord::read(b"\xff\0")
                .unwrap_err()
                .contains("no postback")
        );
    }
}
