//! OpenAPI 3.1 document of the API: the paths as their handlers declare them, and by rule what all of them have in
//! common. `crates/api/openapi.json` is a copy under version control, so that every change of the API shows in a diff.

use utoipa::openapi::path::{Operation, Parameter, ParameterIn};
use utoipa::openapi::security::{HttpAuthScheme, HttpBuilder, SecurityRequirement, SecurityScheme};
use utoipa::openapi::{
    Content, Header, InfoBuilder, LicenseBuilder, ObjectBuilder, OpenApi, PathItem, Ref, RefOr, Response,
    ResponseBuilder, Schema, Server, schema::Type,
};
use utoipa::{PartialSchema, ToSchema};

use crate::error::ErrorBody;
use crate::idempotency;

const SCHEME: &str = "bearer";

const DESCRIPTION: &str = "\
The functions of the dashboard, for programs.

**Authentication.** Create an API key in the dashboard and send it as `Authorization: Bearer clk_key_…`. A key has the \
permissions of the member who created it, limited to its scopes. Where the key must not be exposed, send a short-lived \
token created from it (`POST /tokens`).

**Errors** have one shape: a stable `code`, a `message` for people, `fields` with a message for each invalid field, \
parameter or header, and the `request_id`. An object of another network is reported as not found.

**Pagination.** To get the next page of a list, send `next` of the current page as `after`. On the last page `next` is \
null.

**Idempotency.** A POST request that creates something accepts an `Idempotency-Key`. Repeated with the same key within \
24 hours, it has no further effect and returns the first response, with `Idempotent-Replayed: true`. Values that are \
shown only once (the secret of a key, the link of an invitation) are not stored: they are null in a replayed response. \
Error responses are not stored.

**Rate limit.** 600 requests per minute, shared by the staff of a network; each member of an advertiser or affiliate \
has a separate limit of the same size. `RateLimit` returns the remaining requests.

**Body size.** At most 64 KiB, and 2 MiB for imports.";

/// Completes the document of the declared paths, which are below `base`.
pub(crate) fn complete(mut document: OpenApi, base: &str) -> OpenApi {
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
    document.servers = Some(vec![Server::new(base)]);
    document.security = Some(vec![SecurityRequirement::new(SCHEME, Vec::<String>::new())]);
    let components = document.components.get_or_insert_default();
    let bearer = HttpBuilder::new()
        .scheme(HttpAuthScheme::Bearer)
        .description(Some("An API key, or a token created from one."))
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
    for (_, status, description) in errors(&Traits::default()) {
        components
            .responses
            .insert(status.to_owned(), error_response(status, description).into());
    }
    for (path, item) in &mut document.paths.paths {
        for (method, operation) in operations(item) {
            operation.operation_id = Some(name(method, path));
            complete_operation(operation, method, path);
        }
    }
    document
}

fn operations(item: &mut PathItem) -> impl Iterator<Item = (&'static str, &mut Operation)> {
    [
        ("get", &mut item.get),
        ("post", &mut item.post),
        ("put", &mut item.put),
        ("patch", &mut item.patch),
        ("delete", &mut item.delete),
    ]
    .into_iter()
    .filter_map(|(method, operation)| Some((method, operation.as_mut()?)))
}

/// Operation ID, which generated clients use as the name of a function: `get_affiliate_groups_id` for
/// `GET /affiliate-groups/{id}`.
fn name(method: &str, path: &str) -> String {
    let words = path
        .split(|c: char| !c.is_ascii_alphanumeric())
        .filter(|word| !word.is_empty());
    std::iter::once(method).chain(words).collect::<Vec<_>>().join("_")
}

/// Traits of an operation that decide which errors it may return.
#[derive(Default)]
struct Traits {
    public: bool,
    has_id: bool,
    query: bool,
    body: bool,
    creates: bool,
    conditional: bool,
    conflicts: bool,
    follows: bool,
}

