//! The pages, one module each, and the tables of their routes.

mod account;
mod alerts;
mod applications;
mod audit;
mod campaign_integration;
mod campaign_parts;
mod campaign_settings;
mod campaigns;
mod clicks;
mod conversions;
mod docs;
mod goals;
mod going_live;
mod groups;
mod home;
mod import;
mod integration;
mod integration_settings;
mod invitation;
mod join;
mod keys;
mod leave;
mod links;
mod members;
mod node;
mod ops;
mod parties;
mod password;
mod postbacks;
mod proof;
mod reasons;
mod replays;
mod reports;
mod rules;
mod search;
mod second_factor;
mod settings;
mod setup;
mod sheets;
mod sign_in;
mod sign_up;
mod snippets;
mod start;
mod theme;
mod tools;
mod url_templates;

use actix_web::web;

use crate::error::PageError;
use crate::routes::routes;

routes! {
    /// Pages that anyone may see.
    public, PUBLIC, "":
    get "/sign-in" => sign_in::show;
    post "/sign-in" => sign_in::submit;
    get "/sign-in/code" => sign_in::ask_for_code;
    post "/sign-in/code" => sign_in::check_code;
    get "/sign-in/link/{token}" => sign_in::show_link;
    post "/sign-in/link/{token}" => sign_in::use_link;
    post "/sign-out" => sign_in::sign_out;
    get "/forgot" => password::ask;
    post "/forgot" => password::mail;
    get "/reset/{token}" => password::show_reset;
    post "/reset/{token}" => password::reset;
    get "/sign-up" => sign_up::show;
    post "/sign-up" => sign_up::submit;
    get "/setup/{token}" => setup::show;
    post "/setup/{token}" => setup::submit;
    get "/invitations/{token}" => invitation::show;
    post "/invitations/{token}" => invitation::accept;
    get "/join/{slug}" => join::show;
    post "/join/{slug}" => join::apply;
    get "/join/{slug}/{token}" => join::status;
    post "/theme" => theme::choose;
    get "/docs/postback" => docs::postback;
    get "/docs/reasons/{code}" => reasons::show;
    get "/postback" => docs::misdirected;
    post "/postback" => docs::misdirected;
}

routes! {
    /// What belongs to a person, whatever network they work for.
    of_person, OF_PERSON, "/account":
    get "" => account::show;
    post "/name" => account::rename;
    post "/password" => account::change_password;
    post "/sessions/end-others" => account::end_others;
    post "/sessions/{id}/end" => account::end_session;
    post "/switch" => account::switch;
    post "/leave" => account::leave;
    get "/second-factor" => second_factor::show;
    post "/second-factor" => second_factor::confirm;
    post "/second-factor/remove" => second_factor::remove;
    post "/second-factor/recovery-codes" => second_factor::fresh_codes;
}

routes! {
    /// What those see who run the installation.
    of_operator, OF_OPERATOR, "/ops":
    get "" => ops::list;
    post "/networks" => ops::create;
    get "/networks/{id}" => ops::show;
    post "/networks/{id}/status" => ops::set_status;
    post "/networks/{id}/limits" => ops::set_limits;
    post "/networks/{id}/act" => ops::act;
    post "/networks/{id}/erase" => ops::erase;
    get "/log" => ops::log;
    get "/node" => node::show;
}

