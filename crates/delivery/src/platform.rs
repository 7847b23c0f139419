//! Server-side conversion calls to advertising platforms, each by its public document:
//!
//! - Meta, Conversions API: <https://developers.facebook.com/docs/marketing-api/conversions-api/parameters/server-event> and
//!   `…/parameters/fbp-and-fbc` for the form of a click ID.
//! - TikTok, Events API 2.0: <https://business-api.tiktok.com/portal/docs?id=1771100865818625>
//! - OpenAI Ads, Conversions API: <https://developers.openai.com/ads/conversions-api> and `…/ads/supported-events`.
//! - Microsoft Advertising, Conversions API: <https://learn.microsoft.com/en-us/advertising/guides/uet-conversion-api-integration>
//!   (read in December 2026).
//! - Google, Data Manager API: <https://developers.google.com/data-manager/api/reference/rest/v1/events/ingest> (likewise).
//!
//! The query of the URL that an affiliate enters is no query of the call: its parameters, with macros, are the values of the
//! body. So the affiliate decides which sub ID has the click ID of the platform, and which amount is the value.

mod google;
mod microsoft;

use std::collections::BTreeMap;

use data_encoding::HEXLOWER;
use hyper::header::{AUTHORIZATION, HeaderName, HeaderValue};
use schema::Currency;
use serde_json::{Map, Number, Value, json};
use sha2::{Digest, Sha256};
use url::Url;

use crate::facts::Facts;
use crate::format::BodyFormat;
use crate::grant::Grant;

/// Header with the token of TikTok's Events API.
const ACCESS_TOKEN: HeaderName = HeaderName::from_static("access-token");
/// Parameters that are no property of an event: of Meta.
const META: [&str; 9] = [
    "access_token",
    "event_name",
    "fbclid",
    "value",
    "currency",
    "action_source",
    "event_source_url",
    "client_user_agent",
    "test_event_code",
];
const TIKTOK: [&str; 8] = [
    "access_token",
    "pixel",
    "event",
    "ttclid",
    "value",
    "currency",
    "page_url",
    "test_event_code",
];
const OPENAI: [&str; 10] = [
    "api_key",
    "pid",
    "type",
    "custom_event_name",
    "oppref",
    "amount",
    "currency",
    "action_source",
    "source_url",
    "validate_only",
];

/// URL, headers and body of a call to a platform.
pub(crate) struct PlatformCall {
    pub(crate) url: Url,
    pub(crate) headers: Vec<(HeaderName, HeaderValue)>,
    /// Grant whose access token the call needs, if any.
    pub(crate) grant: Option<Grant>,
    pub(crate) body: Value,
}

/// URL that a new destination for a platform begins with; none for other formats.
#[must_use]
pub fn platform_url(format: BodyFormat) -> Option<&'static str> {
    match format {
        BodyFormat::Meta => Some(
            "https://graph.facebook.com/v24.0/YOUR_DATASET_ID/events?access_token=YOUR_TOKEN&event_name=Purchase\
             &fbclid={sub2}&value={commission}&currency={currency}",
        ),
        BodyFormat::TikTok => Some(
            "https://business-api.tiktok.com/open_api/v1.3/event/track/?access_token=YOUR_TOKEN&pixel=YOUR_PIXEL_CODE\
             &event=CompletePayment&ttclid={sub2}&value={commission}&currency={currency}",
        ),
        BodyFormat::OpenAi => Some(
            "https://bzr.openai.com/v1/events?pid=YOUR_PIXEL_ID&api_key=YOUR_TOKEN&type=order_created&oppref={sub2}\
             &amount={commission}&currency={currency}",
        ),
        BodyFormat::Microsoft => Some(microsoft::BEGINNING),
        BodyFormat::Google => Some(google::BEGINNING),
        BodyFormat::Standard | BodyFormat::Slack | BodyFormat::Telegram => None,
    }
}

