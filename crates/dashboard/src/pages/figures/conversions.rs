//! List of conversions, and decisions on pending ones.

use actix_web::web;
use askama::Template;
use conversions::pricing::Review;
use conversions::{
    self, Conversion, ConversionFilter, ConversionStatus, Corrected, Correction, CorrectionRequest,
    NamedConversion, ReviewBecause,
};
use schema::{ConversionId, Money};
use serde::Deserialize;
use tenancy::{Permission, needs};

use crate::error::PageError;
use crate::listing::{self, Tab};
use crate::page::{Frame, Page, Submitted};
use crate::pages::id;
use crate::shell::{PageResult, Shell, TimeCell, done, html};
use crate::{format, urls};

/// Filters of the list, from the query string.
#[derive(Debug, Default, Deserialize)]
pub(super) struct Filters {
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
pub(super) async fn list(mut page: Page<needs::SeeConversions>, filters: web::Query<Filters>) -> PageResult {
    let status = listing::word(&filters.status)?;
    let order = listing::text(&filters.order);
    // Reviews are visible to the network's own members only.
    let may_review = page.actor.scope().is_staff();
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
        scope: page.actor.scope(),
        status,
        in_review,
        order_id: order.clone(),
        before: listing::id(&filters.before)?,
        ..ConversionFilter::default()
    };
    let found = conversions::list(&mut page.conn, &filter, listing::QUERIED).await?;
    let frame = page.commit().await?;

    let kept = [
        ("status", filters.status.as_str()),
        ("review", if in_review { "yes" } else { "" }),
        ("order", filters.order.as_str()),
    ];
    let (found, older) = listing::cut(found, "/conversions", &kept, |row| row.conversion.id);
    html(&List {
        shell: frame.shell("Conversions", "Conversions"),
        is_filtered: status.is_some() || in_review || order.is_some(),
        tabs,
        postbacks: order
            .as_deref()
            .filter(|_| frame.actor.may(Permission::SeePostbacks))
            .map(urls::postbacks_of_order),
        order,
        rows: found
            .into_iter()
            .map(|named| ConversionRow::new(named, &frame))
            .collect(),
        older,
        correct: match (filters.status.as_str(), in_review) {
            (_, true) => "/conversions/corrections?review=yes".to_owned(),
            ("", false) => "/conversions/corrections".to_owned(),
            (status, false) => format!("/conversions/corrections?status={status}"),
        },
        may_decide: frame.actor.may(Permission::DecideConversions),
        sees_commission: frame.actor.may(Permission::SeeCommission),
        sees_revenue: frame.actor.may(Permission::SeeRevenue),
    })
}

/// `POST /conversions/{id}` with `decision=approve` or `reject`: decides a pending conversion.
pub(super) async fn decide(
    Submitted(mut page, form): Submitted<needs::DecideConversions>,
    path: web::Path<String>,
) -> PageResult {
    let conversion_id: ConversionId = id(&path)?;
    let correction = match form.get("decision") {
        "approve" => Correction::Approve,
        "reject" => Correction::Reject,
        other => {
            return Err(PageError::BadRequest(format!(
                "decision is “{other}”; allowed are approve and reject."
            )));
        }
    };
    let request = CorrectionRequest {
        version: form.get("version").parse().ok(),
        ..CorrectionRequest::from(correction)
    };
    let (author, now) = (page.actor.author(), page.now);
    let corrected = conversions::propose(&mut page.conn, &author, conversion_id, &request, now).await?;
    let sees_commission = page.actor.may(Permission::SeeCommission);
    page.commit().await?;
    match corrected {
        Corrected::Done(conversion) => {
            let here = urls::local(form.get("here"));
            // The keyboard goes on at the next row.
            let here = match form.get("next").parse::<ConversionId>() {
                Ok(next) => format!("{here}#{next}"),
                Err(_) => here.to_owned(),
            };
            done(&here, &decided(&conversion, sees_commission))
        }
        // Its page says that it waits for a second user.
        Corrected::Waiting(_) => done(
            &urls::conversion(conversion_id),
            "The decision waits for a second user.",
        ),
    }
}

/// Sentence about a conversion that was decided.
fn decided(conversion: &Conversion, sees_commission: bool) -> String {
    let name = match &conversion.order_id {
        Some(order) => format!("Order {order}"),
        None => format!("Conversion {}", format::short_id(&conversion.id.to_string())),
    };
    let sum = match conversion.status {
        ConversionStatus::Approved if sees_commission => {
            format!(": {} commission", format::money(conversion.commission()))
        }
        _ => String::new(),
    };
    format!("{name} is {}{sum}.", conversion.status)
}

