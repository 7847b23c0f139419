//! Everything that may be set on one campaign: its form, and beside it what `campaign_parts` adds and removes.

use actix_web::http::StatusCode;
use actix_web::{HttpRequest, HttpResponse, web};
use askama::Template;
use campaigns::audience::DEVICES;
use campaigns::campaigns::{self as campaign_table, Access, Campaign, CampaignSettings, CampaignStatus};
use campaigns::caps::{self, CapPeriod, Metric};
use campaigns::coupons;
use campaigns::destination::macro_names;
use campaigns::landing_pages;
use campaigns::promoters;
use schema::{AffiliateId, NetworkConn, Words, clock};
use tenancy::networks::{self, Network};
use tenancy::{ChangeError, Draft, FieldErrors, affiliates, needs};

use super::campaign::find;
use crate::auth::Allowed;
use crate::error::PageError;
use crate::forms::{Choice, PostedForm};
use crate::shell::{PageResult, Shell, page_with, saved};
use crate::{Dashboard, urls};

/// Most coupons the page shows.
const COUPONS: i64 = 500;

/// `GET /campaigns/{id}/settings`
pub(super) async fn show(
    request: HttpRequest,
    dashboard: web::Data<Dashboard>,
    actor: Allowed<needs::Configure>,
    path: web::Path<String>,
) -> PageResult {
    let mut conn = actor.network(&dashboard.db).await?;
    let campaign = find(&mut conn, &actor, &path).await?;
    let network = networks::current(&mut conn).await?;
    let forms = Forms {
        settings: campaign.settings().draft(network.time_zone()),
        ..Forms::default()
    };
    render(&request, &dashboard, &actor, conn, campaign, network, forms).await
}

/// `POST /campaigns/{id}/settings`
pub(super) async fn update(
    request: HttpRequest,
    dashboard: web::Data<Dashboard>,
    actor: Allowed<needs::Configure>,
    path: web::Path<String>,
    form: PostedForm,
) -> PageResult {
    let mut conn = actor.network(&dashboard.db).await?;
    let campaign = find(&mut conn, &actor, &path).await?;
    let network = networks::current(&mut conn).await?;
    let mut settings = form.draft("", &CampaignSettings::FIELDS);
    settings.set("devices", form.all("devices").join(","));
    if let Some(checked) = campaign.settings().changed(&mut settings, network.time_zone()) {
        let author = actor.author();
        let changed = conn.attempt(async |conn| {
            campaign_table::update(conn, &author, campaign.id, &checked, clock::now()).await
        });
        match changed.await {
            Ok(_) => {
                conn.commit().await?;
                return saved(&urls::campaign_settings(campaign.id));
            }
            Err(error) => settings.errors = fields(error)?,
        }
    }
    let forms = Forms {
        settings,
        ..Forms::default()
    };
    render(&request, &dashboard, &actor, conn, campaign, network, forms).await
}

/// What is wrong with which fields, or the error that is none of theirs.
pub(crate) fn fields(error: ChangeError) -> Result<FieldErrors, PageError> {
    match error {
        ChangeError::Fields(errors) => Ok(errors),
        ChangeError::Limit(message) => {
            let mut errors = FieldErrors::default();
            errors.add("name", message);
            Ok(errors)
        }
        other => Err(other.into()),
    }
}

/// The forms of the page, as typed.
#[derive(Default)]
pub(crate) struct Forms {
    pub(crate) settings: Draft,
    pub(crate) page: Draft,
    pub(crate) cap: Draft,
    pub(crate) coupon: Draft,
}

pub(crate) async fn render(
    request: &HttpRequest,
    dashboard: &Dashboard,
    actor: &Allowed<needs::Configure>,
    mut conn: NetworkConn,
    campaign: Campaign,
    network: Network,
    forms: Forms,
) -> Result<HttpResponse, PageError> {
    let pages = landing_pages::of_campaign(&mut conn, campaign.id).await?;
    let caps = caps::of_campaign(&mut conn, campaign.id).await?;
    let coupons = coupons::of_campaign(&mut conn, campaign.id, COUPONS).await?;
    let promoters = promoters::of_campaign(&mut conn, campaign.id).await?;
    let known = affiliates::all(&mut conn).await?;
    conn.commit().await?;
    let name_of = |id: AffiliateId| {
        let found = known.iter().find(|affiliate| affiliate.id == id);
        found.map_or_else(|| id.to_string(), |affiliate| affiliate.name.clone())
    };
    let choices = |chosen: &str, none: &str| {
        let none = std::iter::once((String::new(), none.to_owned()));
        let all = known.iter().map(|it| (it.id.to_string(), it.name.clone()));
        Choice::list(none.chain(all), chosen)
    };
    let wrong = [&forms.settings, &forms.page, &forms.cap, &forms.coupon]
        .iter()
        .any(|form| !form.errors.is_empty());
    let status = match wrong {
        true => StatusCode::UNPROCESSABLE_ENTITY,
        false => StatusCode::OK,
    };
    let title = format!("Settings of {}", campaign.name);
    let ticked = Words::typed(forms.settings.of("devices")).0;
    page_with(
        status,
        &Show {
            shell: Shell::new(dashboard, request, actor, &network, "Campaigns", &title),
            campaign: urls::campaign(campaign.id),
            name: campaign.name.clone(),
            statuses: words(CampaignStatus::ALL, forms.settings.of("status")),
            accesses: words(Access::ALL, forms.settings.of("access")),
            devices: DEVICES
                .map(|device| (device, ticked.iter().any(|it| it == device)))
                .to_vec(),
            macros: macro_names(),
            currency: campaign.currency.code(),
            time_zone: network.time_zone().name().to_owned(),
            pages: pages
                .into_iter()
                .map(|page| (page.id.to_string(), page.name, page.url, page.weight))
                .collect(),
            caps: caps
                .into_iter()
                .map(|cap| {
                    let whose = cap
                        .affiliate_id
                        .map_or_else(|| "everybody together".to_owned(), name_of);
                    (cap.id.to_string(), cap.in_words(campaign.currency), whose)
                })
                .collect(),
            coupons: coupons
                .into_iter()
                .map(|(coupon, name)| (coupon.code, name))
                .collect(),
            promoters: promoters
                .into_iter()
                .map(|(it, name)| (it.affiliate_id.to_string(), name, it.status.as_str(), it.note))
                .collect(),
            metrics: words(Metric::ALL, forms.cap.of("metric")),
            periods: words(CapPeriod::ALL, forms.cap.of("period")),
            cap_affiliates: choices(forms.cap.of("affiliate"), "Everybody together"),
            coupon_affiliates: choices(forms.coupon.of("affiliate"), "Choose"),
            all_affiliates: choices("", "Choose"),
            forms,
        },
    )
}

/// The words of a closed set, to choose from.
pub(crate) fn words<T: Copy + std::fmt::Display>(all: &[T], chosen: &str) -> Vec<Choice> {
    Choice::list(
        all.iter().map(|word| (word.to_string(), word.to_string())),
        chosen,
    )
}

#[derive(Template)]
#[template(path = "campaigns/settings/show.html")]
struct Show {
    shell: Shell,
    campaign: String,
    name: String,
    statuses: Vec<Choice>,
    accesses: Vec<Choice>,
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
