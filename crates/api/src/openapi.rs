//! The description of the API in OpenAPI 3.1: the paths as their handlers declare them, and by rule what all of them
//! have in common. Kept in `crates/api/openapi.json`, so that a change of the API is seen as one.

use actix_web::web::Json;
use serde::Deserialize;
use utoipa::openapi::path::{Operation, Parameter, ParameterIn};
use utoipa::openapi::security::{HttpAuthScheme, HttpBuilder, SecurityRequirement, SecurityScheme};
use utoipa::openapi::{
    Content, Header, InfoBuilder, LicenseBuilder, ObjectBuilder, OpenApi, PathItem, Ref, RefOr, Response,
    ResponseBuilder, Schema, Server, schema::Type,
};
use utoipa::{IntoParams, OpenApi as _, PartialSchema, ToSchema};

use crate::error::ErrorBody;
use crate::once;
use crate::routes::{BASE, Paths};

const SCHEME: &str = "bearer";

const DESCRIPTION: &str = "\
Everything that people do in the dashboard, for programs, over the same functions.

**Signing in.** Make an API key in the dashboard and send it as `Authorization: Bearer clk_key_…`. A key never does more \
than its maker may, and of that only its scopes. Where the key must not go, send a token made from it (`POST /tokens`).

**Errors** have one shape: a `code` that does not change, a `message` for people, `fields` with what is wrong with each, \
and the `request_id`. A thing of another network is answered like one that does not exist.

**Lists** come in pages: while `next` is not null, send it as `after`.

**Repeating.** A POST that creates something takes an `Idempotency-Key`: sent again with the same key within 24 hours, it \
is answered as the first time (with `Idempotent-Replayed: true`) and creates nothing more. What is shown only once (the \
text of a key, the link of an invitation) is not kept, and null in a repeated answer. A refusal is not kept.

**Limits.** 600 calls per minute, which a network's own people share; a person of an advertiser or affiliate has as many alone. `RateLimit` says what is left. Bodies may have 64 KiB, imports 2 MiB.";

/// Makes the call once, however often it arrives.
#[derive(Deserialize, IntoParams)]
#[into_params(parameter_in = Header)]
#[expect(dead_code, reason = "read by once::Once; this is its description")]
pub(crate) struct IdempotencyKey {
    /// A name for this call of your choice: visible ASCII, unique for 24 hours.
    #[serde(rename = "Idempotency-Key")]
    #[param(value_type = String, min_length = 1, max_length = 200, pattern = "^[!-~]+$", required = false)]
    key: Option<String>,
}

/// Changes only what the caller has seen.
#[derive(Deserialize, IntoParams)]
#[into_params(parameter_in = Header)]
#[expect(dead_code, reason = "read by condition::Condition; this is its description")]
pub(crate) struct IfMatch {
    /// The `ETag` of the version to change.
    #[serde(rename = "If-Match")]
    #[param(value_type = String, required = false, example = "\"3\"")]
    tag: Option<String>,
}

/// The description
///
/// This document. Public.
#[utoipa::path(get, path = "/openapi.json", tag = "You", security(()), responses((status = 200, body = Object)))]
pub(crate) async fn show() -> Json<OpenApi> {
    Json(openapi())
}

/// The description of the API.
#[must_use]
pub fn openapi() -> OpenApi {
    let mut document = Paths::openapi();
    document.info = InfoBuilder::new()
        .title("Clickledger")
        .version("1")
        .description(Some(DESCRIPTION))
        .license(Some(
            LicenseBuilder::new()
                .name("MIT OR Apache-2.0")
                .identifier(Some("MIT OR Apache-2.0"))
                .build(),
        ))
        .build();
    document.servers = Some(vec![Server::new(BASE)]);
    document.security = Some(vec![SecurityRequirement::new(SCHEME, Vec::<String>::new())]);
    let components = document.components.get_or_insert_default();
    let bearer = HttpBuilder::new()
        .scheme(HttpAuthScheme::Bearer)
        .description(Some("An API key, or a token made from one."))
        .build();
    components
        .security_schemes
        .insert(SCHEME.to_owned(), SecurityScheme::Http(bearer).into());
    let mut schemas = vec![("ErrorBody".to_owned(), ErrorBody::schema())];
    ErrorBody::schemas(&mut schemas);
    components.schemas.extend(schemas);
    for (name, description) in HEADERS {
        components
            .headers
            .insert(name.to_owned(), header(description).into());
    }
    for (_, status, description) in refusals(&Traits::default()) {
        components
            .responses
            .insert(status.to_owned(), refusal(status, description).into());
    }
    for (path, item) in &mut document.paths.paths {
        for (method, operation) in operations(item) {
            operation.operation_id = Some(name(method, path));
            complete(operation, method, path);
        }
    }
    document
}

