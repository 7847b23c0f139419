//! The pages: a folder per audience, a module per page, its templates in the folder of the same name, and a table of
//! routes per folder.

mod account;
mod campaigns;
mod figures;
mod integration;
mod network;
mod ops;
mod postbacks;

use actix_web::web::{self, ServiceConfig};

use crate::error::PageError;

/// Pages without sign-in.
pub(crate) fn public(config: &mut ServiceConfig) {
    account::public(config);
    figures::public(config);
    postbacks::public(config);
    ops::public(config);
}

/// Pages of the signed-in person, whatever network they work for.
pub(crate) fn of_person(config: &mut ServiceConfig) {
    account::of_person(config);
}

/// Pages of operators.
pub(crate) fn of_operator(config: &mut ServiceConfig) {
    ops::of_operator(config);
}

/// Pages of a network, and the answer for every other address. Each handler's signature names the permission it needs.
pub(crate) fn of_member(config: &mut ServiceConfig) {
    figures::of_member(config);
    postbacks::of_member(config);
    campaigns::of_member(config);
    integration::of_member(config);
    network::of_member(config);
    config.default_service(web::to(not_found));
}

/// Method and path of every page.
pub(crate) fn routes() -> Vec<(&'static str, &'static str)> {
    [
        account::PUBLIC,
        figures::PUBLIC,
        postbacks::PUBLIC,
        ops::PUBLIC,
        account::OF_PERSON,
        ops::OF_OPERATOR,
        figures::OF_MEMBER,
        postbacks::OF_MEMBER,
        campaigns::OF_MEMBER,
        integration::OF_MEMBER,
        network::OF_MEMBER,
    ]
    .concat()
}

async fn not_found() -> Result<actix_web::HttpResponse, PageError> {
    Err(PageError::NotFound)
}

/// Id of a path or a filter. An id that does not parse is answered like one that does not exist.
fn id<T: std::str::FromStr>(text: &str) -> Result<T, PageError> {
    text.parse().map_err(|_| PageError::NotFound)
}
