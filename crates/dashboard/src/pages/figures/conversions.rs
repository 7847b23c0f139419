//! The list of conversions, and deciding the pending ones.

use actix_web::{HttpRequest, web};
use askama::Template;
use chrono::{DateTime, Utc};
use schema::{ConversionId, Money, clock};
use serde::Deserialize;
use tenancy::networks::{self, Network};
use tenancy::{Actor, Permission, needs};
use tracking::ClickId;
use tracking::conversions::{
    self, Conversion, ConversionFilter, ConversionStatus, NamedConversion, ReviewBecause,
};
use tracking::pricing::Review;

use crate::auth::Allowed;
use crate::error::PageError;
use crate::forms::PostedForm;
use crate::listing::{self, Tab};
use crate::pages::account::sign_in::local;
use crate::pages::id;
use crate::shell::{PageResult, Shell, TimeCell, page, see_other};
use crate::{Dashboard, format, urls};

/// The filters of the list, as its URL has them.
#[derive(Debug, Default, Deserialize)]
pub(crate) struct Filters {
    #[serde(default)]
    status: String,
    #[serde(default)]
    review: String,
    #[serde(default)]
    order: String,
    #[serde(default)]
    before: String,
}

/// `GET /conversions`
pub(super) async fn list(
    request: HttpRequest,
    dashboard: web::Data<Dashboard>,
    actor: Allowed<needs::SeeConversions>,
    filters: web::Query<Filters>,
) -> PageResult {
    let status = listing::word(&filters.status)?;
    let order = listing::text(&filters.order);
    // What the network looks at is for its own people to know.
    let may_review = actor.role.scope().is_whole();
    let in_review = may_review && filters.review == "yes";
    let mut tabs = listing::tabs("/conversions", ConversionStatus::ALL, status);
    if may_review {
        tabs.iter_mut().for_each(|tab| tab.2 &= !in_review);
        tabs.push((
            "In review".to_owned(),
            "/conversions?review=yes".to_owned(),
            in_review,
        ));
    }
    let filter = ConversionFilter {
        scope: actor.role.scope(),
        status,
        in_review,
        order_id: order.clone(),
        before: listing::id(&filters.before)?,
        ..ConversionFilter::default()
    };
    let mut conn = actor.network(&dashboard.db).await?;
    let network = networks::current(&mut conn).await?;
    let found = conversions::list(&mut conn, &filter, listing::ASK).await?;
    conn.commit().await?;

    let kept = [
        ("status", filters.status.as_str()),
        ("review", if in_review { "yes" } else { "" }),
        ("order", filters.order.as_str()),
    ];
    let (found, older) = listing::cut(found, "/conversions", &kept, |row| row.conversion.id);
    let now = clock::now();
    page(&List {
        shell: Shell::new(
            &dashboard,
            &request,
            &actor,
            &network,
            "Conversions",
            "Conversions",
        ),
        tabs,
        postbacks: order
            .as_deref()
            .filter(|_| actor.may(Permission::SeePostbacks))
            .map(urls::postbacks_of_order),
        order,
        rows: found
            .into_iter()
            .map(|it| ConversionRow::new(it, &dashboard, &actor, &network, now))
            .collect(),
        older,
        may_decide: actor.may(Permission::DecideConversions),
        sees_commission: actor.may(Permission::SeeCommission),
        sees_revenue: actor.may(Permission::SeeRevenue),
    })
}