fn operations(item: &mut PathItem) -> impl Iterator<Item = (&'static str, &mut Operation)> {
    [
        ("get", &mut item.get),
        ("post", &mut item.post),
        ("patch", &mut item.patch),
        ("delete", &mut item.delete),
    ]
    .into_iter()
    .filter_map(|(method, operation)| Some((method, operation.as_mut()?)))
}

/// `get_affiliate_groups_id` for `GET /affiliate-groups/{id}`: what generated clients call their functions.
fn name(method: &str, path: &str) -> String {
    let words = path
        .split(|c: char| !c.is_ascii_alphanumeric())
        .filter(|word| !word.is_empty());
    std::iter::once(method).chain(words).collect::<Vec<_>>().join("_")
}

/// What decides which refusals an operation may meet.
#[derive(Default)]
struct Traits {
    public: bool,
    names_one: bool,
    query: bool,
    body: bool,
    creates: bool,
    conditional: bool,
    conflicts: bool,
}

impl Traits {
    fn of(operation: &Operation, method: &str, path: &str) -> Self {
        let takes = |wanted: &dyn Fn(&Parameter) -> bool| {
            let mut parameters = operation.parameters.iter().flatten();
            parameters.any(|it| matches!(it, RefOr::T(parameter) if wanted(parameter)))
        };
        let body = operation.request_body.is_some();
        let creates = takes(&|it| it.name == once::KEY);
        Self {
            public: operation.security.is_some(),
            names_one: path.contains('{'),
            query: takes(&|it| it.parameter_in == ParameterIn::Query),
            body,
            creates,
            conditional: takes(&|it| it.name == "If-Match"),
            conflicts: method != "get" || path.ends_with("/export"),
        }
    }
}

/// The table of refusals: whether an operation of these traits may meet it, its status, and what it means.
fn refusals(it: &Traits) -> [(bool, &'static str, &'static str); 12] {
    [
        (
            it.body,
            "400",
            "The body cannot be read: malformed JSON, an unknown field, a wrong type.",
        ),
        (!it.public, "401", "No key or token, or one that does not work."),
        (
            !it.public,
            "403",
            "Not with this role or key; or the network demands a second factor.",
        ),
        (
            it.names_one,
            "404",
            "There is no such thing, or it is another network's.",
        ),
        (it.body, "408", "The body did not arrive in time."),
        (
            it.conflicts,
            "409",
            "It makes no sense now, or a limit of the network is reached.",
        ),
        (it.conditional, "412", "Somebody else changed it."),
        (it.body, "413", "The body is too large."),
        (it.body, "415", "The body is of another kind."),
        (
            it.query || it.creates || it.body,
            "422",
            "Fields, parameters or headers that cannot be accepted.",
        ),
        (
            !it.public,
            "429",
            "Too many calls, or too many wrong keys from this address.",
        ),
        (!it.public, "503", "Too much is asked at once."),
    ]
}

/// The headers of answers.
const HEADERS: [(&str, &str); 4] = [
    ("X-Request-Id", "Names this request; in the body of an error too."),
    ("RateLimit-Policy", "How many calls in which time, in seconds."),
    ("RateLimit", "How many are left, and for how many seconds."),
    (
        "Idempotent-Replayed",
        "`true` where this answers a repeated call.",
    ),
];

