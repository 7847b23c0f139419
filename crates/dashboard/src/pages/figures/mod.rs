//! Pages of figures: home, reports, conversions, clicks, search.

mod clicks;
mod conversions;
mod home;
mod reports;
mod search;

use crate::routes::routes;

routes! {
    /// Pages of figures.
    of_member, OF_MEMBER, "":
    get "/" => home::show;
    get "/search" => search::go;
    get "/reports" => reports::show;
    get "/reports.csv" => reports::csv;
    get "/conversions" => conversions::list;
    post "/conversions/{id}" => conversions::decide;
    get "/clicks/{click_id}" => clicks::show;
}
