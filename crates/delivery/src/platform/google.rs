//! Google's Data Manager API, which replaces uploads of click conversions by the Google Ads API.

use chrono::SecondsFormat;
use serde_json::{Map, Value, json};
use url::Url;

use super::{Given, PlatformCall, amount_of, text, without_query};
use crate::facts::Facts;
use crate::grant::Grant;

/// Parameters of a call.
pub(super) const PARAMETERS: [&str; 14] = [
    "client_id",
    "client_secret",
    "refresh_token",
    "token_url",
    "account",
    "login_account",
    "action",
    "gclid",
    "gbraid",
    "wbraid",
    "value",
    "currency",
    "ad_user_data",
    "validate_only",
];
/// Parameters without which no call is possible.
pub(super) const REQUIRED: [&str; 5] = ["client_id", "client_secret", "refresh_token", "account", "action"];
/// Address that exchanges a refresh token for an access token.
const TOKEN_URL: &str = "https://oauth2.googleapis.com/token";
/// URL that a new destination begins with.
pub(super) const BEGINNING: &str = "https://datamanager.googleapis.com/v1/events:ingest?client_id=YOUR_CLIENT_ID\
                                    &client_secret=YOUR_TOKEN&refresh_token=YOUR_TOKEN&account=YOUR_ACCOUNT_ID\
                                    &action=YOUR_CONVERSION_ACTION_ID&gclid={sub2}&value={commission}&currency={currency}";

/// Event of one conversion action. Sent again, it is the same conversion by its transaction ID.
pub(super) fn call(url: &Url, given: &Given, facts: &Facts) -> Result<PlatformCall, String> {
    let account = |id: &str| json!({ "accountType": "GOOGLE_ADS", "accountId": id.replace('-', "") });
    let mut destination = Map::from_iter([
        ("operatingAccount".to_owned(), account(given.required("account")?)),
        (
            "productDestinationId".to_owned(),
            json!(given.required("action")?),
        ),
    ]);
    if let Some(login) = given.get("login_account") {
        destination.insert("loginAccount".to_owned(), account(login));
    }
    let mut identifiers = Map::new();
    for name in ["gclid", "gbraid", "wbraid"] {
        identifiers.extend(text(name, given.get(name)));
    }
    if identifiers.is_empty() {
        return Err("The conversion has no click ID of Google (gclid, gbraid or wbraid).".to_owned());
    }
    let at = facts.converted_at.to_rfc3339_opts(SecondsFormat::Secs, true);
    let mut event = Map::from_iter([
        ("eventTimestamp".to_owned(), json!(at)),
        ("transactionId".to_owned(), json!(facts.conversion_id)),
        ("eventSource".to_owned(), json!("WEB")),
        ("adIdentifiers".to_owned(), Value::Object(identifiers)),
    ]);
    if let Some((value, currency)) = amount_of(given, "value")? {
        event.insert("conversionValue".to_owned(), value);
        event.insert("currency".to_owned(), currency);
    }
    let mut body = Map::from_iter([
        ("destinations".to_owned(), json!([destination])),
        ("events".to_owned(), json!([event])),
        ("validateOnly".to_owned(), json!(given.is_on("validate_only"))),
    ]);
    if let Some(consent) = given.get("ad_user_data") {
        body.insert("consent".to_owned(), json!({ "adUserData": consent }));
    }
    let token_url = given.get("token_url").unwrap_or(TOKEN_URL);
    Ok(PlatformCall {
        url: without_query(url),
        headers: Vec::new(),
        grant: Some(Grant {
            token_url: Url::parse(token_url)
                .map_err(|problem| format!("The token_url cannot be read: {problem}."))?,
            client_id: given.required("client_id")?.to_owned(),
            client_secret: given.required("client_secret")?.to_owned(),
            refresh_token: given.required("refresh_token")?.to_owned(),
        }),
        body: Value::Object(body),
    })
}

#[cfg(test)]
mod tests {
    use super::super::tests::{called, facts};
    use super::*;
    use crate::format::BodyFormat;

    const GRANT: &str =
        "client_id=app&client_secret=hidden&refresh_token=1//abc&account=123-456-7890&action=99";

    #[test]
    fn google_gets_an_event_of_the_conversion_action() {
        let query =
            format!("{GRANT}&gclid=Cj0&value=12.50&currency=eur&validate_only=true&login_account=555");
        let made = called(BodyFormat::Google, &query);
        assert_eq!(made.url.as_str(), "https://platform.example/v1/events");
        let grant = made.grant.unwrap();
        assert_eq!(grant.token_url.as_str(), TOKEN_URL);
        assert_eq!(
            (&*grant.client_id, &*grant.client_secret, &*grant.refresh_token),
            ("app", "hidden", "1//abc")
        );
        assert_eq!(made.body["validateOnly"], true);
        let destination = &made.body["destinations"][0];
        assert_eq!(destination["operatingAccount"]["accountId"], "1234567890");
        assert_eq!(destination["loginAccount"]["accountId"], "555");
        assert_eq!(destination["productDestinationId"], "99");
        assert_eq!(
            made.body["events"][0],
            json!({
                "eventTimestamp": "2026-10-26T07:33:20Z",
                "transactionId": facts().conversion_id,
                "eventSource": "WEB",
                "adIdentifiers": { "gclid": "Cj0" },
                "conversionValue": 12.5,
                "currency": "EUR",
            })
        );
    }

    #[test]
    fn a_conversion_without_a_click_id_of_google_is_not_sent() {
        let url = format!("https://p.example/?{GRANT}").parse().unwrap();
        let made = call(&url, &Given::of(&url), &facts());
        assert!(made.is_err_and(|problem| problem.contains("gclid")));
    }
}