impl Traits {
    fn of(operation: &Operation, method: &str, path: &str) -> Self {
        let takes = |wanted: &dyn Fn(&Parameter) -> bool| {
            let mut parameters = operation.parameters.iter().flatten();
            parameters.any(|parameter| matches!(parameter, RefOr::T(parameter) if wanted(parameter)))
        };
        let body = operation.request_body.is_some();
        let creates = takes(&|parameter| parameter.name == idempotency::HEADER);
        Self {
            public: operation.security.is_some(),
            has_id: path.contains('{'),
            query: takes(&|parameter| parameter.parameter_in == ParameterIn::Query),
            body,
            creates,
            conditional: takes(&|parameter| parameter.name == "If-Match"),
            conflicts: method != "get" || path.ends_with("/export") || path == "/events",
            follows: path == "/events" || (method == "put" && path.starts_with("/event-consumers")),
        }
    }
}

/// Table of the errors: true if an operation with these traits may return it, its status and its description.
fn errors(traits: &Traits) -> [(bool, &'static str, &'static str); 13] {
    [
        (
            traits.body,
            "400",
            "The body cannot be parsed: malformed JSON, an unknown field, or a wrong type.",
        ),
        (!traits.public, "401", "No API key or token, or an invalid one."),
        (
            !traits.public,
            "403",
            "Insufficient role or scope, or the network requires two-factor authentication.",
        ),
        (traits.has_id, "404", "Not found, or in another network."),
        (traits.body, "408", "The body did not arrive in time."),
        (
            traits.conflicts,
            "409",
            "Conflicts with the current state, or a limit of the network is reached.",
        ),
        (
            traits.follows,
            "410",
            "Events behind the cursor were removed because of their age, or the database was restored since.",
        ),
        (
            traits.conditional,
            "412",
            "Changed since the version in `If-Match`.",
        ),
        (traits.body, "413", "The body is too large."),
        (traits.body, "415", "Unsupported content type."),
        (
            traits.query || traits.creates || traits.body,
            "422",
            "Invalid fields, parameters or headers.",
        ),
        (
            !traits.public,
            "429",
            "Rate limit exceeded, or too many invalid keys from this address.",
        ),
        (
            !traits.public,
            "503",
            "Overloaded. Retry after the time in `Retry-After`.",
        ),
    ]
}

/// Headers of responses.
const HEADERS: [(&str, &str); 4] = [
    ("X-Request-Id", "ID of the request; error bodies repeat it."),
    (
        "RateLimit-Policy",
        "Requests per window (`q`), and its length in seconds (`w`).",
    ),
    (
        "RateLimit",
        "Remaining requests (`r`), and seconds until the window ends (`t`).",
    ),
    (
        "Idempotent-Replayed",
        "`true` for the stored response to an earlier request.",
    ),
];

/// Adds what a handler does not declare: the errors, and the headers of every response.
fn complete_operation(operation: &mut Operation, method: &str, path: &str) {
    let traits = Traits::of(operation, method, path);
    for (status, response) in &mut operation.responses.responses {
        let RefOr::T(response) = response else { continue };
        response.description = match (status.as_str(), method) {
            ("201", _) => "Created.",
            ("204", _) => "Done; the response has no body.",
            (_, "get") => "The requested resource.",
            (_, "patch" | "put") => "The updated resource.",
            _ => "The result.",
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
    for (_, status, _) in errors(&traits).into_iter().filter(|(may_occur, ..)| *may_occur) {
        let error = Ref::new(format!("#/components/responses/{status}"));
        operation
            .responses
            .responses
            .insert(status.to_owned(), RefOr::Ref(error));
    }
}

fn error_response(status: &str, description: &str) -> Response {
    let body = Content::new(Some(RefOr::<Schema>::Ref(Ref::from_schema_name("ErrorBody"))));
    let mut response = ResponseBuilder::new()
        .description(description)
        .content("application/json", body)
        .build();
    let specific = match status {
        "401" => Some(("WWW-Authenticate", "`Bearer`.")),
        "429" | "503" => Some(("Retry-After", "Time to wait, in seconds.")),
        _ => None,
    };
    if let Some((name, description)) = specific {
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
