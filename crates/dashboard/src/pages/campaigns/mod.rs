//! Pages of campaigns: settings, goals, commission rules, links, CSV files, going live.

mod campaign;
mod goals;
pub(super) mod going_live;
mod links;
mod new_links;
mod parts;
mod rules;
mod settings;
mod sheets;
mod simulation;
mod test_data;

use crate::routes::routes;

routes! {
    /// Pages of campaigns.
    of_member, OF_MEMBER, "":
    get "/campaigns" => campaign::list;
    get "/campaigns/files/{sheet}" => sheets::show;
    post "/campaigns/files/{sheet}" => sheets::submit;
    get "/campaigns/files/{sheet}/export.csv" => sheets::export;
    get "/campaigns/{id}" => campaign::show;
    get "/campaigns/{id}/settings" => settings::show;
    post "/campaigns/{id}/settings" => settings::update;
    post "/campaigns/{id}/landing-pages" => parts::add_landing_page;
    post "/campaigns/{id}/landing-pages/remove" => parts::remove_landing_page;
    post "/campaigns/{id}/caps" => parts::add_cap;
    post "/campaigns/{id}/caps/remove" => parts::remove_cap;
    post "/campaigns/{id}/coupons" => parts::add_coupon;
    post "/campaigns/{id}/coupons/remove" => parts::remove_coupon;
    post "/campaigns/{id}/promoters" => parts::set_promoter;
    get "/test" => test_data::list;
    get "/campaigns/{id}/test" => going_live::show;
    post "/campaigns/{id}/test" => going_live::set_up;
    post "/campaigns/{id}/test/simulate" => simulation::run;
    post "/campaigns/{id}/test/go-live" => going_live::go_live;
    get "/campaigns/{id}/certificate" => going_live::certificate;
    get "/campaigns/{id}/goals/new" => goals::new;
    post "/campaigns/{id}/goals" => goals::create;
    get "/goals/{id}" => goals::show;
    post "/goals/{id}" => goals::update;
    post "/goals/{id}/rules" => rules::add_rule;
    post "/goals/{id}/rules/remove" => rules::remove_rule;
    get "/campaigns/{id}/links/new" => new_links::show;
    post "/campaigns/{id}/links" => new_links::create;
    post "/campaigns/{id}/ask" => campaign::ask;
    get "/links/{id}" => links::show;
    post "/links/{id}" => links::update;
    get "/links/{id}/qr.svg" => links::qr;
    post "/campaigns/{id}/token" => campaign::new_token;
}
