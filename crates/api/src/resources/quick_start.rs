//! `/quick-start`: one request that creates a campaign ready for its tests, with advertiser, goal, test link and token.

use actix_web::HttpResponse;
use actix_web::web::Data;
use campaigns::quick_start::{self, QuickStart};
use schema::{CampaignId, LinkId, clock};
use serde::{Deserialize, Serialize};
use serde_json::{Value, json};
use tenancy::{Draft, needs, networks};
use utoipa::ToSchema;

use crate::auth::Allowed;
use crate::error::ApiError;
use crate::extract::{Body, Integer, present};
use crate::fields::{Word, set};
use crate::idempotency::{Created, IdempotencyKey};
use crate::schemas;
use crate::state::Api;

/// A campaign to create, with everything it needs.
#[derive(Deserialize, ToSchema)]
#[serde(deny_unknown_fields)]
#[schema(example = json!({
    "advertiser": "Nova Shoes", "destination": "https://shop.example/?id={click_id}", "kind": "sale",
    "commission": "10 %", "revenue": "15 %"
}))]
pub(crate) struct NewQuickStart {
    /// Name of the advertiser, which is created if it does not exist.
    #[schema(value_type = schemas::Name)]
    advertiser: String,
    /// Name of the campaign, shown to affiliates; the advertiser with the goal by default.
    #[serde(default, deserialize_with = "present")]
    #[schema(value_type = schemas::Name, required = false)]
    name: Option<Word>,
    /// URL to which clicks are redirected.
    #[schema(value_type = schemas::Url)]
    destination: String,
    /// Goal of the campaign; `sale` by default.
    #[serde(default, deserialize_with = "present")]
    #[schema(value_type = schemas::FirstGoal, required = false)]
    kind: Option<Word>,
    /// Commission of the affiliate.
    #[schema(value_type = schemas::Pay)]
    commission: String,
    /// Amount that the advertiser owes.
    #[schema(value_type = schemas::Pay)]
    revenue: String,
    /// Currency of fixed amounts, and of postbacks without a currency; the network's by default.
    #[serde(default, deserialize_with = "present")]
    #[schema(value_type = schemas::Currency, required = false)]
    currency: Option<Word>,
    /// Attribution window: days from click to conversion, 1 to 3650; 30 by default.
    #[serde(default, deserialize_with = "present")]
    #[schema(value_type = i64, required = false)]
    attribution_days: Option<Integer>,
}

impl NewQuickStart {
    /// The draft with the fields of the body.
    fn over(&self, mut draft: Draft) -> Draft {
        set(&mut draft, "advertiser", &self.advertiser);
        set(&mut draft, "destination", &self.destination);
        set(&mut draft, "commission", &self.commission);
        set(&mut draft, "revenue", &self.revenue);
        if let Some(name) = &self.name {
            set(&mut draft, "name", name);
        }
        if let Some(kind) = &self.kind {
            set(&mut draft, "kind", kind);
        }
        if let Some(currency) = &self.currency {
            set(&mut draft, "currency", currency);
        }
        if let Some(days) = &self.attribution_days {
            set(&mut draft, "attribution_days", days);
        }
        draft
    }
}

/// A campaign that is ready for its tests.
#[derive(Serialize, ToSchema)]
pub(crate) struct QuickStarted {
    #[schema(value_type = schemas::CampaignId)]
    campaign: CampaignId,
    /// Test link: its clicks and orders are tests, in no figure.
    #[schema(value_type = schemas::LinkId)]
    link: LinkId,
    /// URL of the link.
    #[schema(value_type = schemas::Url)]
    link_url: String,
    /// Postback token of the advertiser, shown only once; null if the advertiser has one, and in a replayed response.
    #[schema(required, value_type = Option<schemas::Text>)]
    token: Option<String>,
}

impl Created for QuickStarted {
    fn stored(&self) -> Value {
        let mut stored = json!(self);
        if let Some(token) = stored.get_mut("token") {
            *token = Value::Null;
        }
        stored
    }
}

/// Create a campaign with everything it needs
///
/// Creates the campaign in testing with one goal, a test link and, if they do not exist, the advertiser, an affiliate and
/// a postback token. `POST /campaigns/{id}/go-live` makes it count.
#[utoipa::path(post, path = "/quick-start", tag = "Campaigns", params(IdempotencyKey), request_body = NewQuickStart, responses((status = 201, body = QuickStarted)))]
pub(crate) async fn create(
    access: Allowed<needs::Configure>,
    api: Data<Api>,
    key: IdempotencyKey,
    body: Body<NewQuickStart>,
) -> Result<HttpResponse, ApiError> {
    let outcome = key.execute(&api, &access, &body.bytes, async |conn| {
        let base = api.tracking_url(conn).await?;
        let network = networks::current(conn).await?;
        let mut draft = body.value.over(QuickStart::blank(&network));
        let start = QuickStart::check(&mut draft);
        let start = draft.accepted(start)?;
        let created = quick_start::create(conn, &access.author(), &start, clock::now()).await?;
        Ok(QuickStarted {
            campaign: created.campaign_id,
            link: created.link.id,
            link_url: format!("{base}/{}", created.link.alias),
            token: created.token.map(|token| token.as_str().to_owned()),
        })
    });
    Ok(outcome.await?.response())
}