/// Checks the parameters of a URL for a platform, with samples for its macros.
///
/// # Errors
/// Sentence about a parameter that is missing or unknown.
pub(crate) fn check(format: BodyFormat, url: &Url) -> Result<(), String> {
    let (known, required): (&[&str], &[&str]) = match format {
        BodyFormat::Meta => (&META, &["access_token", "event_name"]),
        BodyFormat::TikTok => (&TIKTOK, &["access_token", "pixel", "event"]),
        BodyFormat::OpenAi => (&OPENAI, &["api_key", "pid", "type"]),
        BodyFormat::Microsoft => (&microsoft::PARAMETERS, &microsoft::REQUIRED),
        BodyFormat::Google => (&google::PARAMETERS, &google::REQUIRED),
        BodyFormat::Standard | BodyFormat::Slack | BodyFormat::Telegram => return Ok(()),
    };
    let given = Given::of(url);
    if let Some(name) = required.iter().find(|name| given.get(name).is_none()) {
        return Err(format!(
            "The parameter {name} is missing. Parameters are: {}.",
            known.join(", ")
        ));
    }
    if let Some(name) = given.0.keys().find(|name| !known.contains(&name.as_str())) {
        return Err(format!(
            "{name} is no parameter. Parameters are: {}.",
            known.join(", ")
        ));
    }
    if format == BodyFormat::Meta
        && given.get("action_source") == Some("website")
        && (given.get("event_source_url").is_none() || given.get("client_user_agent").is_none())
    {
        return Err(
            "Meta wants event_source_url and client_user_agent with the action source website.".to_owned(),
        );
    }
    if format == BodyFormat::OpenAi
        && given.get("action_source") == Some("web")
        && given.get("source_url").is_none()
    {
        return Err("OpenAI wants source_url with the action source web.".to_owned());
    }
    Ok(())
}

/// Call for an event of a conversion; none for a format of no platform.
///
/// # Errors
/// Sentence about values that yield no call.
pub(crate) fn call(
    format: BodyFormat,
    url: &Url,
    facts: &Facts,
    click_id: Option<&str>,
) -> Result<Option<PlatformCall>, String> {
    let given = Given::of(url);
    match format {
        BodyFormat::Meta => meta(url, &given, facts, click_id).map(Some),
        BodyFormat::TikTok => tiktok(url, &given, facts, click_id).map(Some),
        BodyFormat::OpenAi => openai(url, &given, facts).map(Some),
        BodyFormat::Microsoft => microsoft::call(url, &given, facts, click_id).map(Some),
        BodyFormat::Google => google::call(url, &given, facts).map(Some),
        BodyFormat::Standard | BodyFormat::Slack | BodyFormat::Telegram => Ok(None),
    }
}

/// Reason why an answer of 2xx is a failure: TikTok reports errors in its body.
pub(crate) fn problem_in(answer: &str) -> Option<String> {
    let answer: Value = serde_json::from_str(answer).ok()?;
    let code = answer.get("code")?.as_i64().filter(|code| *code != 0)?;
    let message = answer.get("message").and_then(Value::as_str).unwrap_or_default();
    Some(format!("The answer has the code {code}: {message}"))
}

fn meta(url: &Url, given: &Given, facts: &Facts, click_id: Option<&str>) -> Result<PlatformCall, String> {
    let mut user = Map::new();
    if let Some(fbclid) = given.get("fbclid") {
        // The time of the click is that of its first observation.
        let clicked = facts
            .click_id
            .map_or(facts.converted_at.timestamp_millis(), |key| {
                i64::try_from(key.0.as_u128() >> 80).unwrap_or_default()
            });
        user.insert("fbc".to_owned(), json!(format!("fb.1.{clicked}.{fbclid}")));
    }
    user.extend(hashed("external_id", click_id, |hash| json!([hash])));
    let country = facts.country.as_deref().map(str::to_lowercase);
    user.extend(hashed("country", country.as_deref(), |hash| json!([hash])));
    user.extend(text("client_user_agent", given.get("client_user_agent")));
    let mut event = Map::from_iter([
        ("event_name".to_owned(), json!(given.required("event_name")?)),
        ("event_time".to_owned(), json!(facts.converted_at.timestamp())),
        ("event_id".to_owned(), json!(facts.conversion_id)),
        (
            "action_source".to_owned(),
            json!(given.get("action_source").unwrap_or("other")),
        ),
        ("user_data".to_owned(), Value::Object(user)),
        ("custom_data".to_owned(), Value::Object(value_of(given, "value")?)),
    ]);
    event.extend(text("event_source_url", given.get("event_source_url")));
    let mut body = Map::from_iter([("data".to_owned(), json!([event]))]);
    body.extend(text("test_event_code", given.get("test_event_code")));
    let mut url = without_query(url);
    url.query_pairs_mut()
        .append_pair("access_token", given.required("access_token")?);
    Ok(PlatformCall {
        url,
        headers: Vec::new(),
        grant: None,
        body: Value::Object(body),
    })
}

