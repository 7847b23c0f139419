//! Receivers of the demo's deliveries, served by the demo shop: trackers of the affiliate, and systems of the network. One of
//! them refuses some deliveries at the first attempt, and one refuses all, as happens to networks too.

use std::collections::HashSet;
use std::sync::Mutex;

use actix_web::{HttpRequest, HttpResponse, web};
use campaigns::links;
use chrono::TimeDelta;
use delivery::destinations::{self, Destination, DestinationSettings, Owner};
use delivery::{BodyFormat, CallMethod, DeliveryEvent, deliveries};
use schema::{Db, NetworkConn, clock};
use tenancy::{Author, ChangeError, Scope, Secret};
use url::Url;

use crate::DemoError;
use crate::description::Description;

/// Name of the system that refuses all deliveries.
const FORMER_CRM: &str = "Former CRM";
/// Most deliveries that the receiver with failures remembers.
const MAX_REMEMBERED: usize = 10_000;
/// Most destinations of the demo that are moved to the present address of the shop.
const MAX_MOVED: i64 = 100;
/// Age of the oldest conversions that new destinations get.
const BACKFILLED: TimeDelta = TimeDelta::hours(36);

/// Deliveries that were refused once.
#[derive(Default)]
pub(crate) struct Refused(Mutex<HashSet<String>>);

/// Adds the receivers to the shop.
pub(crate) fn configure(config: &mut web::ServiceConfig) {
    config
        .route("/tracker/postback", web::to(accept))
        .route("/warehouse/events", web::to(accept))
        .route("/tracker/busy", web::to(refuse_some))
        .route("/crm/events", web::to(refuse));
}

async fn accept() -> HttpResponse {
    HttpResponse::Ok().body("OK\n")
}

async fn refuse() -> HttpResponse {
    HttpResponse::InternalServerError().body("This system was moved, and its old address is still entered.\n")
}

/// Refuses the first attempt of about every third delivery, by its ID.
async fn refuse_some(request: HttpRequest, refused: web::Data<Refused>) -> HttpResponse {
    let id = request.headers().get("webhook-id");
    let id = id.and_then(|id| id.to_str().ok()).unwrap_or_default();
    let is_chosen = id.bytes().map(usize::from).sum::<usize>() % 3 == 0;
    if let (true, Ok(mut remembered)) = (is_chosen, refused.0.lock()) {
        if remembered.len() >= MAX_REMEMBERED {
            remembered.clear();
        }
        if remembered.insert(id.to_owned()) {
            return HttpResponse::ServiceUnavailable().body("Too busy. Try again later.\n");
        }
    }
    accept().await
}

/// Points the demo's destinations to the present address of the shop, or creates them with the conversions of the last day
/// and a half.
pub(crate) async fn connect(db: &Db, secret: &Secret, description: &Description) -> Result<(), DemoError> {
    let mut conn = db.network(description.network.id).await?;
    let known = destinations::list(&mut conn, Scope::default(), None, None, MAX_MOVED).await?;
    if known.is_empty() {
        create(&mut conn, secret, description).await?;
    }
    for listed in known {
        move_to_shop(&mut conn, secret, description, &listed.destination).await?;
    }
    Ok(conn.commit().await?)
}

async fn create(conn: &mut NetworkConn, secret: &Secret, description: &Description) -> Result<(), DemoError> {
    use DeliveryEvent::{
        Adjusted, AffiliateApplied, Approved, Created, IntegrationFailing, IntegrationRecovered, Rejected,
        Reversed,
    };
    let link = links::find(conn, description.link.id).await?;
    let affiliate = Owner::Affiliate(link.ok_or(ChangeError::NotFound)?.affiliate_id);
    let (author, now) = (Author::system(), clock::now());
    for (owner, name, path, events) in [
        (
            affiliate,
            "Keitaro",
            "/tracker/postback?subid={sub1}&status={status}&payout={commission}&currency={currency}&tid={conversion_id}",
            vec![Created, Approved, Rejected, Reversed],
        ),
        (
            affiliate,
            "Own statistics (busy server)",
            "/tracker/busy?order={order_id}&amount={amount}&state={status}&at={time}",
            vec![Created],
        ),
        (
            Owner::Network,
            "Data warehouse",
            "/warehouse/events",
            vec![
                Created,
                Approved,
                Rejected,
                Reversed,
                Adjusted,
                AffiliateApplied,
                IntegrationFailing,
                IntegrationRecovered,
            ],
        ),
        (Owner::Network, FORMER_CRM, "/crm/events", vec![Created]),
    ] {
        let method = match owner {
            Owner::Affiliate(_) => CallMethod::Get,
            Owner::Network => CallMethod::Post,
        };
        let settings = DestinationSettings {
            name: name.to_owned(),
            // The system that refuses everything gets few events.
            campaign_id: (name == FORMER_CRM).then_some(description.campaign.id),
            goal_id: None,
            events,
            method,
            format: BodyFormat::Standard,
            url: format!("{}{path}", description.shop),
            value_maps: "status approved = sale\nstatus pending = lead"
                .parse()
                .unwrap_or_default(),
            sends_order_ids: false,
        };
        let (made, _) = destinations::create(conn, &author, secret, owner, &settings, now).await?;
        let period = (now - BACKFILLED, now);
        deliveries::backfill(conn, &author, Scope::default(), made.id, period, now).await?;
    }
    Ok(())
}

/// Replaces the address of a destination that is on this machine; users of the demo may have added others.
async fn move_to_shop(
    conn: &mut NetworkConn,
    secret: &Secret,
    description: &Description,
    destination: &Destination,
) -> Result<(), DemoError> {
    let paths = ["/tracker/", "/warehouse/", "/crm/"];
    let old = destination.url.as_str();
    let behind_host = old
        .split_once("://")
        .and_then(|(_, rest)| rest.find('/').and_then(|at| rest.get(at..)));
    let is_local = Url::parse(old).ok().and_then(|url| {
        url.host_str()
            .map(|host| host == "localhost" || host.starts_with("127."))
    });
    let Some(path) = behind_host.filter(|path| paths.iter().any(|known| path.starts_with(known))) else {
        return Ok(());
    };
    let url = format!("{}{path}", description.shop);
    if is_local != Some(true) || url == old {
        return Ok(());
    }
    let settings = DestinationSettings {
        url,
        ..destination.settings()
    };
    let (author, scope, id) = (Author::system(), Scope::default(), destination.id);
    destinations::update(conn, &author, secret, scope, id, &settings, clock::now()).await?;
    Ok(())
}
