//! Everything that may be set on one campaign: its form, and beside it what `campaign_parts` adds and removes.

use actix_web::http::StatusCode;
use actix_web::{HttpRequest, HttpResponse, web};
use askama::Template;
use campaigns::audience::{self, Audience, DEVICES};
use campaigns::campaigns::{
    self as campaign_table, Access, Campaign, CampaignSettings, CampaignStatus, Offer, Schedule, Sending,
};
use campaigns::caps::{self, CapPeriod, Metric};
use campaigns::coupons;
use campaigns::destination::{self, macro_names};
use campaigns::landing_pages;
use campaigns::promoters;
use campaigns::{Destination, DestinationError};
use chrono::{DateTime, NaiveDate, Utc};
use chrono_tz::Tz;
use schema::{AffiliateId, NetworkConn, Words, clock};
use tenancy::networks::{self, Network};
use tenancy::{ChangeError, FieldErrors, affiliates, check_name, needs};

use super::campaigns::{check_window, find};
use crate::auth::Allowed;
use crate::error::PageError;
use crate::forms::{Choice, PostedForm, Typed};
use crate::shell::{PageResult, Shell, page_with, saved};
use crate::{Dashboard, urls};

/// Most coupons the page shows.
const COUPONS: i64 = 500;

/// The form's fields, as the page names them.
const FIELDS: [&str; 19] = [
    "name",
    "status",
    "external_id",
    "destination",
    "destination_weight",
    "click_parameter",
    "extra_parameters",
    "deep_link_hosts",
    "fallback_url",
    "starts_on",
    "ends_on",
    "window",
    "min_seconds",
    "countries",
    "devices",
    "access",
    "categories",
    "terms",
    "notes",
];

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
        settings: typed(&campaign, network.time_zone()),
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
    let mut settings = Typed::of_form(&form, &FIELDS);
    let checked = check(&mut settings, &form, network.time_zone());
    let pages = landing_pages::of_campaign(&mut conn, campaign.id).await?;
    let broken = checked.as_ref().and_then(|checked| {
        let mut pages = pages.iter();
        pages.find(|page| Destination::completed(&page.url, &checked.sending).is_err())
    });
    if let Some(page) = broken {
        let message = format!(
            "With this, the landing page “{}” would not work any more.",
            page.name
        );
        settings.errors.add("click_parameter", message);
    } else if let Some(checked) = checked {
        let author = actor.author();
        match campaign_table::update(&mut conn, &author, campaign.id, &checked, clock::now()).await {
            Ok(_) => {
                conn.commit().await?;
                return saved(&urls::campaign_settings(campaign.id));
            }
            Err(error) => {
                settings.errors = fields(error)?;
                // The failed statement ended the transaction: start over for the page, with one connection.
                drop(conn);
                conn = actor.network(&dashboard.db).await?;
            }
        }
    }
    let forms = Forms {
        settings,
        ..Forms::default()
    };
    render(&request, &dashboard, &actor, conn, campaign, network, forms).await
}

