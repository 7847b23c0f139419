//! Microsoft Advertising's Conversions API.

use hyper::header::AUTHORIZATION;
use serde_json::{Map, Value, json};
use url::Url;

use super::{Given, PlatformCall, hashed, header, text, value_of, without_query};
use crate::facts::Facts;

/// Parameters that are no property of an event.
pub(super) const PARAMETERS: [&str; 9] = [
    "token",
    "event_name",
    "msclkid",
    "value",
    "currency",
    "event_category",
    "event_label",
    "event_source_url",
    "ad_storage_consent",
];
/// Parameters without which no call is possible. Without the click ID, Microsoft attributes nothing.
pub(super) const REQUIRED: [&str; 3] = ["token", "event_name", "msclkid"];
/// URL that a new destination begins with.
pub(super) const BEGINNING: &str = "https://capi.uet.microsoft.com/v1/YOUR_TAG_ID/events?token=YOUR_TOKEN&event_name=purchase\
                                    &msclkid={sub2}&value={commission}&currency={currency}";

/// Custom event: only those have a value.
pub(super) fn call(
    url: &Url,
    given: &Given,
    facts: &Facts,
    click_id: Option<&str>,
) -> Result<PlatformCall, String> {
    let mut user = Map::from_iter([("msclkid".to_owned(), json!(given.required("msclkid")?))]);
    user.extend(hashed("externalId", click_id, |hash| json!(hash)));
    let mut data = value_of(given, "value")?;
    data.insert("transactionId".to_owned(), json!(facts.conversion_id));
    data.extend(text("eventCategory", given.get("event_category")));
    data.extend(text("eventLabel", given.get("event_label")));
    let mut event = Map::from_iter([
        ("eventType".to_owned(), json!("custom")),
        ("eventId".to_owned(), json!(facts.conversion_id)),
        ("eventName".to_owned(), json!(given.required("event_name")?)),
        ("eventTime".to_owned(), json!(facts.converted_at.timestamp())),
        ("userData".to_owned(), Value::Object(user)),
        ("customData".to_owned(), Value::Object(data)),
    ]);
    event.extend(text("eventSourceUrl", given.get("event_source_url")));
    event.extend(text("adStorageConsent", given.get("ad_storage_consent")));
    let token = format!("Bearer {}", given.required("token")?);
    Ok(PlatformCall {
        url: without_query(url),
        headers: vec![(AUTHORIZATION, header(&token)?)],
        grant: None,
        body: json!({ "data": [event], "continueOnValidationError": false }),
    })
}

#[cfg(test)]
mod tests {
    use super::super::tests::{called, facts};
    use super::*;
    use crate::format::BodyFormat;

    #[test]
    fn microsoft_gets_a_custom_event_with_its_click_id() {
        let query =
            "token=secret&event_name=purchase&msclkid=dd4a&value=12.50&currency=eur&ad_storage_consent=G";
        let made = called(BodyFormat::Microsoft, query);
        assert_eq!(made.url.as_str(), "https://platform.example/v1/events");
        assert_eq!(made.headers[0].1, "Bearer secret");
        assert_eq!(made.body["continueOnValidationError"], false);
        let event = &made.body["data"][0];
        assert_eq!(
            (&event["eventType"], &event["eventName"], &event["eventTime"]),
            (&json!("custom"), &json!("purchase"), &json!(1_793_000_000))
        );
        assert_eq!(event["eventId"], json!(facts().conversion_id));
        assert_eq!(event["userData"]["msclkid"], "dd4a");
        assert_eq!(event["userData"]["externalId"].as_str().map(str::len), Some(64));
        assert_eq!(
            (&event["customData"]["value"], &event["customData"]["currency"]),
            (&json!(12.5), &json!("EUR"))
        );
        assert_eq!(event["adStorageConsent"], "G");
    }
}
