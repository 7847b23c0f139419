//! A postback as it stands in the journal: JSON, what was understood of it beside the call itself, every secret blanked.
//!
//! The token is not in it, only what is stored of tokens; of a signature, what was signed. So the call can be decided
//! later, and nobody who reads a journal can send one.

use campaigns::integrations::{Token, TokenHash};
use chrono::{DateTime, Utc};
use data_encoding::{BASE64, HEXLOWER};
use dialects::{Dialect, Postback};
use schema::{NetworkId, PostbackId};
use serde::{Deserialize, Serialize};

use crate::intake::spoken_from;
use crate::redaction::{Secrets, blank_token, is_secret};
use crate::signature::Signed;
use crate::tracker::InboundCall;
use crate::verdict::{Reason, Verdict};

/// The format that is written. (1 knew our own spelling only.)
const FORMAT: u8 = 2;

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
    /// Whether it came over https; none where nothing is known, as in records from before this was kept.
    #[serde(skip_serializing_if = "Option::is_none", default)]
    pub(crate) over_https: Option<bool>,
    /// Hexadecimal SHA-256 of the token that came with it.
    token: Option<String>,
    /// What was signed.
    #[serde(skip_serializing_if = "Option::is_none", default)]
    pub(crate) signed: Option<Signed>,
    /// Key of the system whose spelling it is in.
    pub(crate) dialect: String,
    /// What it says, in the words every dialect is translated to.
    pub(crate) said: Postback,
    /// Why it must not be acted on, whatever it says.
    flaw: Option<Flaw>,
}

/// A postback as its row has it, from which the record is made again.
pub(crate) struct Stored {
    pub(crate) network: NetworkId,
    pub(crate) id: PostbackId,
    pub(crate) received_at: DateTime<Utc>,
    pub(crate) method: String,
    pub(crate) target: String,
    pub(crate) content_type: Option<String>,
    pub(crate) body: Vec<u8>,
    pub(crate) remote_ip: Option<String>,
    pub(crate) over_https: Option<bool>,
    pub(crate) token_hash: Option<Vec<u8>>,
    /// As it was understood, nothing blanked.
    pub(crate) order_id: Option<String>,
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
        let raw = call.raw();
        let dialect = dialects::of_call(&raw).unwrap_or(dialects::native());
        let (said, problem) = dialect.parse(&raw);
        let verdict = call.flaw.map(Verdict::of).or(problem.map(Verdict::from));
        let secrets = Secrets::of(&said);
        let parameters = (said.timestamp.as_deref(), said.signature.as_deref());
        Self {
            format: FORMAT,
            network,
            id: call.id,
            received_at: call.received_at,
            target: secrets.blank_text(&call.target),
            body: BASE64.encode(&secrets.blank(&call.body)),
            remote_ip: call.remote_ip.map(|net| net.to_string()),
            over_https: call.over_https,
            token: said
                .token
                .as_deref()
                .map(|token| HEXLOWER.encode(&Token::from_call(token).hash().0)),
            signed: Signed::of(&call.target, &call.body, call.signature.as_deref(), parameters),
            dialect: dialect.key.to_owned(),
            flaw: verdict.map(|verdict| Flaw {
                reason: verdict.reason.code().to_owned(),
                message: secrets.blank_text(&verdict.message),
                hint: verdict.hint,
            }),
            said: without_secrets(&said),
            method: call.method,
            content_type: call.content_type,
        }
    }

    /// Understands a stored call once more: by today's dialects, secrets blanked as they are.
    pub(crate) fn of_stored(stored: Stored) -> Self {
        let call = InboundCall {
            id: stored.id,
            spoken_from: spoken_from(&stored.target),
            method: stored.method,
            content_type: stored.content_type,
            body: stored.body,
            over_https: stored.over_https,
            ..InboundCall::get(&stored.target, stored.received_at, None)
        };
        let mut record = Self::of(stored.network, call);
        record.token = stored.token_hash.map(|hash| HEXLOWER.encode(&hash));
        record.remote_ip = stored.remote_ip;
        record.signed = None;
        record.said.order_id = stored.order_id;
        record
    }

    /// Whether something that a decision goes by was blanked when the call was stored.
    pub(crate) fn is_blanked(&self) -> bool {
        let said = &self.said;
        let fields = [
            &said.order_id,
            &said.customer_id,
            &said.coupon,
            &said.affiliate_key,
            &said.reference,
            &said.goal,
            &said.currency,
            &said.status,
        ];
        let fields = fields.into_iter().flatten();
        said.click_ids
            .iter()
            .chain(fields)
            .any(|value| value.contains('…'))
    }

    /// Writes it at the end of a buffer.
    pub(crate) fn write(&self, buffer: &mut Vec<u8>) {
        // Strings and numbers only: serialising those cannot fail.
        drop(serde_json::to_writer(buffer, self));
    }

    /// As it is written.
    pub(crate) fn to_bytes(&self) -> Vec<u8> {
        let mut bytes = Vec::new();
        self.write(&mut bytes);
        bytes
    }

    /// Reads one.
    ///
    /// # Errors
    /// What is wrong with it, in words.
    pub(crate) fn read(record: &[u8]) -> Result<Self, String> {
        let no_postback = |error: serde_json::Error| format!("this is no postback: {error}");
        let read: Self = match serde_json::from_slice(record) {
            Ok(read) => read,
            Err(error) => {
                let first: first::Record = serde_json::from_slice(record).map_err(|_| no_postback(error))?;
                first.into()
            }
        };
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

    /// Whether a token was sent where everybody can read it.
    pub(crate) fn gives_its_token_away(&self) -> bool {
        self.said.is_from_browser && self.token.is_some()
    }

    /// What is stored of the token that came with it. One that a browser sends is no secret, and passed over.
    pub(crate) fn token(&self) -> Option<TokenHash> {
        if self.said.is_from_browser {
            return None;
        }
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

    /// The system whose spelling it is in.
    pub(crate) fn dialect(&self) -> &'static Dialect {
        dialects::of_key(&self.dialect).unwrap_or(dialects::native())
    }
}