routes! {
    /// A network's own pages; each handler's signature names the permission it needs.
    members_only, OF_MEMBER, "":
    get "/" => home::show;
    get "/search" => search::go;
    get "/start" => start::show;
    post "/start" => start::submit;
    get "/tools/postback" => tools::show;
    post "/tools/postback" => tools::look;
    get "/tools/templates/new" => url_templates::new;
    post "/tools/templates" => url_templates::create;
    get "/tools/templates/{id}" => url_templates::show;
    post "/tools/templates/{id}" => url_templates::update;
    post "/tools/templates/{id}/remove" => url_templates::remove;
    get "/reports" => reports::show;
    get "/reports.csv" => reports::csv;
    get "/conversions" => conversions::list;
    post "/conversions/{id}" => conversions::settle;
    get "/postbacks" => postbacks::list;
    post "/postbacks/replay" => replays::many;
    get "/postbacks/{id}" => postbacks::show;
    post "/postbacks/{id}/replay" => replays::one;
    get "/replays/{batch}" => replays::show;
    get "/alerts" => alerts::list;
    post "/alerts/{id}/seen" => alerts::see;
    get "/clicks/{click_id}" => clicks::show;
    get "/campaigns" => campaigns::list;
    get "/campaigns/files/{sheet}" => sheets::show;
    post "/campaigns/files/{sheet}" => sheets::submit;
    get "/campaigns/files/{sheet}/export.csv" => sheets::export;
    get "/campaigns/{id}" => campaigns::show;
    get "/campaigns/{id}/settings" => campaign_settings::show;
    post "/campaigns/{id}/settings" => campaign_settings::update;
    post "/campaigns/{id}/landing-pages" => campaign_parts::add_landing_page;
    post "/campaigns/{id}/landing-pages/remove" => campaign_parts::remove_landing_page;
    post "/campaigns/{id}/caps" => campaign_parts::add_cap;
    post "/campaigns/{id}/caps/remove" => campaign_parts::remove_cap;
    post "/campaigns/{id}/coupons" => campaign_parts::add_coupon;
    post "/campaigns/{id}/coupons/remove" => campaign_parts::remove_coupon;
    post "/campaigns/{id}/promoters" => campaign_parts::set_promoter;
    get "/campaigns/{id}/test" => going_live::show;
    post "/campaigns/{id}/test" => going_live::set_up;
    post "/campaigns/{id}/test/rehearse" => going_live::run;
    post "/campaigns/{id}/test/go-live" => going_live::go_live;
    get "/campaigns/{id}/integration" => campaign_integration::show;
    post "/campaigns/{id}/integration" => campaign_integration::update;
    post "/campaigns/{id}/integration/make" => campaign_integration::make;
    post "/campaigns/{id}/integration/token" => campaign_integration::new_token;
    post "/campaigns/{id}/integration/secret" => campaign_integration::new_secret;
    post "/campaigns/{id}/integration/remove" => campaign_integration::remove;
    get "/campaigns/{id}/certificate" => going_live::certificate;
    get "/campaigns/{id}/goals/new" => goals::new;
    post "/campaigns/{id}/goals" => goals::create;
    get "/goals/{id}" => goals::show;
    post "/goals/{id}" => goals::update;
    post "/goals/{id}/rules" => rules::add_rule;
    post "/goals/{id}/rules/remove" => rules::remove_rule;
    get "/campaigns/{id}/links/new" => links::new;
    post "/campaigns/{id}/links" => links::create;
    post "/campaigns/{id}/ask" => campaigns::ask;
    get "/links/{id}" => links::show;
    post "/links/{id}" => links::update;
    get "/links/{id}/qr.svg" => links::qr;
    post "/campaigns/{id}/token" => campaigns::new_token;
    get "/integration" => integration::own;
    get "/integration/{id}" => integration::show;
    post "/integration/{id}" => integration_settings::update;
    post "/integration/{id}/token" => integration::new_token;
    post "/integration/{id}/secret" => integration_settings::new_secret;
    get "/advertisers" => parties::list;
    post "/advertisers" => parties::create;
    get "/advertisers/new" => parties::new;
    get "/advertisers/export.csv" => parties::export;
    get "/advertisers/import" => import::show;
    post "/advertisers/import" => import::submit;
    get "/advertisers/{id}" => parties::show;
    post "/advertisers/{id}" => parties::update;
    get "/affiliates" => parties::list;
    post "/affiliates" => parties::create;
    get "/affiliates/new" => parties::new;
    get "/affiliates/export.csv" => parties::export;
    get "/affiliates/import" => import::show;
    post "/affiliates/import" => import::submit;
    get "/affiliates/groups" => groups::list;
    post "/affiliates/groups" => groups::create;
    post "/affiliates/groups/{id}" => groups::rename;
    post "/affiliates/groups/{id}/remove" => groups::remove;
    get "/affiliates/{id}" => parties::show;
    post "/affiliates/{id}" => parties::update;
    get "/applications" => applications::list;
    get "/applications/{id}" => applications::show;
    post "/applications/{id}/approve" => applications::approve;
    post "/applications/{id}/decline" => applications::decline;
    get "/members" => members::list;
    post "/members/invite" => members::invite;
    post "/members/{id}/role" => members::change_role;
    post "/members/{id}/remove" => members::remove;
    post "/members/invitations/{id}/withdraw" => members::withdraw;
    get "/settings" => settings::show;
    post "/settings" => settings::update;
    post "/settings/click-key" => settings::replace_click_key;
    get "/settings/joining" => settings::show_joining;
    post "/settings/joining" => settings::update_joining;
    get "/settings/keys" => keys::list;
    post "/settings/keys" => keys::create;
    post "/settings/keys/token" => keys::short_token;
    post "/settings/keys/{id}/revoke" => keys::revoke;
    get "/settings/proof" => proof::show;
    post "/settings/proof" => proof::run;
    get "/settings/audit" => audit::list;
    get "/settings/audit.csv" => audit::csv;
    get "/settings/delete" => leave::show;
    post "/settings/delete" => leave::delete;
    get "/settings/export.ndjson" => leave::export;
}

/// A network's own pages, and what is said where there is none.
pub(crate) fn of_member(config: &mut web::ServiceConfig) {
    members_only(config);
    config.default_service(web::to(nowhere));
}

async fn nowhere() -> Result<actix_web::HttpResponse, PageError> {
    Err(PageError::NotFound)
}

/// An id in a path or a filter; one that does not parse is as absent as one that does not exist.
fn id<T: std::str::FromStr>(text: &str) -> Result<T, PageError> {
    text.parse().map_err(|_| PageError::NotFound)
}
