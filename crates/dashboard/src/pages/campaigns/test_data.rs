//! Test data: the campaigns that are tested, and the test orders of all campaigns. No report counts them.

use actix_web::web;
use askama::Template;
use campaigns::campaigns::{self as campaign_table, CampaignStatus};
use campaigns::going_live::{self as gate, ListedOrder};
use schema::Money;
use serde::Deserialize;
use tenancy::{Permission, needs};

use super::going_live::section;
use crate::page::{Frame, Page};
use crate::shell::{PageResult, Shell, TimeCell, html};
use crate::{format, listing, urls};

/// Place in the list, from the query string.
#[derive(Debug, Default, Deserialize)]
pub(super) struct Place {
    #[serde(default)]
    before: String,
}

/// `GET /test`
pub(super) async fn list(mut page: Page<needs::SeeIntegration>, place: web::Query<Place>) -> PageResult {
    let scope = page.actor.scope();
    let before = listing::id(&place.before)?;
    let found = gate::latest(&mut page.conn, scope, before, listing::QUERIED).await?;
    let (orders, older) = listing::cut(found, "/test", &[], |order| order.postback_id);
    let campaigns = campaign_table::visible(&mut page.conn, scope, None).await?;
    let frame = page.commit().await?;
    let tested = campaigns
        .into_iter()
        .filter(|(campaign, _)| campaign.status == CampaignStatus::Testing)
        .map(|(campaign, advertiser)| (urls::test(campaign.id), campaign.name, advertiser));
    html(&TestData {
        shell: frame.shell(section(&frame.actor), "Test data").of_tests(),
        tested: tested.collect(),
        rows: orders.into_iter().map(|order| row(order, &frame)).collect(),
        sees_commission: frame.actor.may(Permission::SeeCommission),
        older,
    })
}

fn row<P>(order: ListedOrder, frame: &Frame<P>) -> OrderRow {
    let money = |micros| {
        format::money(Money {
            micros,
            currency: order.currency,
        })
    };
    let may_open = frame.actor.may(Permission::SeePostbacks);
    OrderRow {
        time: frame.time(order.at),
        url: may_open.then(|| urls::postback(order.postback_id)),
        test: urls::test(order.campaign_id),
        campaign: order.campaign,
        goal: order.goal,
        order_id: order.order_id.unwrap_or_else(|| "—".to_owned()),
        amount: order.amount_micros.map_or_else(|| "—".to_owned(), money),
        commission: money(order.commission_micros),
        sender: if order.is_simulated {
            "Simulation"
        } else {
            "Advertiser"
        },
    }
}

struct OrderRow {
    time: TimeCell,
    /// URL of the postback. None for those who do not see postbacks.
    url: Option<String>,
    /// URL of the campaign's test page.
    test: String,
    campaign: String,
    goal: String,
    order_id: String,
    amount: String,
    commission: String,
    sender: &'static str,
}

#[derive(Template)]
#[template(path = "campaigns/test_data/list.html")]
struct TestData {
    shell: Shell,
    /// URL, name and advertiser of each campaign that is tested.
    tested: Vec<(String, String, String)>,
    rows: Vec<OrderRow>,
    sees_commission: bool,
    older: Option<String>,
}
