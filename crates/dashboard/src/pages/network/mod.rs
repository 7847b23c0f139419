//! Pages that manage a network: advertisers, affiliates, members, settings, onboarding.

mod applications;
mod audit;
mod delete_network;
mod exchange_rates;
mod groups;
pub(super) mod import;
mod joining;
mod keys;
mod members;
mod onboarding;
mod parties;
mod party;
mod settings;
mod tracking_hosts;
mod verification;

use crate::routes::routes;

routes! {
    /// Pages that manage a network.
    of_member, OF_MEMBER, "":
    get "/start" => onboarding::show;
    post "/start" => onboarding::submit;
    get "/advertisers" => parties::list;
    post "/advertisers" => party::create;
    get "/advertisers/new" => party::new;
    get "/advertisers/export.csv" => parties::export;
    get "/advertisers/import" => import::show;
    post "/advertisers/import" => import::submit;
    get "/advertisers/{id}" => party::show;
    post "/advertisers/{id}" => party::update;
    get "/affiliates" => parties::list;
    post "/affiliates" => party::create;
    get "/affiliates/new" => party::new;
    get "/affiliates/export.csv" => parties::export;
    get "/affiliates/import" => import::show;
    post "/affiliates/import" => import::submit;
    get "/affiliates/groups" => groups::list;
    post "/affiliates/groups" => groups::create;
    post "/affiliates/groups/{id}" => groups::rename;
    post "/affiliates/groups/{id}/remove" => groups::remove;
    get "/affiliates/{id}" => party::show;
    post "/affiliates/{id}" => party::update;
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
    post "/settings/hosts/check" => tracking_hosts::check;
    get "/settings/joining" => joining::show;
    post "/settings/joining" => joining::update;
    get "/settings/exchange-rates" => exchange_rates::list;
    post "/settings/exchange-rates" => exchange_rates::set;
    get "/settings/exchange-rates/export.csv" => exchange_rates::export;
    get "/settings/exchange-rates/import" => exchange_rates::show_import;
    post "/settings/exchange-rates/import" => exchange_rates::import;
    post "/settings/exchange-rates/{id}/remove" => exchange_rates::remove;
    get "/settings/keys" => keys::list;
    post "/settings/keys" => keys::create;
    post "/settings/keys/token" => keys::short_token;
    post "/settings/keys/{id}/revoke" => keys::revoke;
    get "/settings/proof" => verification::show;
    post "/settings/proof" => verification::run;
    get "/settings/audit" => audit::list;
    get "/settings/audit.csv" => audit::csv;
    get "/settings/delete" => delete_network::show;
    post "/settings/delete" => delete_network::delete;
    get "/settings/export.ndjson" => delete_network::export;
}
