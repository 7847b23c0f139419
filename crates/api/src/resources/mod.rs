//! The endpoints: one module per kind of thing, each with its views, its bodies and its handlers.

pub(crate) mod advertisers;
pub(crate) mod affiliates;
pub(crate) mod applications;
pub(crate) mod audit;
pub(crate) mod groups;
pub(crate) mod invitations;
pub(crate) mod joining;
pub(crate) mod keys;
pub(crate) mod mail;
pub(crate) mod me;
pub(crate) mod members;
pub(crate) mod network;
mod parties;
pub(crate) mod tokens;

use actix_web::{HttpResponse, web};

use crate::error::ApiError;

/// A thing, or why not.
pub(crate) type Answer<T> = Result<web::Json<T>, ApiError>;

/// Done, and nothing to say about it.
pub(crate) fn done() -> Result<HttpResponse, ApiError> {
    Ok(HttpResponse::NoContent().finish())
}
