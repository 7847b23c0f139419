//! A postback as journaled: JSON, with the parsed fields beside the request, and every secret redacted.
//!
//! Instead of the token the record has its hash, and of a signed request the digest that was signed. So the postback can
//! be decided later, and a reader of the journal cannot send one.

use campaigns::integrations::{Token, TokenHash};
use chrono::{DateTime, Utc};
use data_encoding::{BASE64, HEXLOWER};
use dialects::{Dialect, ParsedCall, Postback};
use ipnet::IpNet;
use schema::{AdvertiserId, NetworkId, PostbackId};
use serde::{Deserialize, Serialize};

use crate::inbound::InboundRequest;
use crate::redaction::{Secrets, is_secret, redact_token};
use crate::signature::Signed;
use crate::target::Target;
use crate::verdict::{Reason, Verdict};

/// Format that is written. (1 knew our own dialect only; 2 had other names.)
const FORMAT: u8 = 3;
/// Older format with the same fields.
const FORMAT_2: u8 = 2;

/// Journaled postback.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct PostbackRecord {
    format: u8,
    /// Tenant.
    pub network: NetworkId,
    /// Receipt.
    pub id: PostbackId,
    /// Arrival.
    pub received_at: DateTime<Utc>,
    pub(crate) method: String,
    pub(crate) target: String,
    pub(crate) content_type: Option<String>,
    /// Base64.
    body: String,
    pub(crate) remote_ip: Option<String>,
    /// True if it came over HTTPS; `None` if that is unknown, as in older records.
    #[serde(skip_serializing_if = "Option::is_none", default)]
    pub(crate) over_https: Option<bool>,
    /// Hexadecimal SHA-256 of its token.
    token: Option<String>,
    /// Signature with the signed digest.
    #[serde(skip_serializing_if = "Option::is_none", default)]
    pub(crate) signed: Option<Signed>,
    /// Key of the recognised dialect.
    pub(crate) dialect: String,
    /// Parsed fields.
    #[serde(alias = "said")]
    pub(crate) postback: Postback,
    /// True if a field that decisions depend on was redacted in the stored request, so that it cannot be replayed.
    #[serde(skip_serializing_if = "std::ops::Not::not", default)]
    pub(crate) is_redacted: bool,
    /// True if it had headers that browsers add, and programs do not.
    #[serde(skip_serializing_if = "std::ops::Not::not", default)]
    pub(crate) has_browser_headers: bool,
    /// Advertiser for whom a user of the network entered it by hand.
    #[serde(skip_serializing_if = "Option::is_none", default)]
    pub(crate) entered_for: Option<AdvertiserId>,
    /// True if our simulation sent it.
    #[serde(skip_serializing_if = "std::ops::Not::not", default)]
    pub(crate) is_simulated: bool,
    /// Problem for which it is rejected, whatever its fields.
    #[serde(alias = "flaw")]
    problem: Option<RecordedProblem>,
}

/// Stored postback, from which its record is made again.
pub(crate) struct StoredRequest {
    pub(crate) network: NetworkId,
    pub(crate) id: PostbackId,
    pub(crate) received_at: DateTime<Utc>,
    pub(crate) method: String,
    pub(crate) target: String,
    pub(crate) content_type: Option<String>,
    pub(crate) body: Vec<u8>,
    pub(crate) remote_ip: Option<String>,
    pub(crate) over_https: Option<bool>,
    pub(crate) is_simulated: bool,
    pub(crate) token_hash: Option<Vec<u8>>,
    /// Order ID as parsed from the original request.
    pub(crate) order_id: Option<String>,
}

#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
struct RecordedProblem {
    reason: String,
    message: String,
    hint: Option<String>,
}

impl PostbackRecord {
    /// Record of a parsed request, with its secrets redacted.
    #[must_use]
    pub fn new(network: NetworkId, request: InboundRequest, parsed: ParsedCall) -> Self {
        let ParsedCall {
            dialect,
            postback,
            problem,
        } = parsed;
        let verdict = request.problem.map(Verdict::of).or(problem.map(Verdict::from));
        let secrets = Secrets::of(&postback);
        let redacted = without_secrets(&postback);
        let parameters = (postback.timestamp.as_deref(), postback.signature.as_deref());
        Self {
            format: FORMAT,
            network,
            id: request.id,
            received_at: request.received_at,
            target: secrets.redact_text(&request.target),
            body: BASE64.encode(&secrets.redact(&request.body)),
            remote_ip: request.remote_ip.map(|net| net.to_string()),
            over_https: request.over_https,
            token: postback
                .token
                .as_deref()
                .map(|token| HEXLOWER.encode(&Token::from_call(token).hash().0)),
            signed: Signed::of(
                &request.target,
                &request.body,
                request.signature.as_deref(),
                parameters,
            ),
            dialect: dialect.key.to_owned(),
            problem: verdict.map(|verdict| RecordedProblem {
                reason: verdict.reason.code().to_owned(),
                message: secrets.redact_text(&verdict.message),
                hint: verdict.hint,
            }),
            is_redacted: is_redacted(&postback, &redacted),
            has_browser_headers: request.has_browser_headers,
            entered_for: request.entered_for,
            is_simulated: request.is_simulated,
            postback: redacted,
            method: request.method,
            content_type: request.content_type,
        }
    }

