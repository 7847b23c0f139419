//! Click with its postbacks, conversions and ledger entries.

use actix_web::web;
use askama::Template;
use conversions::ConversionFilter;
use conversions::ledger;
use postbacks::PostbackFilter;
use tenancy::{Permission, needs};
use tracking::clicks::{self, ClickDetail};

use super::conversion::LedgerRow;
use super::conversions::ConversionRow;
use crate::error::PageError;
use crate::page::Page;
use crate::pages::postbacks::postback::PostbackRow;
use crate::shell::{PageResult, Shell, TimeCell, html};
use crate::urls;

/// Maximum number of postbacks, and of conversions, on the page.
const LIMIT: i64 = 100;

/// `GET /clicks/{click_id}`
pub(super) async fn show(mut page: Page<needs::SeeConversions>, path: web::Path<String>) -> PageResult {
    let scope = page.actor.scope();
    let click_id = page.click_id(&path).ok_or(PageError::NotFound)?;
    let click = clicks::find(&mut page.conn, scope, click_id.key)
        .await?
        .ok_or(PageError::NotFound)?;
    let filter = PostbackFilter {
        scope,
        click: Some(click_id.key),
        ..PostbackFilter::default()
    };
    let received = postbacks::list(&mut page.conn, &filter, LIMIT).await?;
    let filter = ConversionFilter {
        scope,
        click: Some(click_id.key),
        ..ConversionFilter::default()
    };
    let converted = conversions::list(&mut page.conn, &filter, LIMIT).await?;
    let entries = ledger::of_click(&mut page.conn, scope, click_id.key).await?;
    let frame = page.commit().await?;

    let sees_clicks = frame.actor.may(Permission::SeeClicks);
    html(&Show {
        shell: frame.shell("", "Click"),
        click_id: path.into_inner(),
        time: frame.time(click.clicked_at),
        campaign_url: urls::campaign(click.campaign_id),
        facts: if sees_clicks { facts(&click) } else { Vec::new() },
        postbacks: received
            .into_iter()
            .map(|(postback, advertiser)| PostbackRow::new(postback, advertiser, &frame))
            .collect(),
        conversions: converted
            .into_iter()
            .map(|named| ConversionRow::new(named, &frame))
            .collect(),
        entries: entries
            .into_iter()
            .map(|entry| LedgerRow::new(&entry, &frame))
            .collect(),
        sees_postbacks: frame.actor.may(Permission::SeePostbacks),
        sees_commission: frame.actor.may(Permission::SeeCommission),
        sees_revenue: frame.actor.may(Permission::SeeRevenue),
        click,
    })
}

/// Values recorded with a click. A dash stands for an absent value.
fn facts(click: &ClickDetail) -> Vec<(&'static str, String)> {
    let (sub1, sub2, sub3, sub4, sub5) = click.subs.clone();
    let subs = [
        ("sub1", sub1),
        ("sub2", sub2),
        ("sub3", sub3),
        ("sub4", sub4),
        ("sub5", sub5),
    ];
    let landing_page = match (&click.landing_page, click.landing_page_id) {
        (Some(name), _) => name.clone(),
        (None, Some(id)) => format!("{id}, removed"),
        (None, None) => "the campaign’s destination".to_owned(),
    };
    let visitor = [
        ("Landing page", Some(landing_page)),
        ("IP prefix", click.ip_prefix.map(|prefix| prefix.to_string())),
        ("Country", click.country.clone()),
        ("Autonomous system", click.asn.map(|asn| format!("AS{asn}"))),
        ("Device", Some(click.device.clone())),
        ("System", click.os.clone()),
        ("Browser", click.browser.clone()),
        (
            "Unique of the day",
            Some(if click.is_unique { "yes" } else { "no" }.to_owned()),
        ),
        (
            "Invalid because",
            click.flag.map(|flag| flag.meaning().to_owned()),
        ),
        ("Referrer", click.referrer.clone()),
    ];
    subs.into_iter()
        .chain(visitor)
        .map(|(name, value)| (name, value.unwrap_or_else(|| "—".to_owned())))
        .collect()
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