fn tiktok(url: &Url, given: &Given, facts: &Facts, click_id: Option<&str>) -> Result<PlatformCall, String> {
    let mut user = Map::new();
    user.extend(text("ttclid", given.get("ttclid")));
    user.extend(hashed("external_id", click_id, |hash| json!(hash)));
    let mut event = Map::from_iter([
        ("event".to_owned(), json!(given.required("event")?)),
        ("event_time".to_owned(), json!(facts.converted_at.timestamp())),
        ("event_id".to_owned(), json!(facts.conversion_id)),
        ("user".to_owned(), Value::Object(user)),
        ("properties".to_owned(), Value::Object(value_of(given, "value")?)),
    ]);
    if let Some(page) = given.get("page_url") {
        event.insert("page".to_owned(), json!({ "url": page }));
    }
    let mut body = Map::from_iter([
        ("event_source".to_owned(), json!("web")),
        ("event_source_id".to_owned(), json!(given.required("pixel")?)),
        ("data".to_owned(), json!([event])),
    ]);
    body.extend(text("test_event_code", given.get("test_event_code")));
    Ok(PlatformCall {
        url: without_query(url),
        headers: vec![(ACCESS_TOKEN, header(given.required("access_token")?)?)],
        grant: None,
        body: Value::Object(body),
    })
}

fn openai(url: &Url, given: &Given, facts: &Facts) -> Result<PlatformCall, String> {
    let kind = given.required("type")?;
    let shape = match kind {
        "lead_created" | "registration_completed" | "appointment_scheduled" => "customer_action",
        "subscription_created" | "trial_started" => "plan_enrollment",
        "custom" => "custom",
        _ => "contents",
    };
    let mut data = Map::from_iter([("type".to_owned(), json!(shape))]);
    if let (Some(amount), Some(currency)) = (given.get("amount"), given.get("currency")) {
        let currency: Currency = currency
            .to_uppercase()
            .parse()
            .map_err(|_| format!("{currency} is no currency."))?;
        let micros = micros(amount).ok_or_else(|| format!("{amount} is no amount."))?;
        let unit = currency.minor_unit();
        data.insert("amount".to_owned(), json!((micros + unit / 2) / unit));
        data.insert("currency".to_owned(), json!(currency.code()));
    }
    let mut event = Map::from_iter([
        ("id".to_owned(), json!(facts.conversion_id)),
        ("type".to_owned(), json!(kind)),
        (
            "timestamp_ms".to_owned(),
            json!(facts.converted_at.timestamp_millis()),
        ),
        (
            "action_source".to_owned(),
            json!(given.get("action_source").unwrap_or("other")),
        ),
        ("data".to_owned(), Value::Object(data)),
    ]);
    for name in ["oppref", "source_url", "custom_event_name"] {
        event.extend(text(name, given.get(name)));
    }
    let is_test = given.is_on("validate_only");
    let mut url = without_query(url);
    url.query_pairs_mut().append_pair("pid", given.required("pid")?);
    let key = format!("Bearer {}", given.required("api_key")?);
    Ok(PlatformCall {
        url,
        headers: vec![(AUTHORIZATION, header(&key)?)],
        grant: None,
        body: json!({ "validate_only": is_test, "events": [event] }),
    })
}

