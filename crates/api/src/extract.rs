//! What handlers take from a request: an id, query parameters, a body. Each is checked for its shape here, once.

use std::collections::BTreeSet;
use std::future::{Future, Ready, ready};
use std::pin::Pin;
use std::str::FromStr;
use std::time::Duration;

use actix_web::dev::Payload;
use actix_web::web::{self, Bytes};
use actix_web::{FromRequest, HttpMessage, HttpRequest};
use serde::Serialize;
use serde::de::{Deserialize, DeserializeOwned, Deserializer, Error as _};

use crate::error::{ApiError, quote};

/// Most bytes of a JSON body.
const JSON_LIMIT: usize = 64 * 1024;
/// Most bytes of a file to import.
const CSV_LIMIT: usize = 2 * 1024 * 1024;
/// How long a body may take to arrive.
const BODY_TIME: Duration = Duration::from_secs(15);

/// A NUL character as JSON writes it.
const NUL: &[u8] = b"\\u0000";

/// The `{id}` of the path. One that is no id is answered like one that nothing has.
pub(crate) struct Id<T>(pub(crate) T);

impl<T: FromStr> FromRequest for Id<T> {
    type Error = ApiError;
    type Future = Ready<Result<Self, ApiError>>;

    fn from_request(request: &HttpRequest, payload: &mut Payload) -> Self::Future {
        // Unlike the matched text itself, this is decoded whole.
        let text = web::Path::<String>::from_request(request, payload).into_inner();
        let id = text.ok().and_then(|text| text.parse().ok());
        ready(id.map(Self).ok_or(ApiError::NotFound))
    }
}

/// The query parameters. Those that are unknown, repeated or of the wrong type are refused by name.
pub(crate) struct Params<T>(pub(crate) T);

impl<T: DeserializeOwned> FromRequest for Params<T> {
    type Error = ApiError;
    type Future = Ready<Result<Self, ApiError>>;

    fn from_request(request: &HttpRequest, _: &mut Payload) -> Self::Future {
        ready(params(request.query_string()).map(Self))
    }
}

fn params<T: DeserializeOwned>(query: &str) -> Result<T, ApiError> {
    let mut names = BTreeSet::new();
    for (name, _) in form_urlencoded::parse(query.as_bytes()) {
        if let Some(repeated) = names.replace(name) {
            return Err(ApiError::field(&quote(&repeated), "Send it once."));
        }
    }
    let pairs = serde_urlencoded::Deserializer::new(form_urlencoded::parse(query.as_bytes()));
    serde_path_to_error::deserialize(pairs).map_err(|error| {
        ApiError::field(
            &quote(&error.path().to_string()),
            quote(&error.inner().to_string()),
        )
    })
}

/// A JSON body.
pub(crate) struct Body<T> {
    /// What it says.
    pub(crate) value: T,
    /// As it was sent.
    pub(crate) bytes: Bytes,
}

impl<T: DeserializeOwned + 'static> FromRequest for Body<T> {
    type Error = ApiError;
    type Future = Pin<Box<dyn Future<Output = Result<Self, ApiError>>>>;

    fn from_request(request: &HttpRequest, payload: &mut Payload) -> Self::Future {
        let bytes = read(request, payload, "application/json", JSON_LIMIT);
        Box::pin(async move {
            let bytes = bytes.await?;
            let value = json(&bytes)?;
            Ok(Self { value, bytes })
        })
    }
}

fn json<T: DeserializeOwned>(bytes: &[u8]) -> Result<T, ApiError> {
    // No text has a NUL character, and Postgres takes none. (An unescaped one is no JSON.)
    if bytes.windows(NUL.len()).any(|part| part == NUL) {
        return Err(ApiError::field(
            "body",
            "No text may have a NUL character (\\u0000).",
        ));
    }
    // A struct could be read from a list too, field by field in an order that nobody was told.
    if bytes
        .iter()
        .find(|byte| !byte.is_ascii_whitespace())
        .is_some_and(|byte| *byte != b'{')
    {
        return Err(ApiError::malformed(".", "send an object: {…}"));
    }
    let mut json = serde_json::Deserializer::from_slice(bytes);
    let value = serde_path_to_error::deserialize(&mut json)
        .map_err(|error| ApiError::malformed(&error.path().to_string(), &error.inner().to_string()))?;
    json.end()
        .map_err(|error| ApiError::malformed(".", &error.to_string()))?;
    Ok(value)
}

/// A file to import.
pub(crate) struct Csv(pub(crate) String);

impl FromRequest for Csv {
    type Error = ApiError;
    type Future = Pin<Box<dyn Future<Output = Result<Self, ApiError>>>>;

    fn from_request(request: &HttpRequest, payload: &mut Payload) -> Self::Future {
        let bytes = read(request, payload, "text/csv", CSV_LIMIT);
        Box::pin(async move {
            String::from_utf8(bytes.await?.into())
                .map(Self)
                .map_err(|error| ApiError::malformed(".", &format!("it is not UTF-8: {error}")))
        })
    }
}