/// What is wrong with which fields, or the error that is none of theirs.
pub(super) fn fields(error: ChangeError) -> Result<FieldErrors, PageError> {
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

/// A campaign's settings as its form shows them.
pub(super) fn typed(campaign: &Campaign, zone: Tz) -> Typed {
    let optional = |text: &Option<String>| text.clone().unwrap_or_default();
    let day = |at: Option<DateTime<Utc>>| {
        at.map_or_else(String::new, |at| at.with_timezone(&zone).date_naive().to_string())
    };
    // The last day is the one before the moment it ends at.
    let last_day = |at: Option<DateTime<Utc>>| day(at.map(|at| at - chrono::TimeDelta::seconds(1)));
    Typed::with([
        ("name", campaign.name.clone()),
        ("status", campaign.status.to_string()),
        ("external_id", optional(&campaign.external_id)),
        ("destination", campaign.destination.clone()),
        (
            "destination_weight",
            campaign.sending.destination_weight.to_string(),
        ),
        ("click_parameter", optional(&campaign.sending.click_parameter)),
        ("extra_parameters", campaign.sending.extra_parameters.clone()),
        ("deep_link_hosts", campaign.sending.deep_link_hosts.0.join(" ")),
        ("fallback_url", optional(&campaign.sending.fallback_url)),
        ("starts_on", day(campaign.schedule.starts_at)),
        ("ends_on", last_day(campaign.schedule.ends_at)),
        ("window", campaign.attribution_days.to_string()),
        ("min_seconds", campaign.attribution_min_seconds.to_string()),
        ("countries", campaign.audience.countries.0.join(" ")),
        ("devices", campaign.audience.devices.0.join(" ")),
        ("access", campaign.offer.access.to_string()),
        ("categories", campaign.offer.categories.on_one_line()),
        ("terms", campaign.offer.terms.clone()),
        ("notes", campaign.offer.notes.clone()),
    ])
}

/// The settings that were typed, if all can be accepted.
fn check(typed: &mut Typed, form: &PostedForm, zone: Tz) -> Option<CampaignSettings> {
    let devices = form.all("devices");
    typed.set("devices", devices.join(" "));
    let name = typed.take("name", check_name);
    let status = typed.take("status", str::parse::<CampaignStatus>);
    let external_id = typed.take("external_id", check_external_id);
    let weight = typed.take("destination_weight", check_weight);
    let click_parameter = typed.take("click_parameter", destination::check_click_parameter);
    let extra_parameters = typed.take("extra_parameters", destination::check_parameters);
    let deep_link_hosts = typed.take("deep_link_hosts", destination::check_hosts);
    let fallback_url = typed.take("fallback_url", destination::check_address);
    let starts_at = typed.take("starts_on", |text| check_day(text, zone, 0));
    let ends_at = typed.take("ends_on", |text| check_day(text, zone, 1));
    let window = typed.take("window", check_window);
    let min_seconds = typed.take("min_seconds", check_seconds);
    let countries = typed.take("countries", audience::check_countries);
    let devices = typed.errors.take("devices", audience::check_devices(&devices));
    let access = typed.take("access", str::parse::<Access>);
    let terms = typed.take("terms", check_text);
    let notes = typed.take("notes", check_text);
    let categories = Words::typed(typed.of("categories"));
    if let (Some(Some(starts)), Some(Some(ends))) = (starts_at, ends_at)
        && ends <= starts
    {
        typed
            .errors
            .add("ends_on", "The last day must not be before the first.");
        return None;
    }
    let sending = Sending {
        click_parameter: click_parameter?,
        extra_parameters: extra_parameters?,
        destination_weight: weight?,
        deep_link_hosts: deep_link_hosts?,
        fallback_url: fallback_url?,
    };
    let destination: Option<String> = typed.take("destination", |text| {
        Destination::completed(text, &sending)?;
        Ok::<_, DestinationError>(text.to_owned())
    });
    Some(CampaignSettings {
        name: name?,
        status: status?,
        external_id: external_id?,
        destination: destination?,
        attribution_days: window?,
        attribution_min_seconds: min_seconds?,
        sending,
        schedule: Schedule {
            starts_at: starts_at?,
            ends_at: ends_at?,
        },
        audience: Audience {
            countries: countries?,
            devices: devices?,
        },
        offer: Offer {
            access: access?,
            categories,
            terms: terms?,
            notes: notes?,
        },
    })
}

/// What another system calls something, as typed; empty for nothing.
pub(super) fn check_external_id(text: &str) -> Result<Option<String>, &'static str> {
    match text {
        "" => Ok(None),
        _ if text.chars().count() > 120 || text.contains(char::is_control) => {
            Err("Use at most 120 characters, and no control characters.")
        }
        _ => Ok(Some(text.to_owned())),
    }
}

pub(super) fn check_weight(text: &str) -> Result<i32, &'static str> {
    text.parse()
        .ok()
        .filter(|weight| (0..=1000).contains(weight))
        .ok_or("Enter a whole number from 0 to 1000.")
}

fn check_seconds(text: &str) -> Result<i32, &'static str> {
    match text {
        "" => Ok(0),
        _ => text
            .parse()
            .ok()
            .filter(|seconds| (0..=86_400).contains(seconds))
            .ok_or("Enter a whole number of seconds from 0 to 86400."),
    }
}

/// The beginning of a day on the network's clock, so many days later; none where none was typed.
fn check_day(text: &str, zone: Tz, later: u64) -> Result<Option<DateTime<Utc>>, &'static str> {
    if text.is_empty() {
        return Ok(None);
    }
    let day: Option<NaiveDate> = text.parse().ok();
    day.and_then(|day| day.checked_add_days(chrono::Days::new(later)))
        .map(|day| Some(clock::start_of_day(day, zone)))
        .ok_or("Enter a day such as 2026-12-24.")
}

fn check_text(text: &str) -> Result<String, &'static str> {
    match text.chars().count() {
        ..=20_000 => Ok(text.to_owned()),
        _ => Err("Use at most 20,000 characters."),
    }
}

/// The forms of the page, as typed.
#[derive(Default)]
pub(super) struct Forms {
    pub(super) settings: Typed,
    pub(super) page: Typed,
    pub(super) cap: Typed,
    pub(super) coupon: Typed,
}

pub(super) async fn render(
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
    let ticked: Vec<&str> = forms.settings.of("devices").split(' ').collect();
    page_with(
        status,
        &Show {
            shell: Shell::new(dashboard, request, actor, &network, "Campaigns", &title),
            campaign: urls::campaign(campaign.id),
            name: campaign.name.clone(),
            statuses: words(CampaignStatus::ALL, forms.settings.of("status")),
            accesses: words(Access::ALL, forms.settings.of("access")),
            devices: DEVICES.map(|device| (device, ticked.contains(&device))).to_vec(),
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
            cap_affiliates: choices(forms.cap.of("cap_affiliate"), "Everybody together"),
            coupon_affiliates: choices(forms.coupon.of("coupon_affiliate"), "Choose"),
            all_affiliates: choices("", "Choose"),
            forms,
        },
    )
}

/// The words of a closed set, to choose from.
pub(super) fn words<T: Copy + std::fmt::Display>(all: &[T], chosen: &str) -> Vec<Choice> {
    Choice::list(
        all.iter().map(|word| (word.to_string(), word.to_string())),
        chosen,
    )
}

#[derive(Template)]
#[template(path = "campaigns/settings.html")]
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
