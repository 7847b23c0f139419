//! Static files, embedded in the binary, with a hash of their content in the URL, so that browsers may cache them
//! permanently.

use std::fmt::Write as _;
use std::sync::LazyLock;

use actix_web::http::header::{CACHE_CONTROL, CONTENT_TYPE, ETag, EntityTag, Header as _, IfNoneMatch};
use actix_web::{HttpRequest, HttpResponse, web};
use data_encoding::HEXLOWER;
use rust_embed::RustEmbed;

use crate::error::PageError;

#[derive(RustEmbed)]
#[folder = "$CARGO_MANIFEST_DIR/../../static"]
struct Files;

/// Hash of all files. One hash for all keeps the relative URLs inside style sheets valid.
static VERSION: LazyLock<String> = LazyLock::new(|| {
    let mut all = [0_u8; 32];
    for name in Files::iter() {
        if let Some(file) = Files::get(&name) {
            let hash = file.metadata.sha256_hash();
            all.iter_mut()
                .zip(hash)
                .for_each(|(sum, byte)| *sum = sum.rotate_left(1) ^ byte);
        }
    }
    all.iter().take(6).fold(String::new(), |mut text, byte| {
        let _ = write!(text, "{byte:02x}");
        text
    })
});

/// URL of a static file.
pub(crate) fn url(file: &str) -> String {
    format!("/static/{}/{file}", *VERSION)
}

pub(crate) fn configure(config: &mut web::ServiceConfig) {
    config.route("/static/{version}/{file:.*}", web::get().to(serve));
    config.route("/capture.js", web::get().to(capture));
}

/// Script for advertisers' landing pages, at a URL that never changes.
async fn capture() -> Result<HttpResponse, PageError> {
    let script = Files::get("capture.js").ok_or(PageError::NotFound)?;
    Ok(HttpResponse::Ok()
        .insert_header((CONTENT_TYPE, "text/javascript; charset=utf-8"))
        .insert_header((CACHE_CONTROL, "public, max-age=3600"))
        .insert_header(("Cross-Origin-Resource-Policy", "cross-origin"))
        .body(script.data.into_owned()))
}

/// Serves a file; without its content to a browser that has it. Files whose URL has another version, such as those of the
/// page of the API, are asked for at every visit.
async fn serve(path: web::Path<(String, String)>, request: HttpRequest) -> Result<HttpResponse, PageError> {
    let (version, file) = path.into_inner();
    let content = Files::get(&file).ok_or(PageError::NotFound)?;
    let hash = content.metadata.sha256_hash();
    // Weak, because the compressed file has the same tag.
    let tag = EntityTag::new_weak(HEXLOWER.encode(hash.get(..12).unwrap_or_default()));
    let cache_control = if version == *VERSION {
        "public, max-age=31536000, immutable"
    } else {
        "no-cache"
    };
    let is_known = match IfNoneMatch::parse(&request) {
        Ok(IfNoneMatch::Items(tags)) => tags.iter().any(|known| known.weak_eq(&tag)),
        Ok(IfNoneMatch::Any) | Err(_) => false,
    };
    if is_known {
        return Ok(HttpResponse::NotModified()
            .insert_header((CACHE_CONTROL, cache_control))
            .insert_header(ETag(tag))
            .finish());
    }
    Ok(HttpResponse::Ok()
        .insert_header(ETag(tag))
        .insert_header((
            CONTENT_TYPE,
            mime_guess::from_path(&file).first_or_octet_stream().as_ref(),
        ))
        .insert_header((CACHE_CONTROL, cache_control))
        .body(content.data.into_owned()))
}
