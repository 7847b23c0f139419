//! The table of routes. What is not in it does not exist: the registration with actix, the list that tests walk, and
//! the paths of the OpenAPI document are all made from it.

use actix_web::middleware::from_fn;
use actix_web::web;

use crate::error::ApiError;
use crate::resources::sheets::{
    campaign_sheet, coupon_sheet, goal_sheet, landing_page_sheet, link_sheet, rule_sheet,
};
use crate::resources::{
    advertisers, affiliates, alerts, applications, audit, campaign_integrations, campaigns, caps,
    conversions, coupons, goals, groups, integrations, invitations, joining, keys, landing_pages, links, me,
    members, network, postbacks, promoters, replays, rules, tokens, url_templates,
};
use crate::{docs, door, guard, openapi};

/// What all paths begin with.
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
    (delete) => {
        "DELETE"
    };
}

/// Who asks with GET may ask with HEAD; actix leaves the body of that answer out.
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
    ($($door:ident { $($path:literal: $($method:ident $module:ident::$handler:ident),+;)+ })+) => {
        /// Every route: its method and its path.
        pub const ROUTES: &[(&str, &str)] = &[$($($((method!($method), concat!(base!(), $path)),)+)+)+];

        $(fn $door(config: &mut web::ServiceConfig) {
            $(
                let resource = web::resource($path).default_service(web::to(|| not_allowed(&[$(method!($method)),+])));
                $(let resource = route!(resource, $method, $module::$handler);)+
                config.service(resource);
            )+
        })+

        /// The paths of the OpenAPI document.
        #[derive(utoipa::OpenApi)]
        #[openapi(paths($($($($module::$handler),+),+),+))]
        pub(crate) struct Paths;
    };
}

routes! {
    open {
        "/openapi.json": get openapi::show;
    }
    behind_the_door {
        "/me": get me::show;
        "/tokens": post tokens::create;
        "/network": get network::show, patch network::update;
        "/network/click-key": post network::replace_click_key;
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
            get campaign_integrations::show, post campaign_integrations::make,
            patch campaign_integrations::update, delete campaign_integrations::remove;
        "/campaigns/{id}/integration/token": post campaign_integrations::new_token;
        "/campaigns/{id}/integration/signing-secret": post campaign_integrations::new_signing_secret;
        "/conversions": get conversions::list;
        "/conversions/{id}": get conversions::show;
        "/conversions/{id}/approve": post conversions::approve;
        "/conversions/{id}/reject": post conversions::reject;
        "/postbacks": get postbacks::list;
        "/postbacks/{id}": get postbacks::show;
        "/alerts": get alerts::list;
        "/alerts/{id}/seen": post alerts::see;
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

/// What all paths begin with.
pub(crate) const BASE: &str = base!();

/// Adds the API and its page to an actix application that has an [`Api`](crate::Api) as its data. To be called before
/// anything that takes every path.
pub fn configure(config: &mut web::ServiceConfig) {
    config.configure(docs::configure).service(
        web::scope(BASE)
            .wrap(from_fn(guard::guard))
            .configure(open)
            .service(
                web::scope("")
                    .wrap(from_fn(door::door))
                    .configure(behind_the_door)
                    .default_service(web::to(nothing_here)),
            ),
    );
}

async fn nothing_here() -> Result<&'static str, ApiError> {
    Err(ApiError::NotFound)
}

async fn not_allowed(methods: &[&str]) -> Result<&'static str, ApiError> {
    let head = methods.contains(&"GET").then_some("HEAD");
    let allow: Vec<_> = methods.iter().copied().chain(head).collect();
    Err(ApiError::MethodNotAllowed {
        allow: allow.join(", "),
    })
}
