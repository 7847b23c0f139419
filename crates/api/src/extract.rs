//! Extractors of handlers: ID, query parameters, body. Each checks the shape of its input.

use std::collections::BTreeSet;
use std::future::{Future, Ready, ready};
use std::pin::Pin;
use std::str::FromStr;
use std::time::Duration;

use actix_web::dev::Payload;
use actix_web::http::header::{CONTENT_LENGTH, CONTENT_TYPE};
use actix_web::web::{self, Bytes};
use actix_web::{FromRequest, HttpMessage, HttpRequest};
use serde::Serialize;
use serde::de::{Deserialize, DeserializeOwned, Deserializer, Error as _};
use tenancy::table;

use crate::error::{ApiError, quote};

/// Maximum size of a JSON body, in bytes.
const JSON_LIMIT: usize = 64 * 1024;
/// Error message for a JSON body beyond [`JSON_LIMIT`].
const JSON_TOO_LARGE: &str = "The body is larger than 64 KiB.";
/// Time until the whole body must have arrived.
const BODY_TIMEOUT: Duration = Duration::from_secs(15);

/// NUL character, escaped in JSON.
const NUL: &[u8] = b"\\u0000";

/// `{id}` of the path. A malformed ID gets the same response as an unknown one.
pub(crate) struct Id<T>(pub(crate) T);

impl<T: FromStr> FromRequest for Id<T> {
    type Error = ApiError;
    type Future = Ready<Result<Self, ApiError>>;

    fn from_request(request: &HttpRequest, payload: &mut Payload) -> Self::Future {
        // Unlike the matched text, `Path` is percent-decoded completely.
        let text = web::Path::<String>::from_request(request, payload).into_inner();
        let id = text.ok().and_then(|text| text.parse().ok());
        ready(id.map(Self).ok_or(ApiError::NotFound))
    }
}

/// Query parameters. An unknown or repeated one, or one of the wrong type, is an error that names it.
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
            return Err(ApiError::field(&quote(&repeated), "Send this parameter once."));
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

/// JSON body.
pub(crate) struct Body<T> {
    /// Parsed body.
    pub(crate) value: T,
    /// Body as sent.
    pub(crate) bytes: Bytes,
}

impl<T: DeserializeOwned + 'static> FromRequest for Body<T> {
    type Error = ApiError;
    type Future = Pin<Box<dyn Future<Output = Result<Self, ApiError>>>>;

    fn from_request(request: &HttpRequest, payload: &mut Payload) -> Self::Future {
        let bytes = read(request, payload, "application/json", (JSON_LIMIT, JSON_TOO_LARGE));
        Box::pin(async move {
            let bytes = bytes.await?;
            let value = json(&bytes)?;
            Ok(Self { value, bytes })
        })
    }
}

/// JSON body that may be absent or null.
pub(crate) struct OptionalBody<T>(pub(crate) T);

impl<T: DeserializeOwned + Default + 'static> FromRequest for OptionalBody<T> {
    type Error = ApiError;
    type Future = Pin<Box<dyn Future<Output = Result<Self, ApiError>>>>;

    fn from_request(request: &HttpRequest, payload: &mut Payload) -> Self::Future {
        let length = request.headers().get(CONTENT_LENGTH);
        let is_empty =
            length.is_none_or(|length| length == "0") && !request.headers().contains_key(CONTENT_TYPE);
        if is_empty {
            return Box::pin(ready(Ok(Self(T::default()))));
        }
        let bytes = read(request, payload, "application/json", (JSON_LIMIT, JSON_TOO_LARGE));
        Box::pin(async move {
            let bytes = bytes.await?;
            Ok(Self(match bytes.trim_ascii() {
                b"null" => T::default(),
                _ => json(&bytes)?,
            }))
        })
    }
}

fn json<T: DeserializeOwned>(bytes: &[u8]) -> Result<T, ApiError> {
    // Postgres stores no NUL character. (An unescaped one is not JSON.)
    if bytes.windows(NUL.len()).any(|part| part == NUL) {
        return Err(ApiError::field(
            "body",
            "NUL characters (\\u0000) are not allowed.",
        ));
    }
    // serde also parses a struct from a list, in the undocumented order of its fields.
    if bytes
        .iter()
        .find(|byte| !byte.is_ascii_whitespace())
        .is_some_and(|byte| *byte != b'{')
    {
        return Err(ApiError::malformed(".", "expected an object: {…}"));
    }
    let mut json = serde_json::Deserializer::from_slice(bytes);
    let value = serde_path_to_error::deserialize(&mut json)
        .map_err(|error| ApiError::malformed(&error.path().to_string(), &error.inner().to_string()))?;
    json.end()
        .map_err(|error| ApiError::malformed(".", &error.to_string()))?;
    Ok(value)
}

/// CSV file to import.
pub(crate) struct Csv(pub(crate) String);

impl FromRequest for Csv {
    type Error = ApiError;
    type Future = Pin<Box<dyn Future<Output = Result<Self, ApiError>>>>;

