//! Pages of received postbacks: the list, replays, alerts, tools, documentation.

pub(super) mod alerts;
mod contradictions;
mod deliveries;
mod destinations;
mod docs;
pub(super) mod postback;
mod reasons;
mod replays;
mod tools;
mod url_templates;

use crate::routes::routes;

routes! {
    /// Documentation, without sign-in.
    public, PUBLIC, "":
    get "/docs/postback" => docs::postback;
    get "/docs/delivery" => docs::delivery;
    get "/docs/earnings" => docs::earnings;
    get "/docs/reasons/{code}" => reasons::show;
    get "/postback" => docs::misdirected;
    post "/postback" => docs::misdirected;
}

routes! {
    /// Pages of postbacks.
    of_member, OF_MEMBER, "":
    get "/tools/postback" => tools::show;
    post "/tools/postback" => tools::analyze;
    get "/tools/templates/new" => url_templates::new;
    post "/tools/templates" => url_templates::create;
    get "/tools/templates/{id}" => url_templates::show;
    post "/tools/templates/{id}" => url_templates::update;
    post "/tools/templates/{id}/remove" => url_templates::remove;
    get "/postbacks" => postback::list;
    post "/postbacks/replay" => replays::many;
    get "/postbacks/{id}" => postback::show;
    post "/postbacks/{id}/replay" => replays::one;
    post "/postbacks/{id}/settle" => contradictions::settle;
    get "/replays/{batch}" => replays::show;
    get "/destinations" => destinations::list;
    post "/destinations" => destinations::create;
    get "/destinations/new" => destinations::new;
    post "/destinations/check" => destinations::check;
    get "/destinations/{id}" => destinations::show;
    post "/destinations/{id}" => destinations::update;
    post "/destinations/{id}/state" => destinations::set_state;
    post "/destinations/{id}/test" => destinations::test;
    post "/destinations/{id}/secret" => destinations::rotate;
    post "/destinations/{id}/resend" => destinations::resend;
    post "/destinations/{id}/backfill" => destinations::backfill;
    post "/destinations/{id}/remove" => destinations::remove;
    get "/deliveries" => deliveries::list;
    get "/deliveries/{id}" => deliveries::show;
    post "/deliveries/{id}/resend" => deliveries::resend;
    get "/alerts" => alerts::list;
    post "/alerts/{id}/seen" => alerts::acknowledge;
}