fn read(
    request: &HttpRequest,
    payload: &mut Payload,
    wanted: &'static str,
    limit: usize,
) -> impl Future<Output = Result<Bytes, ApiError>> + use<> {
    let fits = request.content_type().eq_ignore_ascii_case(wanted);
    let payload = web::Payload::from_request(request, payload);
    async move {
        if !fits {
            return Err(ApiError::UnsupportedMediaType(wanted));
        }
        let broken = |error: actix_web::Error| ApiError::malformed(".", &error.to_string());
        let whole = payload.await.map_err(broken)?.to_bytes_limited(limit);
        actix_web::rt::time::timeout(BODY_TIME, whole)
            .await
            .map_err(|_| ApiError::TooSlow)?
            .map_err(|_| ApiError::TooLarge(limit / 1024))?
            .map_err(broken)
    }
}

/// A field of a PATCH: there, whatever it is; absent, it stays as it was. Null is a value of those types only that
/// have one.
pub(crate) fn given<'de, T: Deserialize<'de>, D: Deserializer<'de>>(from: D) -> Result<Option<T>, D::Error> {
    T::deserialize(from).map(Some)
}

/// A whole number as JSON Schema has it: `7.0` is one.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize)]
#[serde(transparent)]
pub(crate) struct Whole(pub(crate) i64);

impl<'de> Deserialize<'de> for Whole {
    fn deserialize<D: Deserializer<'de>>(from: D) -> Result<Self, D::Error> {
        let number = serde_json::Number::deserialize(from)?;
        // Beyond 2^53 a float is no number in particular.
        let float = || {
            let value = number.as_f64()?;
            (value.fract() == 0.0 && value.abs() < 9_007_199_254_740_992.0).then_some(value as i64)
        };
        let whole = number.as_i64().or_else(float).map(Self);
        whole.ok_or_else(|| D::Error::custom(format!("{number} is no whole number")))
    }
}

#[cfg(test)]
mod tests {
    use serde::Deserialize;

    use super::*;

    #[derive(Debug, Default, PartialEq, Deserialize)]
    #[serde(deny_unknown_fields)]
    struct Patch {
        #[serde(default, deserialize_with = "given")]
        name: Option<String>,
        #[serde(default, deserialize_with = "given")]
        note: Option<Option<String>>,
        #[serde(default)]
        tags: Vec<String>,
    }

    fn named(error: &ApiError) -> Vec<String> {
        match error {
            ApiError::Invalid(fields) | ApiError::Malformed { fields, .. } => {
                fields.keys().cloned().collect()
            }
            _ => panic!("{error}"),
        }
    }

    #[test]
    fn absent_null_and_given_are_three_things() {
        let of = |text: &str| json::<Patch>(text.as_bytes()).unwrap();
        assert_eq!(of("{}"), Patch::default());
        assert_eq!(of(r#"{"note":null}"#).note, Some(None));
        assert_eq!(of(r#"{"note":"x"}"#).note, Some(Some("x".to_owned())));
        assert_eq!(named(&json::<Patch>(br#"{"name":null}"#).unwrap_err()), ["name"]);
    }

    #[test]
    fn what_is_wrong_with_a_body_is_told_by_its_place() {
        for (text, field) in [
            (r#"{"name":1}"#, "name"),
            (r#"{"nme":"x"}"#, "nme"),
            (r#"{"tags":["a",2]}"#, "tags[1]"),
            (r#"{"tags":{}}"#, "tags"),
        ] {
            assert_eq!(
                named(&json::<Patch>(text.as_bytes()).unwrap_err()),
                [field],
                "{text}"
            );
        }
        assert_eq!(
            named(&json::<Patch>(br#"{"name":"a\u0000b"}"#).unwrap_err()),
            ["body"]
        );
        for text in [
            "",
            "{",
            "[]",
            "[\"x\"]",
            "null",
            "\"x\"",
            "[]x",
            "{} {}",
            "{\"name\":\"\\ud800\"}",
            "\u{feff}{}",
        ] {
            assert!(json::<Patch>(text.as_bytes()).is_err(), "{text}");
        }
    }

    #[test]
    fn a_whole_number_may_be_written_with_a_point() {
        #[derive(Debug, Deserialize)]
        struct Days {
            days: Whole,
        }
        let of = |text: &str| {
            json::<Days>(format!("{{\"days\":{text}}}").as_bytes())
                .map(|it| it.days.0)
                .ok()
        };
        for (text, number) in [("7", 7), ("7.0", 7), ("-7", -7), ("7e2", 700), ("0.0", 0)] {
            assert_eq!(of(text), Some(number), "{text}");
        }
        for text in [
            "7.5",
            "1e300",
            "1e999",
            "18446744073709551615",
            "\"7\"",
            "null",
            "true",
            "NaN",
        ] {
            assert_eq!(of(text), None, "{text}");
        }
    }

    #[test]
    fn what_is_wrong_with_a_query_is_told_by_its_name() {
        #[derive(Debug, Deserialize)]
        #[serde(deny_unknown_fields)]
        #[expect(dead_code, reason = "only read from a query")]
        struct Query {
            limit: Option<i64>,
            archived: Option<bool>,
        }
        assert!(params::<Query>("limit=5&archived=true").is_ok() && params::<Query>("").is_ok());
        for (query, field) in [
            ("limit=x", "limit"),
            ("limit=", "limit"),
            ("archived=1", "archived"),
            ("serch=x", "serch"),
            ("limit=1&limit=2", "limit"),
        ] {
            assert_eq!(named(&params::<Query>(query).unwrap_err()), [field], "{query}");
        }
    }
}