/// `POST /conversions/{id}` with `decision=approve` or `reject`: settles a pending conversion and goes back.
pub(super) async fn settle(
    dashboard: web::Data<Dashboard>,
    actor: Allowed<needs::DecideConversions>,
    path: web::Path<String>,
    form: PostedForm,
) -> PageResult {
    let conversion_id: ConversionId = id(&path)?;
    let approve = match form.get("decision") {
        "approve" => true,
        "reject" => false,
        other => {
            return Err(PageError::BadRequest(format!(
                "decision is “{other}”; send approve or reject."
            )));
        }
    };
    let mut conn = actor.network(&dashboard.db).await?;
    let network = networks::current(&mut conn).await?;
    let settled = conversions::settle(
        &mut conn,
        &actor.author(),
        network.time_zone(),
        conversion_id,
        approve,
        clock::now(),
    )
    .await?;
    if settled.is_none() {
        let filter = ConversionFilter {
            id: Some(conversion_id),
            ..ConversionFilter::default()
        };
        let found = conversions::list(&mut conn, &filter, 1).await?;
        let decided = found.first().ok_or(PageError::NotFound)?;
        let sentence = format!(
            "This conversion is {} already; somebody decided it.",
            decided.conversion.status
        );
        return Err(PageError::BadRequest(sentence));
    }
    conn.commit().await?;
    see_other(local(form.get("here")))
}

/// A row of a table of conversions.
pub(crate) struct ConversionRow {
    pub(crate) time: TimeCell,
    pub(crate) id: String,
    pub(crate) short_id: String,
    pub(crate) status: &'static str,
    pub(crate) review: Option<String>,
    pub(crate) campaign: String,
    pub(crate) goal: String,
    pub(crate) affiliate: String,
    pub(crate) order_id: String,
    pub(crate) amount: String,
    pub(crate) commission: String,
    pub(crate) revenue: String,
    pub(crate) click: Option<String>,
    pub(crate) attributed_by: &'static str,
    pub(crate) settle: Option<String>,
    pub(crate) named: String,
}

impl ConversionRow {
    pub(crate) fn new(
        named: NamedConversion,
        dashboard: &Dashboard,
        actor: &Actor,
        network: &Network,
        now: DateTime<Utc>,
    ) -> Self {
        let NamedConversion {
            conversion,
            affiliate,
            campaign,
            goal,
        } = named;
        let id = conversion.id.to_string();
        let click = conversion.click_id.map(|key| {
            let id = ClickId {
                network_id: network.id,
                key,
            };
            urls::click(&dashboard.click_ids.write(id, network.click_key))
        });
        let pending = conversion.status == ConversionStatus::Pending;
        Self {
            time: TimeCell::new(conversion.converted_at, now, network),
            short_id: format::short_id(&id),
            id,
            status: conversion.status.as_str(),
            review: conversion
                .review_because
                .filter(|_| actor.role.scope().is_whole())
                .map(|because| review(because, &conversion)),
            campaign,
            goal,
            affiliate,
            amount: conversion.amount().map_or("—".to_owned(), format::money),
            commission: format::money(conversion.commission()),
            revenue: format::money(conversion.revenue()),
            click,
            attributed_by: conversion.attributed_by.as_str(),
            settle: (pending && actor.may(Permission::DecideConversions))
                .then(|| urls::settle(conversion.id)),
            named: conversion
                .order_id
                .clone()
                .unwrap_or_else(|| format::short_id(&conversion.id.to_string())),
            order_id: conversion.order_id.unwrap_or_else(|| "—".to_owned()),
        }
    }
}

/// Why somebody must look at a conversion, in words.
fn review(because: ReviewBecause, conversion: &Conversion) -> String {
    match (because, conversion.pricing().review) {
        (ReviewBecause::Amount, Some(Review::Above(micros))) => {
            let currency = conversion.currency;
            format!("To look at: above {}", format::money(Money { micros, currency }))
        }
        (ReviewBecause::Amount, _) => "To look at: above the goal’s limit".to_owned(),
        (ReviewBecause::Currency, _) => "To look at: in another currency than the goal’s limit".to_owned(),
    }
}

#[derive(Template)]
#[template(path = "figures/conversions/list.html")]
struct List {
    shell: Shell,
    tabs: Vec<Tab>,
    order: Option<String>,
    /// The postbacks of that order that were not accepted, for those who may see them.
    postbacks: Option<String>,
    rows: Vec<ConversionRow>,
    older: Option<String>,
    may_decide: bool,
    sees_commission: bool,
    sees_revenue: bool,
}