/// Adds what a handler does not declare: the refusals, and the headers of every answer.
fn complete(operation: &mut Operation, method: &str, path: &str) {
    let traits = Traits::of(operation, method, path);
    for (status, response) in &mut operation.responses.responses {
        let RefOr::T(response) = response else { continue };
        response.description = match status.as_str() {
            "201" => "It was created.",
            "204" => "It was done.",
            _ => "What was asked for, as it is now.",
        }
        .to_owned();
        for (name, _) in HEADERS {
            let sent = match name {
                "X-Request-Id" => true,
                "Idempotent-Replayed" => traits.creates,
                _ => !traits.public,
            };
            if sent {
                let header = Ref::new(format!("#/components/headers/{name}"));
                response.headers.insert(name.to_owned(), RefOr::Ref(header));
            }
        }
    }
    for (_, status, _) in refusals(&traits).into_iter().filter(|(met, ..)| *met) {
        let refusal = Ref::new(format!("#/components/responses/{status}"));
        operation
            .responses
            .responses
            .insert(status.to_owned(), RefOr::Ref(refusal));
    }
}

fn refusal(status: &str, description: &str) -> Response {
    let body = Content::new(Some(RefOr::<Schema>::Ref(Ref::from_schema_name("ErrorBody"))));
    let mut response = ResponseBuilder::new()
        .description(description)
        .content("application/json", body)
        .build();
    let own = match status {
        "401" => Some(("WWW-Authenticate", "`Bearer`.")),
        "429" | "503" => Some(("Retry-After", "In seconds.")),
        _ => None,
    };
    if let Some((name, description)) = own {
        response
            .headers
            .insert(name.to_owned(), header(description).into());
    }
    let id = Ref::new("#/components/headers/X-Request-Id");
    response.headers.insert("X-Request-Id".to_owned(), RefOr::Ref(id));
    response
}

fn header(description: &str) -> Header {
    let mut header = Header::new(ObjectBuilder::new().schema_type(Type::String).build());
    header.description = Some(description.to_owned());
    header
}

#[cfg(test)]
mod tests {
    use std::collections::BTreeSet;
    use std::path::Path;

    use serde_json::Value;

    use super::*;
    use crate::ROUTES;

    fn document() -> Value {
        serde_json::to_value(openapi()).unwrap()
    }

    #[test]
    fn every_route_is_described_and_nothing_else() {
        let document = document();
        let described: BTreeSet<(String, String)> = document["paths"]
            .as_object()
            .unwrap()
            .iter()
            .flat_map(|(path, item)| {
                let methods = item.as_object().unwrap().keys();
                methods.map(move |method| (method.to_uppercase(), format!("{BASE}{path}")))
            })
            .collect();
        let routes: BTreeSet<(String, String)> = ROUTES
            .iter()
            .map(|(method, path)| ((*method).to_owned(), (*path).to_owned()))
            .collect();
        assert_eq!(described, routes);
        assert_eq!(routes.len(), ROUTES.len());
    }

    #[test]
    fn every_reference_leads_somewhere() {
        let document = document();
        let text = document.to_string();
        let mut found = 0;
        for part in text.split("\"$ref\":\"#").skip(1) {
            let pointer = part.split('"').next().unwrap();
            assert!(document.pointer(pointer).is_some(), "{pointer}");
            found += 1;
        }
        assert!(found > 50, "{found}");
    }

    #[test]
    fn every_operation_has_its_own_name() {
        let document = document();
        let mut names = BTreeSet::new();
        for item in document["paths"].as_object().unwrap().values() {
            for operation in item.as_object().unwrap().values() {
                let name = operation["operationId"].as_str().unwrap().to_owned();
                assert!(names.insert(name.clone()), "{name}");
            }
        }
    }

    #[test]
    fn the_description_is_the_one_that_is_checked_in() {
        let path = Path::new(env!("CARGO_MANIFEST_DIR")).join("openapi.json");
        let now = serde_json::to_string_pretty(&openapi()).unwrap() + "\n";
        if std::env::var_os("CLICKLEDGER_BLESS").is_some() {
            std::fs::write(&path, &now).unwrap();
        }
        let kept = std::fs::read_to_string(&path).unwrap_or_default();
        assert!(
            kept == now,
            "the API changed. If it should: CLICKLEDGER_BLESS=1 cargo nextest run -p api"
        );
    }
}
