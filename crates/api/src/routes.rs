//! Table of routes. It generates the registration with actix, the list that tests go through, and the paths of the
//! OpenAPI document, so a route outside the table does not exist.

use actix_web::middleware::from_fn;
use actix_web::web::{self, Json};
use utoipa::OpenApi as _;
use utoipa::openapi::OpenApi;

use crate::error::ApiError;
use crate::resources::sheets::{
    campaign_sheet, coupon_sheet, goal_sheet, landing_page_sheet, link_sheet, rule_sheet,
};
use crate::resources::{
    advertisers, affiliates, alerts, applications, audit, balances, campaign_integrations, campaigns, caps,
    clicks, conversions, corrections, coupons, deliveries, destinations, entering, events, exchange_rates,
    feed, goals, going_live, groups, impersonations, integrations, invitations, joining, keys, landing_pages,
    links, me, members, network, postbacks, promoters, quick_start, replays, report_files, report_links,
    report_mails, reports, rules, saved_reports, test_orders, tokens, tracking_hosts, url_templates,
};
use crate::{auth, docs, middleware};

/// Prefix of all paths.
macro_rules! base {
    () => {
        "/api/v1"
    };
}

macro_rules! method {
    (get) => {
        "GET"
    };
    (post) => {
        "POST"
    };
    (patch) => {
        "PATCH"
    };
    (put) => {
        "PUT"
    };
    (delete) => {
        "DELETE"
    };
}

/// A path with GET also accepts HEAD; actix omits the body of that response.
macro_rules! route {
    ($resource:expr, get, $handler:path) => {
        $resource
            .route(web::get().to($handler))
            .route(web::head().to($handler))
    };
    ($resource:expr, $method:ident, $handler:path) => {
        $resource.route(web::$method().to($handler))
    };
}

macro_rules! routes {
    ($($access:ident { $($path:literal: $($method:ident $module:ident::$handler:ident),+;)+ })+) => {
        /// Method and path of every route.
        pub const ROUTES: &[(&str, &str)] = &[$($($((method!($method), concat!(base!(), $path)),)+)+)+];

        $(fn $access(config: &mut web::ServiceConfig) {
            $(
                let resource = web::resource($path).default_service(web::to(|| method_not_allowed(&[$(method!($method)),+])));
                $(let resource = route!(resource, $method, $module::$handler);)+
                config.service(resource);
            )+
        })+

        /// Paths of the OpenAPI document.
        #[derive(utoipa::OpenApi)]
        #[openapi(paths($($($($module::$handler),+),+),+))]
        struct Paths;
    };
}

