//! Links that stop a scheduled mail for one recipient, without sign-in.
//!
//! A token is made of its network, mail and recipient and of a code that only the installation's secret yields, so it is
//! stored nowhere, and every mail to a recipient has the same.

use chrono::{DateTime, Utc};
use diesel::prelude::*;
use diesel_async::RunQueryDsl;
use schema::{
    BASE32, MembershipId, NetworkConn, NetworkId, ReportMailId, report_mail_recipients, report_mails,
    saved_reports,
};
use serde_json::json;
use tenancy::audit::{self, Change};
use tenancy::{Author, Secret, Via};

use super::store::person_of;

/// Length of the code of a token, in bytes.
const CODE_LENGTH: usize = 16;

/// Recipient of a scheduled mail, as a link names it.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct StopToken {
    /// Network of the mail.
    pub network_id: NetworkId,
    /// Mail.
    pub mail: ReportMailId,
    /// Membership of the recipient.
    pub recipient: MembershipId,
}

impl StopToken {
    fn ids(self) -> [u8; 12] {
        let mut ids = [0; 12];
        let numbers = [self.network_id.0, self.mail.0, self.recipient.0];
        for (part, number) in ids.chunks_exact_mut(4).zip(numbers) {
            part.copy_from_slice(&number.to_be_bytes());
        }
        ids
    }

    fn bytes(self, secret: &Secret) -> Vec<u8> {
        let ids = self.ids();
        let code = secret.derive(&[b"stop report mail ".as_slice(), &ids].concat());
        ids.iter().chain(code.iter().take(CODE_LENGTH)).copied().collect()
    }

    /// Text of the token for a link.
    #[must_use]
    pub fn to_text(self, secret: &Secret) -> String {
        BASE32.encode(&self.bytes(secret))
    }

    /// Token of a link; `None` if this installation did not make it.
    #[must_use]
    pub fn parse(text: &str, secret: &Secret) -> Option<Self> {
        let bytes = BASE32.decode(text.as_bytes()).ok()?;
        let (ids, _) = bytes.split_first_chunk::<12>()?;
        let mut numbers = ids
            .chunks_exact(4)
            .map(|part| part.try_into().map(i32::from_be_bytes));
        let mut number = || numbers.next()?.ok().filter(|number| *number > 0);
        let token = Self {
            network_id: NetworkId(number()?),
            mail: ReportMailId(number()?),
            recipient: MembershipId(number()?),
        };
        let expected = token.bytes(secret);
        // Compares every byte, so that the time reveals nothing of the code.
        let differing = bytes
            .iter()
            .zip(&expected)
            .fold(0, |differing, (one, other)| differing | (one ^ other));
        (bytes.len() == expected.len() && differing == 0).then_some(token)
    }
}

/// Name of the view, and the time at which the recipient stopped its mail; `None` if the mail was deleted.
///
/// # Errors
/// Returns an error if the database fails.
pub async fn stopped(
    conn: &mut NetworkConn,
    token: StopToken,
) -> QueryResult<Option<(String, Option<DateTime<Utc>>)>> {
    let network_id = conn.network_id();
    report_mail_recipients::table
        .inner_join(
            report_mails::table.on(report_mails::network_id
                .eq(report_mail_recipients::network_id)
                .and(report_mails::id.eq(report_mail_recipients::report_mail_id))),
        )
        .inner_join(
            saved_reports::table.on(saved_reports::network_id
                .eq(report_mails::network_id)
                .and(saved_reports::id.eq(report_mails::saved_report_id))),
        )
        .filter(report_mail_recipients::network_id.eq(network_id))
        .filter(report_mail_recipients::report_mail_id.eq(token.mail))
        .filter(report_mail_recipients::membership_id.eq(token.recipient))
        .select((saved_reports::name, report_mail_recipients::stopped_at))
        .first(&mut **conn)
        .await
        .optional()
}

/// Stops a mail for its recipient. Returns the name of the view; `None` if the mail was deleted.
///
/// # Errors
/// Returns an error if the database fails.
pub async fn stop(
    conn: &mut NetworkConn,
    token: StopToken,
    now: DateTime<Utc>,
) -> QueryResult<Option<String>> {
    let Some((view, stopped_at)) = stopped(conn, token).await? else {
        return Ok(None);
    };
    if stopped_at.is_some() {
        return Ok(Some(view));
    }
    let network_id = conn.network_id();
    let key = (network_id, token.mail, token.recipient);
    diesel::update(report_mail_recipients::table.find(key))
        .filter(report_mail_recipients::stopped_at.is_null())
        .set(report_mail_recipients::stopped_at.eq(now))
        .execute(&mut **conn)
        .await?;
    let person = person_of(conn, token.recipient).await?;
    let author = Author {
        person_id: person.as_ref().map(|(id, _)| *id),
        name: person.map_or_else(|| "Recipient".to_owned(), |(_, name)| name),
        via: Via::Page,
        address: None,
        scope: tenancy::Scope::default(),
    };
    let after = json!({ "recipient": token.recipient.to_string() });
    let change = Change::created("report_mail.stop", token.mail, &view, after);
    audit::record(conn, &author, change, now).await?;
    Ok(Some(view))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_token_is_read_by_the_installation_that_made_it_and_by_no_other() {
        let secret = Secret::random();
        let token = StopToken {
            network_id: NetworkId(7),
            mail: ReportMailId(8),
            recipient: MembershipId(9),
        };
        let text = token.to_text(&secret);
        assert_eq!(StopToken::parse(&text, &secret), Some(token));
        assert_eq!(StopToken::parse(&text, &Secret::random()), None);
        let other = StopToken {
            recipient: MembershipId(10),
            ..token
        };
        let (ids, code) = (other.to_text(&secret), text.clone());
        let forged = format!("{}{}", ids.get(..20).unwrap(), code.get(20..).unwrap());
        assert_eq!(StopToken::parse(&forged, &secret), None);
        for odd in ["", "x", "0000", text.get(..30).unwrap()] {
            assert_eq!(StopToken::parse(odd, &secret), None, "{odd}");
        }
    }
}
