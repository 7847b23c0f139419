//! The endpoints: one module per kind of thing, each with its views, its bodies and its handlers.

pub(crate) mod advertisers;
pub(crate) mod affiliates;
pub(crate) mod alerts;
pub(crate) mod applications;
pub(crate) mod audit;
pub(crate) mod campaign_integrations;
pub(crate) mod campaigns;
pub(crate) mod caps;
pub(crate) mod conversions;
pub(crate) mod coupons;
pub(crate) mod goals;
pub(crate) mod groups;
pub(crate) mod integrations;
pub(crate) mod invitations;
pub(crate) mod joining;
pub(crate) mod keys;
pub(crate) mod landing_pages;
pub(crate) mod links;
pub(crate) mod mail;
pub(crate) mod me;
pub(crate) mod members;
pub(crate) mod network;
mod parties;
pub(crate) mod postbacks;
pub(crate) mod promoters;
pub(crate) mod replays;
pub(crate) mod rules;
pub(crate) mod sheets;
pub(crate) mod tokens;
pub(crate) mod url_templates;

use ::campaigns::campaigns::{self as campaign_table, Campaign};
use actix_web::{HttpResponse, web};
use schema::NetworkConn;
use serde::Deserialize;
use tenancy::{ChangeError, Scope};
use utoipa::IntoParams;

use crate::error::ApiError;
use crate::schemas;

/// A thing, or why not.
pub(crate) type Answer<T> = Result<web::Json<T>, ApiError>;

/// Done, and nothing to say about it.
pub(crate) fn done() -> Result<HttpResponse, ApiError> {
    Ok(HttpResponse::NoContent().finish())
}

/// Which part of a list, of one campaign or of all.
#[derive(Deserialize, IntoParams)]
#[serde(deny_unknown_fields)]
#[into_params(parameter_in = Query)]
pub(crate) struct OfCampaign {
    /// Only of this campaign.
    #[param(value_type = schemas::CampaignId, inline, required = false)]
    campaign: Option<String>,
    /// Items of the page: 50 unless said otherwise.
    #[param(value_type = i64, minimum = 1, maximum = 200, required = false)]
    limit: Option<i64>,
    /// What the page before said as `next`.
    #[param(value_type = schemas::Cursor, inline, required = false)]
    after: Option<String>,
}

/// The campaign that a body names; what is not in scope is as absent.
async fn campaign(conn: &mut NetworkConn, scope: Scope, named: &str) -> Result<Campaign, ApiError> {
    let absent = || ChangeError::field("campaign", "Name one of your campaigns.");
    let known = campaign_table::known_as(conn, named.trim()).await?;
    let known = known.ok_or_else(absent)?;
    let visible = campaign_table::visible(conn, scope, Some(known.id)).await?.pop();
    let (campaign, _) = visible.ok_or_else(absent)?;
    Ok(campaign)
}
