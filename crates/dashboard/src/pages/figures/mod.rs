//! Pages of figures: home, reports, conversions, clicks, search.

mod clicks;
mod conversion;
mod conversions;
mod corrections;
mod entering;
mod guide;
mod home;
mod reports;
mod search;

use crate::routes::routes;

routes! {
    /// Documentation, without sign-in.
    public, PUBLIC, "":
    get "/docs/reports" => guide::show;
}

routes! {
    /// Pages of figures.
    of_member, OF_MEMBER, "":
    get "/" => home::show;
    get "/search" => search::go;
    get "/reports" => reports::show;
    get "/reports.csv" => reports::csv;
    get "/reports.xlsx" => reports::xlsx;
    get "/conversions" => conversions::list;
    get "/conversions/new" => entering::show;
    post "/conversions/new" => entering::submit;
    get "/conversions/corrections" => corrections::show;
    post "/conversions/corrections" => corrections::submit;
    post "/conversions/corrections/undo" => corrections::undo;
    post "/conversions/corrections/waiting" => corrections::decide_waiting;
    get "/conversions/{id}" => conversion::show;
    post "/conversions/{id}" => conversions::decide;
    post "/conversions/{id}/corrections" => conversion::correct;
    get "/clicks/{click_id}" => clicks::show;
}
