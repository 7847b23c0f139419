//! Search: redirects from an id or order ID to its page; from an order without a conversion, to its postbacks.

use actix_web::web;
use conversions::ConversionFilter;
use postbacks::PostbackFilter;
use schema::{AdvertiserId, AffiliateId, CampaignId, ConversionId, NetworkConn, PostbackId};
use serde::Deserialize;
use tenancy::{Actor, Permission, needs};

use crate::error::PageError;
use crate::page::Page;
use crate::shell::{PageResult, see_other};
use crate::urls;

#[derive(Debug, Deserialize)]
pub(super) struct Search {
    #[serde(default)]
    q: String,
}

/// `GET /search?q=…`
pub(super) async fn go(mut page: Page<needs::SignIn>, search: web::Query<Search>) -> PageResult {
    let text = search.q.trim();
    if page.click_id(text).is_some() {
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
    let sees_conversions = page.actor.may(Permission::SeeConversions);
    if let (Ok(id), true) = (text.parse::<ConversionId>(), sees_conversions) {
        let filter = ConversionFilter {
            scope: page.actor.scope(),
            id: Some(id),
            ..ConversionFilter::default()
        };
        let found = conversions::list(&mut page.conn, &filter, 1).await?;
        let frame = page.commit().await?;
        let click = found.first().and_then(|named| named.conversion.click_id);
        return see_other(&click.map_or_else(|| urls::order(text), |key| frame.click_url(key)));
    }
    if has_postbacks_only(&mut page.conn, &page.actor, text).await? {
        see_other(&urls::postbacks_of_order(text))
    } else {
        see_other(&urls::order(text))
    }
}

/// True if an order has no conversion that the actor may see, but postbacks that were not accepted.
async fn has_postbacks_only(
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
        scope: actor.scope(),
        order_id: order_id.clone(),
        ..ConversionFilter::default()
    };
    if !conversions::list(conn, &of_order, 1).await?.is_empty() {
        return Ok(false);
    }
    let of_order = PostbackFilter {
        scope: actor.scope(),
        order_id,
        ..PostbackFilter::default()
    };
    Ok(!postbacks::list(conn, &of_order, 1).await?.is_empty())
}