    /// Record of a stored request, parsed again by today's dialects; its secrets stay redacted.
    pub(crate) fn of_stored(stored: StoredRequest) -> Self {
        let request = InboundRequest {
            id: stored.id,
            offset: Target::of(&stored.target).offset(),
            method: stored.method,
            content_type: stored.content_type,
            body: stored.body,
            over_https: stored.over_https,
            is_simulated: stored.is_simulated,
            ..InboundRequest::get(&stored.target, stored.received_at, None)
        };
        let parsed = request.parse();
        let mut record = Self::new(stored.network, request, parsed);
        record.token = stored.token_hash.map(|hash| HEXLOWER.encode(&hash));
        record.remote_ip = stored.remote_ip;
        record.signed = None;
        record.postback.order_id = stored.order_id;
        record
    }

    /// Appends the record to a buffer.
    pub fn write(&self, buffer: &mut Vec<u8>) {
        #[expect(
            clippy::expect_used,
            reason = "strings and numbers always serialize, and a Vec takes all"
        )]
        serde_json::to_writer(buffer, self).expect("strings and numbers serialize");
    }

    /// The record as bytes.
    #[must_use]
    pub fn to_bytes(&self) -> Vec<u8> {
        let mut bytes = Vec::new();
        self.write(&mut bytes);
        bytes
    }

    /// Reads a record.
    ///
    /// # Errors
    /// A sentence about the problem.
    pub fn read(record: &[u8]) -> Result<Self, String> {
        let read: Self = match serde_json::from_slice(record) {
            Ok(read) => read,
            Err(error) => {
                let first: first::Record =
                    serde_json::from_slice(record).map_err(|_| format!("not a postback: {error}"))?;
                first.into()
            }
        };
        if !matches!(read.format, FORMAT | FORMAT_2) {
            return Err(format!(
                "a postback of format {}, which this program does not know",
                read.format
            ));
        }
        // Acting on it would be wrong, and this program cannot tell why.
        let reason = read.problem.as_ref().map(|problem| problem.reason.as_str());
        if let Some(reason) = reason.filter(|reason| Reason::of_code(reason).is_none()) {
            return Err(format!(
                "a postback with the problem {reason}, which this program does not know"
            ));
        }
        Ok(read)
    }

    /// Body, with its secrets redacted.
    ///
    /// # Errors
    /// Returns an error if the record's body is not Base64.
    pub(crate) fn body(&self) -> Result<Vec<u8>, data_encoding::DecodeError> {
        BASE64.decode(self.body.as_bytes())
    }

    /// True if a browser sent a token, which is public then.
    pub(crate) fn has_public_token(&self) -> bool {
        self.postback.is_from_browser && self.token.is_some()
    }

    /// Address that it came from.
    pub(crate) fn address(&self) -> Option<IpNet> {
        self.remote_ip.as_deref()?.parse().ok()
    }

    /// Hash of its token; `None` for one from a browser, which is no secret.
    pub(crate) fn token(&self) -> Option<TokenHash> {
        if self.postback.is_from_browser {
            return None;
        }
        let bytes = HEXLOWER.decode(self.token.as_deref()?.as_bytes()).ok()?;
        Some(TokenHash(bytes.try_into().ok()?))
    }

    /// Verdict of the problem for which it is rejected, whatever its fields.
    pub(crate) fn problem(&self) -> Option<Verdict> {
        let problem = self.problem.as_ref()?;
        let reason = Reason::of_code(&problem.reason)?;
        Some(Verdict {
            reason,
            message: problem.message.clone(),
            hint: problem.hint.clone(),
            conversion_id: None,
            names_are_theirs: true,
        })
    }

    /// Recognised dialect.
    pub(crate) fn dialect(&self) -> &'static Dialect {
        dialects::of_key(&self.dialect).unwrap_or(dialects::native())
    }
}

/// True if a field that decisions depend on is redacted in the stored request. The order ID is not among them: it is
/// stored as parsed.
fn is_redacted(parsed: &Postback, redacted: &Postback) -> bool {
    let customer = parsed.customer_id.as_deref();
    parsed.click_ids != redacted.click_ids
        || parsed.coupon != redacted.coupon
        || parsed.affiliate_key != redacted.affiliate_key
        || parsed.reference != redacted.reference
        || parsed.goal != redacted.goal
        || parsed.currency != redacted.currency
        || parsed.status != redacted.status
        || customer.is_some_and(|id| Secrets::of(parsed).redact_text(id) != id)
}