/// Parameters that have a value.
struct Given(BTreeMap<String, String>);

impl Given {
    fn of(url: &Url) -> Self {
        let pairs = url.query_pairs().filter(|(_, value)| !value.is_empty());
        Self(
            pairs
                .map(|(name, value)| (name.into_owned(), value.into_owned()))
                .collect(),
        )
    }

    fn get(&self, name: &str) -> Option<&str> {
        self.0.get(name).map(String::as_str)
    }

    fn is_on(&self, name: &str) -> bool {
        matches!(self.get(name), Some("true" | "1" | "yes"))
    }

    fn required(&self, name: &str) -> Result<&str, String> {
        self.get(name)
            .ok_or_else(|| format!("The parameter {name} of the URL has no value."))
    }
}

/// Value and currency of an event; both or none.
fn amount_of(given: &Given, name: &str) -> Result<Option<(Value, Value)>, String> {
    let (Some(amount), Some(currency)) = (given.get(name), given.get("currency")) else {
        return Ok(None);
    };
    let value: Number = amount.parse().map_err(|_| format!("{amount} is no amount."))?;
    Ok(Some((Value::Number(value), json!(currency.to_uppercase()))))
}

/// The same as the fields `value` and `currency`.
fn value_of(given: &Given, name: &str) -> Result<Map<String, Value>, String> {
    let amount = amount_of(given, name)?.into_iter();
    Ok(amount
        .flat_map(|(value, currency)| [("value".to_owned(), value), ("currency".to_owned(), currency)])
        .collect())
}

/// Amount in micro-units.
fn micros(text: &str) -> Option<i64> {
    let (whole, fraction) = text.split_once('.').unwrap_or((text, ""));
    let is_digits = |part: &str| part.bytes().all(|byte| byte.is_ascii_digit());
    if whole.is_empty() || !is_digits(whole) || !is_digits(fraction) || fraction.len() > 6 {
        return None;
    }
    format!("{whole}{fraction:0<6}").parse().ok()
}

fn text(name: &str, value: Option<&str>) -> Option<(String, Value)> {
    Some((name.to_owned(), json!(value?)))
}

/// SHA-256 of a value in lower case hexadecimal, as the platforms want personal values.
fn hashed(name: &str, value: Option<&str>, shape: impl Fn(String) -> Value) -> Option<(String, Value)> {
    let hash = HEXLOWER.encode(&Sha256::digest(value?.trim().as_bytes()));
    Some((name.to_owned(), shape(hash)))
}

fn header(text: &str) -> Result<HeaderValue, String> {
    let mut value =
        HeaderValue::try_from(text).map_err(|_| "The token has characters that no header may have.")?;
    value.set_sensitive(true);
    Ok(value)
}

fn without_query(url: &Url) -> Url {
    let mut url = url.clone();
    url.set_query(None);
    url
}

#[cfg(test)]
mod tests {
    use chrono::TimeZone;
    use schema::{DeliveryId, NetworkId};

    use super::*;

    pub(super) fn facts() -> Facts {
        let at = chrono::Utc.timestamp_opt(1_793_000_000, 0).unwrap();
        let currency = "EUR".parse().unwrap();
        Facts::sample(NetworkId(1), currency, DeliveryId(uuid::Uuid::nil()), at)
    }

    pub(super) fn called(format: BodyFormat, query: &str) -> PlatformCall {
        let url: Url = format!("https://platform.example/v1/events?{query}")
            .parse()
            .unwrap();
        assert_eq!(check(format, &url), Ok(()), "{query}");
        call(format, &url, &facts(), Some("click")).unwrap().unwrap()
    }