routes! {
    public {
        "/openapi.json": get self::show_openapi;
    }
    authenticated {
        "/me": get me::show;
        "/tokens": post tokens::create;
        "/impersonations": post impersonations::create;
        "/network": get network::show, patch network::update;
        "/network/click-key": post network::replace_click_key;
        "/network/tracking-hosts/check": post tracking_hosts::check;
        "/network/joining": get joining::show, patch joining::update;
        "/advertisers": get advertisers::list, post advertisers::create;
        "/advertisers/import": post advertisers::import;
        "/advertisers/export": get advertisers::export;
        "/advertisers/{id}": get advertisers::show, patch advertisers::update;
        "/affiliates": get affiliates::list, post affiliates::create;
        "/affiliates/import": post affiliates::import;
        "/affiliates/export": get affiliates::export;
        "/affiliates/{id}": get affiliates::show, patch affiliates::update;
        "/affiliate-groups": get groups::list, post groups::create;
        "/affiliate-groups/{id}": patch groups::update, delete groups::remove;
        "/quick-start": post quick_start::create;
        "/campaigns/import": post campaign_sheet::import;
        "/campaigns/export": get campaign_sheet::export;
        "/campaigns": get campaigns::list, post campaigns::create;
        "/campaigns/{id}": get campaigns::show, patch campaigns::update;
        "/goals/import": post goal_sheet::import;
        "/goals/export": get goal_sheet::export;
        "/goals": get goals::list, post goals::create;
        "/goals/{id}": get goals::show, patch goals::update;
        "/rules/import": post rule_sheet::import;
        "/rules/export": get rule_sheet::export;
        "/rules": get rules::list, post rules::create;
        "/rules/{id}": patch rules::update, delete rules::remove;
        "/landing-pages/import": post landing_page_sheet::import;
        "/landing-pages/export": get landing_page_sheet::export;
        "/landing-pages": get landing_pages::list, post landing_pages::create;
        "/landing-pages/{id}": patch landing_pages::update, delete landing_pages::remove;
        "/caps": get caps::list, post caps::create;
        "/caps/{id}": delete caps::remove;
        "/coupons/import": post coupon_sheet::import;
        "/coupons/export": get coupon_sheet::export;
        "/coupons": get coupons::list, post coupons::create;
        "/coupons/{id}": delete coupons::remove;
        "/promoters": get promoters::list, post promoters::set;
        "/links/import": post link_sheet::import;
        "/links/export": get link_sheet::export;
        "/links": get links::list, post links::create;
        "/links/{id}": get links::show, patch links::update;
        "/url-templates": get url_templates::list, post url_templates::create;
        "/url-templates/{id}": get url_templates::show, patch url_templates::update, delete url_templates::remove;
        "/integrations/{id}": get integrations::show, patch integrations::update;
        "/integrations/{id}/token": post integrations::new_token;
        "/integrations/{id}/signing-secret": post integrations::new_signing_secret;
        "/campaigns/{id}/integration":
            get campaign_integrations::show, post campaign_integrations::create,
            patch campaign_integrations::update, delete campaign_integrations::remove;
        "/campaigns/{id}/integration/token": post campaign_integrations::new_token;
        "/campaigns/{id}/integration/signing-secret": post campaign_integrations::new_signing_secret;
        "/campaigns/{id}/test": get going_live::show;
        "/campaigns/{id}/test-link": post going_live::create_test_link;
        "/campaigns/{id}/simulation": post going_live::simulate;
        "/campaigns/{id}/test-orders": post test_orders::create;
        "/campaigns/{id}/go-live": post going_live::go_live;
        "/waiting-corrections": get corrections::list_waiting;
        "/waiting-corrections/{id}/approve": post corrections::approve_waiting;
        "/waiting-corrections/{id}/decline": post corrections::decline_waiting;
        "/balances": get balances::show;
        "/reports": get reports::show, post reports::query;
        "/reports/definitions": get reports::definitions;
        "/reports/export": get report_files::export;
        "/exchange-rates": get exchange_rates::list, post exchange_rates::set;
        "/exchange-rates/import": post exchange_rates::import;
        "/exchange-rates/export": get exchange_rates::export;
        "/exchange-rates/{id}": delete exchange_rates::remove;
        "/saved-reports": get saved_reports::list, post saved_reports::create;
        "/saved-reports/{id}":
            get saved_reports::show, patch saved_reports::update, delete saved_reports::remove;
        "/saved-reports/{id}/default": post saved_reports::set_default;
        "/report-files": get report_files::list, post report_files::create;
        "/report-files/{id}": get report_files::show, delete report_files::remove;
        "/report-files/{id}/content": get report_files::content;
        "/report-links": get report_links::list, post report_links::create;
        "/report-links/{id}": get report_links::show, delete report_links::revoke;
        "/report-mails": get report_mails::list, post report_mails::create;
        "/report-mails/{id}": get report_mails::show, patch report_mails::update, delete report_mails::remove;
        "/clicks": get clicks::list;
        "/clicks/{id}": get clicks::show;
        "/destinations": get destinations::list, post destinations::create;
        "/destinations/{id}": get destinations::show, patch destinations::update, delete destinations::remove;
        "/destinations/{id}/pause": post destinations::pause;
        "/destinations/{id}/resume": post destinations::resume;
        "/destinations/{id}/test": post destinations::test;
        "/destinations/{id}/signing-secret": post destinations::rotate;
        "/destinations/{id}/resend": post destinations::resend;
        "/destinations/{id}/backfill": post destinations::backfill;
        "/deliveries": get deliveries::list;
        "/deliveries/{id}": get deliveries::show;
        "/deliveries/{id}/resend": post deliveries::resend;
        "/events": get events::list;
        "/event-consumers": get events::list_consumers;
        "/event-consumers/{name}":
            get events::show_consumer, put events::put_consumer, delete events::remove_consumer;
        "/conversions": get conversions::list, post entering::create;
        "/conversions/corrections": post corrections::create_many;
        "/conversions/corrections/import": post corrections::import;
        "/conversions/corrections/{batch}/undo": post corrections::undo_many;
        "/conversions/{id}": get conversions::show;
        "/conversions/{id}/statements": get conversions::statements;
        "/conversions/{id}/corrections": post corrections::create;
        "/conversions/{id}/corrections/{statement}/undo": post corrections::undo;
        "/conversions/{id}/approve": post corrections::approve;
        "/conversions/{id}/reject": post corrections::reject;
        "/postbacks": get postbacks::list;
        "/postbacks/feed": get feed::list;
        "/postbacks/{id}": get postbacks::show;
        "/postbacks/{id}/settle": post postbacks::settle;
        "/alerts": get alerts::list;
        "/alerts/{id}/seen": post alerts::acknowledge;
        "/replays": post replays::create;
        "/replays/{id}": get replays::show;
        "/applications": get applications::list;
        "/applications/{id}": get applications::show;
        "/applications/{id}/approve": post applications::approve;
        "/applications/{id}/decline": post applications::decline;
        "/members": get members::list;
        "/members/{id}": patch members::update, delete members::remove;
        "/invitations": get invitations::list, post invitations::create;
        "/invitations/{id}": delete invitations::withdraw;
        "/keys": get keys::list, post keys::create;
        "/keys/{id}": delete keys::revoke;
        "/audit": get audit::list;
    }
}

