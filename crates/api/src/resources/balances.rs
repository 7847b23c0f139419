//! `/balances`: earnings of an affiliate, or debts of an advertiser, as of any moment.

use actix_web::web::{Data, Json};
use chrono::{DateTime, Utc};
use conversions::ledger::{self, Party};
use schema::{AdvertiserId, AffiliateId, clock};
use serde::{Deserialize, Serialize};
use tenancy::{Permission, needs};
use utoipa::{IntoParams, ToSchema};

use super::Answer;
use crate::auth::Allowed;
use crate::error::ApiError;
use crate::extract::Params;
use crate::page::word;
use crate::schemas;
use crate::state::Api;

/// Party and moment of balances.
#[derive(Deserialize, IntoParams)]
#[serde(deny_unknown_fields)]
#[into_params(parameter_in = Query)]
pub(crate) struct BalanceParams {
    /// Affiliate. Affiliates may omit it.
    #[param(value_type = schemas::AffiliateId, inline, required = false)]
    affiliate: Option<String>,
    /// Advertiser. Advertisers may omit it.
    #[param(value_type = schemas::AdvertiserId, inline, required = false)]
    advertiser: Option<String>,
    /// Moment: everything that was booked until then; now by default.
    #[param(value_type = DateTime<Utc>, required = false)]
    at: Option<DateTime<Utc>>,
}

/// Balances of a party.
#[derive(Serialize, ToSchema)]
pub(crate) struct Balances {
    /// Moment of the balances.
    at: DateTime<Utc>,
    /// True if they cannot change any more, because the moment is more than five minutes ago.
    is_final: bool,
    /// Balances, one per currency.
    items: Vec<Balance>,
}

/// Balance in one currency: commission of an affiliate, or revenue that an advertiser owes.
#[derive(Serialize, ToSchema)]
pub(crate) struct Balance {
    /// Sum that waits for approval.
    #[schema(value_type = schemas::Text)]
    pending: String,
    /// Sum that is approved.
    #[schema(value_type = schemas::Text)]
    payable: String,
}

/// Get balances
///
/// The sum of the ledger entries of one affiliate or advertiser that were booked until a moment, per currency. Entries are
/// never changed, so the balances of a past moment stay the same: `is_final`.
#[utoipa::path(get, path = "/balances", tag = "Conversions", params(BalanceParams), responses((status = 200, body = Balances)))]
pub(crate) async fn show(
    access: Allowed<needs::SeeConversions>,
    api: Data<Api>,
    Params(params): Params<BalanceParams>,
) -> Answer<Balances> {
    let affiliate: Option<AffiliateId> = word("affiliate", params.affiliate.as_deref())?;
    let advertiser: Option<AdvertiserId> = word("advertiser", params.advertiser.as_deref())?;
    let scope = access.scope();
    let party = match (affiliate.or(scope.affiliate), advertiser.or(scope.advertiser)) {
        (Some(id), None) => Party::Affiliate(id),
        (None, Some(id)) => Party::Advertiser(id),
        _ => {
            let message = "Send exactly one of affiliate and advertiser.";
            return Err(ApiError::field("affiliate", message));
        }
    };
    let mut conn = access.network(&api.db).await?;
    let (is_own, permission) = match party {
        Party::Affiliate(id) => (
            scope.advertiser.is_none() && scope.includes_affiliate(&mut conn, id).await?,
            Permission::SeeCommission,
        ),
        Party::Advertiser(id) => (
            scope.affiliate.is_none() && scope.manager.is_none() && scope.includes_advertiser(id),
            Permission::SeeRevenue,
        ),
    };
    if !is_own || !access.may(permission) {
        return Err(ApiError::NotFound);
    }
    let at = params.at.unwrap_or_else(clock::now);
    let balances = ledger::balances(&mut conn, party, at).await?;
    conn.commit().await?;
    let items = balances.into_iter().map(|balance| {
        let currency = balance.currency;
        let money = |micros| format!("{} {currency}", currency.decimal(micros));
        Balance {
            pending: money(balance.pending_micros),
            payable: money(balance.payable_micros),
        }
    });
    Ok(Json(Balances {
        at,
        is_final: at + ledger::BOOKING_TIME < clock::now(),
        items: items.collect(),
    }))
}
