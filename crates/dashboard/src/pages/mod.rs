//! The pages, one module each.

mod campaigns;
mod clicks;
mod conversions;
mod docs;
mod home;
mod postbacks;
mod reports;
mod search;
mod sign_in;
mod start;
mod theme;

use actix_web::web::{self, ServiceConfig, get, post};

use crate::error::PageError;

/// Pages that anyone may see.
pub(crate) fn configure_public(config: &mut ServiceConfig) {
    config
        .route("/sign-in", get().to(sign_in::show))
        .route("/sign-in", post().to(sign_in::submit))
        .route("/theme", post().to(theme::choose))
        .route("/docs/postback", get().to(docs::postback));
}

/// Pages behind sign-in.
pub(crate) fn configure_signed_in(config: &mut ServiceConfig) {
    config
        .route("/", get().to(home::show))
        .route("/sign-out", post().to(sign_in::sign_out))
        .route("/search", get().to(search::go))
        .route("/start", get().to(start::show))
        .route("/start", post().to(start::submit))
        .route("/reports", get().to(reports::show))
        .route("/reports.csv", get().to(reports::csv))
        .route("/conversions", get().to(conversions::list))
        .route("/conversions/{id}", post().to(conversions::settle))
        .route("/postbacks", get().to(postbacks::list))
        .route("/postbacks/{id}", get().to(postbacks::show))
        .route("/clicks/{click_id}", get().to(clicks::show))
        .route("/campaigns", get().to(campaigns::list))
        .route("/campaigns/{id}", get().to(campaigns::show))
        .route("/campaigns/{id}", post().to(campaigns::update))
        .route("/campaigns/{id}/links", post().to(campaigns::new_link))
        .route("/campaigns/{id}/token", post().to(campaigns::new_token))
        .default_service(web::to(nowhere));
}

async fn nowhere() -> Result<actix_web::HttpResponse, PageError> {
    Err(PageError::NotFound)
}

/// An id in a path or a filter; one that does not parse is as absent as one that does not exist.
fn id<T: std::str::FromStr>(text: &str) -> Result<T, PageError> {
    text.parse().map_err(|_| PageError::NotFound)
}
