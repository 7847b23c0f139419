//! Static files, embedded in the binary, with a hash of their content in the URL, so that browsers may cache them
//! permanently.

use std::fmt::Write as _;
use std::sync::LazyLock;

use actix_web::http::header::{CACHE_CONTROL, CONTENT_TYPE};
use actix_web::{HttpResponse, web};
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

async fn serve(path: web::Path<(String, String)>) -> Result<HttpResponse, PageError> {
    let (version, file) = path.into_inner();
    let content = Files::get(&file).ok_or(PageError::NotFound)?;
    let cache_control = if version == *VERSION {
        "public, max-age=31536000, immutable"
    } else {
        "no-cache"
    };
    Ok(HttpResponse::Ok()
        .insert_header((
            CONTENT_TYPE,
            mime_guess::from_path(&file).first_or_octet_stream().as_ref(),
        ))
        .insert_header((CACHE_CONTROL, cache_control))
        .body(content.data.into_owned()))
}