/// Parsed fields without their secrets: one in the wrong field would be quoted in a message.
fn without_secrets(postback: &Postback) -> Postback {
    let secrets = Secrets::of(postback);
    let blank = |text: &String| secrets.redact_text(text);
    let some = |text: &Option<String>| text.as_ref().map(blank);
    let extra = postback.extra.iter().map(|(name, value)| {
        let redacted = if is_secret(name) {
            redact_token(value)
        } else {
            blank(value)
        };
        (name.clone(), redacted)
    });
    Postback {
        click_ids: postback.click_ids.iter().map(blank).collect(),
        goal: some(&postback.goal),
        currency: some(&postback.currency),
        reference: some(&postback.reference),
        affiliate_key: some(&postback.affiliate_key),
        coupon: some(&postback.coupon),
        status: some(&postback.status),
        token: None,
        signature: None,
        personal: Vec::new(),
        extra: extra.collect(),
        ..postback.clone()
    }
}

/// First format, which knew our own dialect only.
mod first {
    use dialects::Amount;

    use super::{
        DateTime, Deserialize, FORMAT, NetworkId, Postback, PostbackId, PostbackRecord, RecordedProblem, Utc,
    };

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
        #[serde(rename = "flaw")]
        problem: Option<RecordedProblem>,
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
                postback: Postback {
                    click_ids: first.click_id.into_iter().collect(),
                    goal: first.goal,
                    order_id: first.order_id,
                    amount: first.amount_micros.map(|micros| Amount { micros }),
                    currency: first.currency,
                    extra: first.extra,
                    ..Postback::default()
                },
                is_redacted: false,
                has_browser_headers: false,
                entered_for: None,
                is_simulated: false,
                problem: first.problem,
            }
        }
    }
}

#[cfg(test)]
mod tests {
    use schema::clock;

    use super::*;

    fn request(target: &str) -> InboundRequest {
        InboundRequest::get(target, clock::now(), "198.51.100.23/32".parse().ok())
    }

    fn record(request: InboundRequest) -> PostbackRecord {
        let parsed = request.parse();
        PostbackRecord::new(NetworkId(7), request, parsed)
    }

    #[test]
    fn a_record_reads_back_and_holds_no_token() {
        let token = "t0k3nt0k3nt0k3nt0k3n";
        let target = format!(
            "/postback?click_id=c&order_id=Ä-1&amount=1.5&token={token}&my_token=abcdefghijklmnop&goal={token}"
        );
        let record = record(request(&target));
        let mut buffer = Vec::new();
        record.write(&mut buffer);
        let text = String::from_utf8(buffer.clone()).unwrap();
        assert!(!text.contains(token), "{text}");
        assert!(!text.contains("abcdefghijkl"), "{text}");
        assert_eq!(PostbackRecord::read(&buffer), Ok(record.clone()));
        assert_eq!(record.token(), Some(Token::from_call(token).hash()));
        assert_eq!(record.postback.order_id.as_deref(), Some("Ä-1"));
        assert_eq!(
            record.postback.amount.map(|amount| amount.micros),
            Some(1_500_000)
        );
    }

    #[test]
    fn a_record_has_the_problem_of_its_request() {
        let record = record(request("/postback?click_id=c&amount=12,5"));
        assert_eq!(
            record.problem().map(|verdict| verdict.reason),
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
        assert_eq!(record.postback.click_ids, ["c"]);
        assert_eq!(record.postback.amount.map(|amount| amount.micros), Some(5));
        assert_eq!(record.dialect, "clickledger");
    }

    #[test]
    fn a_record_of_the_second_format_is_still_read() {
        let text = r#"{"format":2,"network":"net_0000020","id":"pb_00000000000000000000000000","received_at":"2026-11-21T00:00:00Z","method":"GET","target":"/postback?click_id=c&order_id=A-1","content_type":null,"body":"","remote_ip":"198.51.100.23/32","token":null,"dialect":"clickledger","said":"#;
        let text = text.replace("net_0000020", &NetworkId(1).to_string());
        let postback = serde_json::to_string(&Postback {
            order_id: Some("A-1".to_owned()),
            ..Postback::default()
        });
        let text = format!("{text}{},\"flaw\":null}}", postback.unwrap());
        let read = PostbackRecord::read(text.as_bytes()).unwrap();
        assert_eq!(read.over_https, None);
        assert_eq!(read.postback.order_id.as_deref(), Some("A-1"));
        for known in [true, false] {
            let request = InboundRequest {
                over_https: Some(known),
                ..request("/postback?click_id=c")
            };
            let read = PostbackRecord::read(&record(request).to_bytes()).unwrap();
            assert_eq!(read.over_https, Some(known));
        }
    }

    #[test]
    fn bytes_that_are_no_record_are_refused_with_a_message() {
        assert!(
            PostbackRecord::read(b"{}")
                .unwrap_err()
                .contains("not a postback")
        );
        assert!(
            PostbackRecord::read(b"\xff\0")
                .unwrap_err()
                .contains("not a postback")
        );
    }
}