    #[test]
    fn meta_gets_its_server_event() {
        let query = "access_token=secret&event_name=Purchase&fbclid=IwAR2&value=12.50&currency=eur&test_event_code=TEST1";
        let made = called(BodyFormat::Meta, query);
        assert_eq!(
            made.url.as_str(),
            "https://platform.example/v1/events?access_token=secret"
        );
        let event = &made.body["data"][0];
        assert_eq!(made.body["test_event_code"], "TEST1");
        assert_eq!(
            (
                &event["event_name"],
                &event["event_time"],
                &event["action_source"]
            ),
            (&json!("Purchase"), &json!(1_793_000_000), &json!("other"))
        );
        assert_eq!(event["event_id"], json!(facts().conversion_id));
        assert_eq!(
            event["custom_data"].to_string(),
            r#"{"currency":"EUR","value":12.5}"#
        );
        assert_eq!(event["user_data"]["fbc"], "fb.1.1793000000000.IwAR2");
        let hash = HEXLOWER.encode(&Sha256::digest(b"click"));
        assert_eq!(event["user_data"]["external_id"], json!([hash]));
    }

    #[test]
    fn tiktok_gets_its_event_and_reports_errors_in_its_answer() {
        let query = "access_token=secret&pixel=C1&event=CompletePayment&ttclid=E.C.P.1&value=3&currency=USD";
        let made = called(BodyFormat::TikTok, query);
        assert_eq!(made.url.query(), None);
        assert_eq!(made.headers, [(ACCESS_TOKEN, HeaderValue::from_static("secret"))]);
        assert_eq!(
            (&made.body["event_source"], &made.body["event_source_id"]),
            (&json!("web"), &json!("C1"))
        );
        let event = &made.body["data"][0];
        assert_eq!(
            (&event["event"], &event["user"]["ttclid"]),
            (&json!("CompletePayment"), &json!("E.C.P.1"))
        );
        assert_eq!(event["properties"], json!({ "value": 3, "currency": "USD" }));
        assert_eq!(problem_in(r#"{"code":0,"message":"OK"}"#), None);
        assert_eq!(
            problem_in(r#"{"code":40001,"message":"Invalid token"}"#).as_deref(),
            Some("The answer has the code 40001: Invalid token")
        );
    }

    #[test]
    fn openai_gets_minor_units_and_the_shape_of_the_type() {
        let query =
            "pid=P1&api_key=secret&type=order_created&oppref=o1&amount=12.50&currency=EUR&validate_only=true";
        let made = called(BodyFormat::OpenAi, query);
        assert_eq!(made.url.query(), Some("pid=P1"));
        assert_eq!(
            made.headers,
            [(AUTHORIZATION, HeaderValue::from_static("Bearer secret"))]
        );
        assert_eq!(made.body["validate_only"], true);
        let event = &made.body["events"][0];
        assert_eq!(
            event["data"],
            json!({ "type": "contents", "amount": 1250, "currency": "EUR" })
        );
        assert_eq!(
            (&event["timestamp_ms"], &event["oppref"]),
            (&json!(1_793_000_000_000_i64), &json!("o1"))
        );
        let lead = called(BodyFormat::OpenAi, "pid=P1&api_key=secret&type=lead_created");
        assert_eq!(
            lead.body["events"][0]["data"],
            json!({ "type": "customer_action" })
        );
    }

    #[test]
    fn missing_and_unknown_parameters_are_named() {
        let refused = |format: BodyFormat, query: &str| {
            let url = format!("https://p.example/?{query}").parse().unwrap();
            check(format, &url).unwrap_err()
        };
        assert!(
            refused(BodyFormat::Meta, "event_name=Lead")
                .starts_with("The parameter access_token is missing.")
        );
        assert!(
            refused(BodyFormat::TikTok, "access_token=a&pixel=b&event=c&gclid=d")
                .starts_with("gclid is no parameter.")
        );
        assert!(
            refused(
                BodyFormat::Meta,
                "access_token=a&event_name=b&action_source=website"
            )
            .contains("client_user_agent")
        );
        assert!(
            refused(BodyFormat::OpenAi, "api_key=a&pid=b&type=c&action_source=web").contains("source_url")
        );
        assert_eq!(
            (micros("12.5"), micros("7"), micros("1e3"), micros("-1")),
            (Some(12_500_000), Some(7_000_000), None, None)
        );
    }
}