    fn from_request(request: &HttpRequest, payload: &mut Payload) -> Self::Future {
        let bytes = read(request, payload, "text/csv", (table::MAX_BYTES, table::TOO_LARGE));
        Box::pin(async move { Ok(Self(table::decoded(&bytes.await?))) })
    }
}

fn read(
    request: &HttpRequest,
    payload: &mut Payload,
    content_type: &'static str,
    (limit, too_large): (usize, &'static str),
) -> impl Future<Output = Result<Bytes, ApiError>> + use<> {
    let is_expected = request.content_type().eq_ignore_ascii_case(content_type);
    let payload = web::Payload::from_request(request, payload);
    async move {
        if !is_expected {
            return Err(ApiError::UnsupportedMediaType(content_type));
        }
        let broken = |error: actix_web::Error| ApiError::malformed(".", &error.to_string());
        let whole = payload.await.map_err(broken)?.to_bytes_limited(limit);
        actix_web::rt::time::timeout(BODY_TIMEOUT, whole)
            .await
            .map_err(|_| ApiError::TooSlow)?
            .map_err(|_| ApiError::TooLarge(too_large))?
            .map_err(broken)
    }
}

/// Deserialises a field that may be absent: `None` if it is, which keeps its value or default. Null is an error, unless
/// the type of the field accepts it.
pub(crate) fn present<'de, T: Deserialize<'de>, D: Deserializer<'de>>(
    from: D,
) -> Result<Option<T>, D::Error> {
    T::deserialize(from).map(Some)
}

/// Integer in the sense of JSON Schema, which includes `7.0`.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize)]
#[serde(transparent)]
pub(crate) struct Integer(pub(crate) i64);

impl<'de> Deserialize<'de> for Integer {
    fn deserialize<D: Deserializer<'de>>(from: D) -> Result<Self, D::Error> {
        let number = serde_json::Number::deserialize(from)?;
        // Above 2^53, a float stands for several integers.
        let float = || {
            let value = number.as_f64()?;
            (value.fract() == 0.0 && value.abs() < 9_007_199_254_740_992.0).then_some(value as i64)
        };
        let integer = number.as_i64().or_else(float).map(Self);
        integer.ok_or_else(|| D::Error::custom(format!("{number} is not an integer")))
    }
}

#[cfg(test)]
mod tests {
    use serde::Deserialize;

    use super::*;

    #[derive(Debug, Default, PartialEq, Deserialize)]
    #[serde(deny_unknown_fields)]
    struct Patch {
        #[serde(default, deserialize_with = "present")]
        name: Option<String>,
        #[serde(default, deserialize_with = "present")]
        note: Option<Option<String>>,
        #[serde(default)]
        tags: Vec<String>,
    }

    fn fields_of(error: &ApiError) -> Vec<String> {
        match error {
            ApiError::Invalid(fields) | ApiError::Malformed { fields, .. } => {
                fields.keys().cloned().collect()
            }
            _ => panic!("{error}"),
        }
    }

    #[test]
    fn absent_null_and_given_are_three_things() {
        let parse = |text: &str| json::<Patch>(text.as_bytes()).unwrap();
        assert_eq!(parse("{}"), Patch::default());
        assert_eq!(parse(r#"{"note":null}"#).note, Some(None));
        assert_eq!(parse(r#"{"note":"x"}"#).note, Some(Some("x".to_owned())));
        assert_eq!(
            fields_of(&json::<Patch>(br#"{"name":null}"#).unwrap_err()),
            ["name"]
        );
    }

    #[test]
    fn an_invalid_body_is_reported_with_the_path_of_the_field() {
        for (text, field) in [
            (r#"{"name":1}"#, "name"),
            (r#"{"nme":"x"}"#, "nme"),
            (r#"{"tags":["a",2]}"#, "tags[1]"),
            (r#"{"tags":{}}"#, "tags"),
        ] {
            assert_eq!(
                fields_of(&json::<Patch>(text.as_bytes()).unwrap_err()),
                [field],
                "{text}"
            );
        }
        assert_eq!(
            fields_of(&json::<Patch>(br#"{"name":"a\u0000b"}"#).unwrap_err()),
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
    fn an_integer_may_be_written_with_a_decimal_point() {
        #[derive(Debug, Deserialize)]
        struct Days {
            days: Integer,
        }
        let parse = |text: &str| {
            json::<Days>(format!("{{\"days\":{text}}}").as_bytes())
                .map(|body| body.days.0)
                .ok()
        };
        for (text, number) in [("7", 7), ("7.0", 7), ("-7", -7), ("7e2", 700), ("0.0", 0)] {
            assert_eq!(parse(text), Some(number), "{text}");
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
            assert_eq!(parse(text), None, "{text}");
        }
    }

    #[test]
    fn an_invalid_parameter_is_reported_by_name() {
        #[derive(Debug, Deserialize)]
        #[serde(deny_unknown_fields)]
        #[expect(dead_code, reason = "only deserialised")]
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
            assert_eq!(
                fields_of(&params::<Query>(query).unwrap_err()),
                [field],
                "{query}"
            );
        }
    }
}