/// Row of a table of conversions.
pub(crate) struct ConversionRow {
    pub(crate) time: TimeCell,
    pub(crate) id: String,
    pub(crate) short_id: String,
    pub(crate) status: &'static str,
    /// Reason of a manual review. None if not in review, or not visible to the actor.
    pub(crate) review: Option<String>,
    pub(crate) campaign: String,
    pub(crate) goal: String,
    /// Name of the affiliate. Empty for an affiliate, who sees only its own.
    pub(crate) affiliate: String,
    pub(crate) order_id: String,
    pub(crate) amount: String,
    pub(crate) commission: String,
    pub(crate) revenue: String,
    /// Page of the conversion.
    pub(crate) url: String,
    pub(crate) attributed_by: &'static str,
    /// Version that the actor sees, and decides on.
    pub(crate) version: i32,
    /// URL that decides the conversion. None if decided, or without the permission.
    pub(crate) settle: Option<String>,
    /// Order ID, or short ID without one, for the labels of buttons.
    pub(crate) named: String,
}

impl ConversionRow {
    pub(crate) fn new<P>(named: NamedConversion, frame: &Frame<P>) -> Self {
        let NamedConversion {
            conversion,
            affiliate,
            campaign,
            goal,
        } = named;
        let id = conversion.id.to_string();
        let short_id = format::short_id(&id);
        let pending = conversion.status == ConversionStatus::Pending;
        let may_decide = frame.actor.may(Permission::DecideConversions);
        Self {
            time: frame.time(conversion.converted_at),
            id,
            status: conversion.status.as_str(),
            review: conversion
                .review_because
                .filter(|_| frame.actor.scope().is_staff())
                .map(|because| review(because, &conversion)),
            campaign,
            goal,
            affiliate: if frame.actor.scope().affiliate.is_some() {
                String::new()
            } else {
                affiliate
            },
            amount: conversion.amount().map_or("—".to_owned(), format::money),
            commission: format::money(conversion.commission()),
            revenue: format::money(conversion.revenue()),
            url: urls::conversion(conversion.id),
            attributed_by: conversion.attributed_by.as_str(),
            version: conversion.version,
            settle: (pending && may_decide).then(|| urls::settle(conversion.id)),
            named: conversion.order_id.clone().unwrap_or_else(|| short_id.clone()),
            short_id,
            order_id: conversion.order_id.unwrap_or_else(|| "—".to_owned()),
        }
    }
}

/// Reason of a manual review, as a sentence.
pub(super) fn review(because: ReviewBecause, conversion: &Conversion) -> String {
    let pricing = conversion.pricing().inspect_err(|error| {
        tracing::error!(conversion = %conversion.id, %error, "stored terms are unreadable");
    });
    match (because, pricing.ok().and_then(|pricing| pricing.review)) {
        (ReviewBecause::Amount, Some(Review::Above(micros))) => {
            let currency = conversion.currency;
            format!(
                "Needs review: above {}",
                format::money(Money { micros, currency })
            )
        }
        (ReviewBecause::Amount, _) => "Needs review: above the goal’s limit".to_owned(),
        (ReviewBecause::Currency, _) => "Needs review: currency differs from the goal’s limit".to_owned(),
        (ReviewBecause::Commission, _) => {
            "Needs review: the commission sent exceeds the revenue or the order".to_owned()
        }
        (ReviewBecause::Cap, _) => "Needs review: exceeds a cap".to_owned(),
        (ReviewBecause::Parent, _) => "Needs review: its parent conversion no longer counts".to_owned(),
        (ReviewBecause::Person, _) => "On hold".to_owned(),
    }
}

#[derive(Template)]
#[template(path = "figures/conversions/list.html")]
struct List {
    shell: Shell,
    is_filtered: bool,
    tabs: Vec<Tab>,
    order: Option<String>,
    /// URL of the postbacks of that order that were not accepted. None without an order or the permission.
    postbacks: Option<String>,
    rows: Vec<ConversionRow>,
    older: Option<String>,
    /// URL of the form that corrects the conversions of the list.
    correct: String,
    may_decide: bool,
    sees_commission: bool,
    sees_revenue: bool,
}