/// Prefix of all paths.
const BASE: &str = base!();

/// Adds the API and its docs page to an actix application whose data contains an [`Api`](crate::state::Api). To be
/// called before services that match every path.
pub fn configure(config: &mut web::ServiceConfig) {
    config.configure(docs::configure).service(
        web::scope(BASE)
            .wrap(from_fn(middleware::handle))
            .configure(public)
            .service(
                web::scope("")
                    .wrap(from_fn(auth::require_caller))
                    .configure(authenticated)
                    .default_service(web::to(not_found)),
            ),
    );
}

async fn not_found() -> Result<&'static str, ApiError> {
    Err(ApiError::NotFound)
}

async fn method_not_allowed(methods: &[&str]) -> Result<&'static str, ApiError> {
    let head = methods.contains(&"GET").then_some("HEAD");
    let allow: Vec<_> = methods.iter().copied().chain(head).collect();
    Err(ApiError::MethodNotAllowed {
        allow: allow.join(", "),
    })
}

/// OpenAPI document of the API.
#[must_use]
pub fn openapi() -> OpenApi {
    crate::openapi::complete(Paths::openapi(), BASE)
}

/// Get the OpenAPI document
///
/// This document. No authentication is needed.
#[utoipa::path(get, path = "/openapi.json", tag = "Authentication", security(()), responses((status = 200, body = Object)))]
async fn show_openapi() -> Json<OpenApi> {
    Json(openapi())
}

#[cfg(test)]
mod tests {
    use std::collections::BTreeSet;
    use std::path::Path;

    use serde_json::Value;

    use super::*;

    fn document() -> Value {
        serde_json::to_value(openapi()).unwrap()
    }

    #[test]
    fn exactly_the_routes_are_described() {
        let document = document();
        let described: BTreeSet<(String, String)> = document["paths"]
            .as_object()
            .unwrap()
            .iter()
            .flat_map(|(path, item)| {
                let methods = item.as_object().unwrap().keys();
                methods.map(move |method| (method.to_uppercase(), format!("{BASE}{path}")))
            })
            .collect();
        let routes: BTreeSet<(String, String)> = ROUTES
            .iter()
            .map(|(method, path)| ((*method).to_owned(), (*path).to_owned()))
            .collect();
        assert_eq!(described, routes);
        assert_eq!(routes.len(), ROUTES.len());
    }

    #[test]
    fn every_reference_resolves() {
        let document = document();
        let text = document.to_string();
        let mut found = 0;
        for part in text.split("\"$ref\":\"#").skip(1) {
            let pointer = part.split('"').next().unwrap();
            assert!(document.pointer(pointer).is_some(), "{pointer}");
            found += 1;
        }
        assert!(found > 50, "{found}");
    }

    #[test]
    fn operation_ids_are_unique() {
        let document = document();
        let mut names = BTreeSet::new();
        for item in document["paths"].as_object().unwrap().values() {
            for operation in item.as_object().unwrap().values() {
                let name = operation["operationId"].as_str().unwrap().to_owned();
                assert!(names.insert(name.clone()), "{name}");
            }
        }
    }

    #[test]
    fn the_document_equals_the_file_under_version_control() {
        let path = Path::new(env!("CARGO_MANIFEST_DIR")).join("openapi.json");
        let now = serde_json::to_string_pretty(&openapi()).unwrap() + "\n";
        if std::env::var_os("CLICKLEDGER_BLESS").is_some() {
            std::fs::write(&path, &now).unwrap();
        }
        let kept = std::fs::read_to_string(&path).unwrap_or_default();
        assert!(
            kept == now,
            "the API changed. If intended: CLICKLEDGER_BLESS=1 cargo nextest run -p api"
        );
    }
}
