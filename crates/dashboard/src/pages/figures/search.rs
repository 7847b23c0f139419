//! Search: any id or order id goes straight to what it names; an order that made no conversion, to the postbacks that tell
//! why.

use actix_web::web;
use schema::{AdvertiserId, AffiliateId, CampaignId, ConversionId, NetworkConn, PostbackId};
use serde::Deserialize;
use tenancy::{Actor, Permission, needs, networks};
use tracking::ClickId;
use tracking::conversions::{self, ConversionFilter};
use tracking::postbacks::{self, PostbackFilter};

use crate::auth::Allowed;
use crate::error::PageError;
use crate::shell::{PageResult, see_other};
use crate::{Dashboard, urls};

#[derive(Debug, Deserialize)]
pub(super) struct Wanted {
    #[serde(default)]
    q: String,
}

/// `GET /search?q=…`
pub(super) async fn go(
    dashboard: web::Data<Dashboard>,
    actor: Allowed<needs::SignIn>,
    wanted: web::Query<Wanted>,
) -> PageResult {
    let text = wanted.q.trim();
    let mut conn = actor.network(&dashboard.db).await?;
    let network = networks::current(&mut conn).await?;
    if dashboard
        .click_ids
        .read(text, network.id, network.click_key)
        .is_ok()
    {
        return see_other(&urls::click(text));
    }
    if let Ok(id) = text.parse::<PostbackId>() {
        return see_other(&urls::postback(id));
    }
    if let Ok(id) = text.parse::<CampaignId>() {
        return see_other(&urls::campaign(id));
    }
    if let Ok(id) = text.parse::<AdvertiserId>() {
        return see_other(&urls::advertiser(id));
    }
    if let Ok(id) = text.parse::<AffiliateId>() {
        return see_other(&urls::affiliate(id));
    }
    let sees_conversions = actor.may(Permission::SeeConversions);
    if let (Ok(id), true) = (text.parse::<ConversionId>(), sees_conversions) {
        let filter = ConversionFilter {
            scope: actor.role.scope(),
            id: Some(id),
            ..ConversionFilter::default()
        };
        let found = conversions::list(&mut conn, &filter, 1).await?;
        conn.commit().await?;
        if let Some(key) = found.first().and_then(|named| named.conversion.click_id) {
            let click = ClickId {
                network_id: network.id,
                key,
            };
            return see_other(&urls::click(&dashboard.click_ids.write(click, network.click_key)));
        }
        return see_other(&urls::order(text));
    }
    match is_only_among_postbacks(&mut conn, &actor, text).await? {
        true => see_other(&urls::postbacks_of_order(text)),
        false => see_other(&urls::order(text)),
    }
}

/// Whether an order is to be looked for among the postbacks: it has no conversion that this person may see, and postbacks
/// that were not accepted.
async fn is_only_among_postbacks(
    conn: &mut NetworkConn,
    actor: &Actor,
    order_id: &str,
) -> Result<bool, PageError> {
    let order_id = Some(order_id.to_owned());
    if !actor.may(Permission::SeePostbacks) {
        return Ok(false);
    }
    if !actor.may(Permission::SeeConversions) {
        return Ok(true);
    }
    let of_order = ConversionFilter {
        scope: actor.role.scope(),
        order_id: order_id.clone(),
        ..ConversionFilter::default()
    };
    if !conversions::list(conn, &of_order, 1).await?.is_empty() {
        return Ok(false);
    }
    let of_order = PostbackFilter {
        scope: actor.role.scope(),
        order_id,
        ..PostbackFilter::default()
    };
    Ok(!postbacks::list(conn, &of_order, 1).await?.is_empty())
}
