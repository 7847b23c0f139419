//! Settings of a campaign: its form, and the lists that `parts` adds to and removes from.

use actix_web::web;
use askama::Template;
use campaigns::audience::DEVICES;
use campaigns::campaigns::{self as campaign_table, Access, Campaign, CampaignSettings, CampaignStatus};
use campaigns::caps::{self, CapPeriod, Metric};
use campaigns::coupons;
use campaigns::destination::macro_names;
use campaigns::landing_pages;
use campaigns::promoters;
use schema::{AffiliateId, Words};
use tenancy::{Draft, affiliates, needs};

use super::campaign::find;
use crate::forms::{Card, Choice, cards, choices, field_errors, status_of};
use crate::page::{Page, Submitted};
use crate::shell::{PageResult, Shell, html_with, saved};
use crate::{labels, urls};

/// Maximum number of coupon codes on the page.
const COUPONS: i64 = 500;

/// `GET /campaigns/{id}/settings`
pub(super) async fn show(mut page: Page<needs::Configure>, path: web::Path<String>) -> PageResult {
    let campaign = find(&mut page.conn, &page.actor, &path).await?;
    let forms = Forms {
        settings: campaign.settings().draft(page.network.time_zone()),
        ..Forms::default()
    };
    render(page, campaign, forms).await
}

/// `POST /campaigns/{id}/settings`
pub(super) async fn update(
    Submitted(mut page, form): Submitted<needs::Configure>,
    path: web::Path<String>,
) -> PageResult {
    let campaign = find(&mut page.conn, &page.actor, &path).await?;
    let mut settings = form.draft("", &CampaignSettings::FIELDS);
    settings.set("devices", form.all("devices").join(","));
    if let Some(checked) = campaign
        .settings()
        .changed(&mut settings, page.network.time_zone())
    {
        let author = page.actor.author();
        let changed = page.conn.attempt(async |conn| {
            campaign_table::update(conn, &author, campaign.id, &checked, page.now).await
        });
        match changed.await {
            Ok(_) => {
                page.commit().await?;
                return saved(&urls::campaign_settings(campaign.id));
            }
            Err(error) => settings.errors = field_errors(error)?,
        }
    }
    let forms = Forms {
        settings,
        ..Forms::default()
    };
    render(page, campaign, forms).await
}

/// Drafts of the page's forms.
#[derive(Default)]
pub(super) struct Forms {
    pub(super) settings: Draft,
    pub(super) page: Draft,
    pub(super) cap: Draft,
    pub(super) coupon: Draft,
}

/// Shows the settings with these drafts.
pub(super) async fn render(mut page: Page<needs::Configure>, campaign: Campaign, forms: Forms) -> PageResult {
    let pages = landing_pages::of_campaign(&mut page.conn, campaign.id).await?;
    let caps = caps::of_campaign(&mut page.conn, campaign.id).await?;
    let coupons = coupons::of_campaign(&mut page.conn, campaign.id, COUPONS).await?;
    let promoters = promoters::of_campaign(&mut page.conn, campaign.id).await?;
    let known = affiliates::all(&mut page.conn, tenancy::Scope::default()).await?;
    let frame = page.commit().await?;
    let name_of = |id: AffiliateId| {
        let found = known.iter().find(|affiliate| affiliate.id == id);
        found.map_or_else(|| id.to_string(), |affiliate| affiliate.name.clone())
    };
    let affiliate_choices = |chosen: &str, none: &str| {
        let none = std::iter::once((String::new(), none.to_owned()));
        let all = known
            .iter()
            .map(|affiliate| (affiliate.id.to_string(), affiliate.name.clone()));
        Choice::list(none.chain(all), chosen)
    };
    let status = status_of(&[&forms.settings, &forms.page, &forms.cap, &forms.coupon]);
    let title = format!("Settings of {}", campaign.name);
    let ticked = Words::typed(forms.settings.of("devices")).0;
    html_with(
        status,
        &Show {
            shell: frame.shell("Campaigns", &title),
            campaign: urls::campaign(campaign.id),
            statuses: cards(
                CampaignStatus::ALL,
                labels::campaign_status,
                forms.settings.of("status"),
            ),
            accesses: cards(Access::ALL, labels::access, forms.settings.of("access")),
            devices: DEVICES
                .map(|device| (device, ticked.iter().any(|ticked| ticked == device)))
                .to_vec(),
            macros: macro_names(),
            currency: campaign.currency.code(),
            time_zone: frame.network.time_zone().name().to_owned(),
            pages: pages
                .into_iter()
                .map(|page| (page.id.to_string(), page.name, page.url, page.weight))
                .collect(),
            caps: caps
                .into_iter()
                .map(|cap| {
                    let affiliate = cap
                        .affiliate_id
                        .map_or_else(|| "all affiliates together".to_owned(), name_of);
                    (cap.id.to_string(), cap.in_words(campaign.currency), affiliate)
                })
                .collect(),
            coupons: coupons
                .into_iter()
                .map(|(coupon, name)| (coupon.code, name))
                .collect(),
            promoters: promoters
                .into_iter()
                .map(|(promoter, name)| {
                    (
                        promoter.affiliate_id.to_string(),
                        name,
                        promoter.status.as_str(),
                        promoter.note,
                    )
                })
                .collect(),
            metrics: choices(Metric::ALL, labels::cap_metric, forms.cap.of("metric")),
            periods: choices(CapPeriod::ALL, labels::cap_period, forms.cap.of("period")),
            cap_affiliates: affiliate_choices(forms.cap.of("affiliate"), "All affiliates together"),
            coupon_affiliates: affiliate_choices(forms.coupon.of("affiliate"), "Choose"),
            all_affiliates: affiliate_choices("", "Choose"),
            forms,
        },
    )
}

#[derive(Template)]
#[template(path = "campaigns/settings/show.html")]
struct Show {
    shell: Shell,
    campaign: String,
    statuses: Vec<Card>,
    accesses: Vec<Card>,
    devices: Vec<(&'static str, bool)>,
    macros: String,
    currency: &'static str,
    time_zone: String,
    pages: Vec<(String, String, String, i32)>,
    caps: Vec<(String, String, String)>,
    coupons: Vec<(String, String)>,
    promoters: Vec<(String, String, &'static str, String)>,
    metrics: Vec<Choice>,
    periods: Vec<Choice>,
    cap_affiliates: Vec<Choice>,
    coupon_affiliates: Vec<Choice>,
    all_affiliates: Vec<Choice>,
    forms: Forms,
}
