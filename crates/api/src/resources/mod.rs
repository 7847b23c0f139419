//! Endpoints: one module per resource, with its views, bodies and handlers.

pub(crate) mod advertisers;
pub(crate) mod affiliates;
pub(crate) mod alerts;
pub(crate) mod applications;
pub(crate) mod audit;
pub(crate) mod balances;
pub(crate) mod campaign_integrations;
pub(crate) mod campaigns;
pub(crate) mod caps;
pub(crate) mod clicks;
pub(crate) mod conversions;
pub(crate) mod corrections;
pub(crate) mod coupons;
pub(crate) mod deliveries;
pub(crate) mod destinations;
pub(crate) mod entering;
pub(crate) mod events;
pub(crate) mod exchange_rates;
pub(crate) mod feed;
pub(crate) mod goals;
pub(crate) mod going_live;
pub(crate) mod groups;
pub(crate) mod impersonations;
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
pub(crate) mod quick_start;
pub(crate) mod replays;
pub(crate) mod report_files;
pub(crate) mod report_links;
pub(crate) mod report_mails;
pub(crate) mod reports;
pub(crate) mod rules;
pub(crate) mod saved_reports;
pub(crate) mod sheets;
pub(crate) mod test_orders;
pub(crate) mod tokens;
pub(crate) mod tracking_hosts;
pub(crate) mod url_templates;

use ::campaigns::campaigns::{self as campaign_table, Campaign};
use actix_web::{HttpResponse, web};
use schema::NetworkConn;
use serde::Deserialize;
use tenancy::{ChangeError, Scope};
use utoipa::IntoParams;

use crate::error::ApiError;
use crate::schemas;

/// JSON response, or an error.
pub(crate) type Answer<T> = Result<web::Json<T>, ApiError>;

/// Response without a body.
pub(crate) fn no_content() -> Result<HttpResponse, ApiError> {
    Ok(HttpResponse::NoContent().finish())
}

/// Parameters of a list that can be limited to one campaign.
#[derive(Deserialize, IntoParams)]
#[serde(deny_unknown_fields)]
#[into_params(parameter_in = Query)]
pub(crate) struct OfCampaign {
    /// Only objects of this campaign.
    #[param(value_type = schemas::CampaignId, inline, required = false)]
    campaign: Option<String>,
    /// Maximum number of items of the page; 50 by default.
    #[param(value_type = i64, minimum = 1, maximum = 200, required = false)]
    limit: Option<i64>,
    /// Cursor: `next` of the previous page.
    #[param(value_type = schemas::Cursor, inline, required = false)]
    after: Option<String>,
}

/// Campaign that a body refers to. A campaign outside the scope of the caller is unknown.
async fn campaign(conn: &mut NetworkConn, scope: Scope, reference: &str) -> Result<Campaign, ApiError> {
    let absent = || ChangeError::field("campaign", "Unknown campaign.");
    let known = campaign_table::known_as(conn, reference.trim()).await?;
    let known = known.ok_or_else(absent)?;
    let visible = campaign_table::visible(conn, scope, Some(known.id)).await?.pop();
    let (campaign, _) = visible.ok_or_else(absent)?;
    Ok(campaign)
}