/// What a call says without its secrets: those in the wrong place would be quoted back.
fn without_secrets(said: &Postback) -> Postback {
    let secrets = Secrets::of(said);
    let blank = |text: &String| secrets.blank_text(text);
    let some = |text: &Option<String>| text.as_ref().map(blank);
    let extra = said.extra.iter().map(|(name, value)| {
        let kept = match is_secret(name) {
            true => blank_token(value),
            false => blank(value),
        };
        (name.clone(), kept)
    });
    Postback {
        click_ids: said.click_ids.iter().map(blank).collect(),
        goal: some(&said.goal),
        currency: some(&said.currency),
        reference: some(&said.reference),
        affiliate_key: some(&said.affiliate_key),
        coupon: some(&said.coupon),
        status: some(&said.status),
        token: None,
        signature: None,
        personal: Vec::new(),
        extra: extra.collect(),
        ..said.clone()
    }
}

/// The format before this one.
mod first {
    use dialects::Amount;

    use super::{DateTime, Deserialize, FORMAT, Flaw, NetworkId, Postback, PostbackId, PostbackRecord, Utc};

    #[derive(Deserialize)]
    pub(super) struct Record {
        network: NetworkId,
        id: PostbackId,
        received_at: DateTime<Utc>,
        method: String,
        target: String,
        content_type: Option<String>,
        body: String,
        remote_ip: Option<String>,
        token: Option<String>,
        click_id: Option<String>,
        goal: Option<String>,
        order_id: Option<String>,
        amount_micros: Option<i64>,
        currency: Option<String>,
        extra: Vec<(String, String)>,
        flaw: Option<Flaw>,
    }

    impl From<Record> for PostbackRecord {
        fn from(first: Record) -> Self {
            Self {
                format: FORMAT,
                network: first.network,
                id: first.id,
                received_at: first.received_at,
                method: first.method,
                target: first.target,
                content_type: first.content_type,
                body: first.body,
                remote_ip: first.remote_ip,
                over_https: None,
                token: first.token,
                signed: None,
                dialect: dialects::native().key.to_owned(),
                said: Postback {
                    click_ids: first.click_id.into_iter().collect(),
                    goal: first.goal,
                    order_id: first.order_id,
                    amount: first.amount_micros.map(|micros| Amount { micros }),
                    currency: first.currency,
                    extra: first.extra,
                    ..Postback::default()
                },
                flaw: first.flaw,
            }
        }
    }
}

#[cfg(test)]
mod tests {
    use schema::clock;

    use super::*;

    fn call(target: &str) -> InboundCall {
        InboundCall::get(target, clock::now(), "198.51.100.23/32".parse().ok())
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
        assert_eq!(record.said.order_id.as_deref(), Some("Ä-1"));
        assert_eq!(record.said.amount.map(|amount| amount.micros), Some(1_500_000));
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
    fn a_record_of_the_first_format_is_still_read() {
        let text = r#"{"format":1,"network":"net_0000020","id":"pb_00000000000000000000000000","received_at":
            "2026-11-21T00:00:00Z","method":"GET","target":"/postback","content_type":null,"body":"","remote_ip":null,
            "token":null,"click_id":"c","goal":null,"order_id":"A-1","amount_micros":5,"currency":null,
            "extra":[["a","b"]],"flaw":null}"#;
        let network = NetworkId(1).to_string();
        let record = PostbackRecord::read(text.replace("net_0000020", &network).as_bytes()).unwrap();
        assert_eq!(record.said.click_ids, ["c"]);
        assert_eq!(record.said.amount.map(|amount| amount.micros), Some(5));
        assert_eq!(record.dialect, "clickledger");
    }

    #[test]
    fn a_record_from_before_it_told_of_https_is_still_read_and_the_same_is_written_where_nothing_is_known() {
        let text = r#"{"format":2,"network":"net_0000020","id":"pb_00000000000000000000000000","received_at":"2026-11-21T00:00:00Z","method":"GET","target":"/postback?click_id=c&order_id=A-1","content_type":null,"body":"","remote_ip":"198.51.100.23/32","token":null,"dialect":"clickledger","said":"#;
        let text = text.replace("net_0000020", &NetworkId(1).to_string());
        let said = serde_json::to_string(&Postback {
            order_id: Some("A-1".to_owned()),
            ..Postback::default()
        });
        let text = format!("{text}{},\"flaw\":null}}", said.unwrap());
        let record = PostbackRecord::read(text.as_bytes()).unwrap();
        assert_eq!(record.over_https, None);
        assert_eq!(record.said.order_id.as_deref(), Some("A-1"));
        assert_eq!(String::from_utf8(record.to_bytes()).unwrap(), text);
        for known in [true, false] {
            let call = InboundCall {
                over_https: Some(known),
                ..call("/postback?click_id=c")
            };
            let record = PostbackRecord::of(NetworkId(7), call);
            let read = PostbackRecord::read(&record.to_bytes()).unwrap();
            assert_eq!(read.over_https, Some(known));
        }
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
