//! One click and all that came of it: click → postbacks → conversions → ledger.

use actix_web::{HttpRequest, web};
use askama::Template;
use schema::clock;
use tenancy::{Permission, needs, networks};
use tracking::clicks::{self, ClickDetail};
use tracking::conversions::{self, ConversionFilter};
use tracking::ledger;
use tracking::postbacks::{self, PostbackFilter};

use super::conversions::ConversionRow;
use crate::auth::Allowed;
use crate::error::PageError;
use crate::pages::postbacks::postback::PostbackRow;
use crate::shell::{PageResult, Shell, TimeCell, page};
use crate::{Dashboard, format, urls};

/// Most postbacks and conversions of one click that are shown.
const LIMIT: i64 = 100;

/// `GET /clicks/{click_id}`
pub(super) async fn show(
    request: HttpRequest,
    dashboard: web::Data<Dashboard>,
    actor: Allowed<needs::SeeConversions>,
    path: web::Path<String>,
) -> PageResult {
    let (scope, now) = (actor.role.scope(), clock::now());
    let mut conn = actor.network(&dashboard.db).await?;
    let network = networks::current(&mut conn).await?;
    let click_id = dashboard
        .click_ids
        .read(&path, network.id, network.click_key)
        .map_err(|_| PageError::NotFound)?;
    let click = clicks::find(&mut conn, scope, click_id.key)
        .await?
        .ok_or(PageError::NotFound)?;
    let filter = PostbackFilter {
        scope,
        click: Some(click_id.key),
        ..PostbackFilter::default()
    };
    let received = postbacks::list(&mut conn, &filter, LIMIT).await?;
    let filter = ConversionFilter {
        scope,
        click: Some(click_id.key),
        ..ConversionFilter::default()
    };
    let converted = conversions::list(&mut conn, &filter, LIMIT).await?;
    let entries = ledger::of_click(&mut conn, scope, click_id.key).await?;
    conn.commit().await?;

    let sees_clicks = actor.may(Permission::SeeClicks);
    page(&Show {
        shell: Shell::new(&dashboard, &request, &actor, &network, "", "Click"),
        click_id: path.into_inner(),
        time: TimeCell::new(click.clicked_at, now, &network),
        campaign_url: urls::campaign(click.campaign_id),
        facts: if sees_clicks { facts(&click) } else { Vec::new() },
        postbacks: received
            .into_iter()
            .map(|(it, advertiser)| PostbackRow::new(it, advertiser, now, &network))
            .collect(),
        conversions: converted
            .into_iter()
            .map(|it| ConversionRow::new(it, &dashboard, &actor, &network, now))
            .collect(),
        entries: entries
            .into_iter()
            .map(|entry| LedgerRow {
                time: TimeCell::new(entry.booked_at, now, &network),
                account: entry.account.as_str(),
                kind: entry.kind.as_str(),
                conversion: format::short_id(&entry.conversion_id.to_string()),
                amount: format::money(entry.amount()),
            })
            .collect(),
        sees_postbacks: actor.may(Permission::SeePostbacks),
        sees_commission: actor.may(Permission::SeeCommission),
        sees_revenue: actor.may(Permission::SeeRevenue),
        click,
    })
}

/// What the visit brought with it; what it did not bring says so.
fn facts(click: &ClickDetail) -> Vec<(&'static str, String)> {
    let (sub1, sub2, sub3, sub4, sub5) = click.subs.clone();
    let subs = [
        ("sub1", sub1),
        ("sub2", sub2),
        ("sub3", sub3),
        ("sub4", sub4),
        ("sub5", sub5),
    ];
    let visitor = [
        (
            "Visitor's network",
            click.ip_prefix.map(|prefix| prefix.to_string()),
        ),
        ("Country", click.country.clone()),
        ("Autonomous system", click.asn.map(|asn| format!("AS{asn}"))),
        ("Device", Some(click.device.clone())),
        ("System", click.os.clone()),
        ("Browser", click.browser.clone()),
        (
            "First of the day",
            Some(if click.is_unique { "yes" } else { "no" }.to_owned()),
        ),
        (
            "Not valid because",
            click.flag.map(|flag| flag.meaning().to_owned()),
        ),
        ("Came from", click.referrer.clone()),
    ];
    subs.into_iter()
        .chain(visitor)
        .map(|(name, value)| (name, value.unwrap_or_else(|| "—".to_owned())))
        .collect()
}

struct LedgerRow {
    time: TimeCell,
    account: &'static str,
    kind: &'static str,
    conversion: String,
    amount: String,
}

#[derive(Template)]
#[template(path = "figures/clicks/show.html")]
struct Show {
    shell: Shell,
    click_id: String,
    time: TimeCell,
    campaign_url: String,
    facts: Vec<(&'static str, String)>,
    postbacks: Vec<PostbackRow>,
    conversions: Vec<ConversionRow>,
    entries: Vec<LedgerRow>,
    sees_postbacks: bool,
    sees_commission: bool,
    sees_revenue: bool,
    click: ClickDetail,
}
