//! Pages of figures: home, reports, conversions, clicks, search.

mod change;
mod clicks;
mod conversion;
mod conversions;
mod corrections;
mod entering;
mod guide;
mod home;
mod report_files;
mod report_links;
mod report_mails;
mod report_rows;
mod reports;
mod saved_reports;
mod search;

use crate::routes::routes;

routes! {
    /// Pages without sign-in, for those who have a secret link.
    public, PUBLIC, "":
    get "/shared/{token}" => report_links::show;
    post "/shared/{token}" => report_links::enter;
    get "/report-mails/{token}/stop" => report_mails::ask_to_stop;
    post "/report-mails/{token}/stop" => report_mails::stop;
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
    get "/reports/views" => saved_reports::list;
    post "/reports/views" => saved_reports::create;
    get "/reports/views/{id}" => saved_reports::show;
    post "/reports/views/{id}" => saved_reports::update;
    post "/reports/views/{id}/remove" => saved_reports::remove;
    post "/reports/views/{id}/default" => saved_reports::set_default;
    get "/reports/files" => report_files::list;
    post "/reports/files" => report_files::create;
    get "/reports/files/{id}" => report_files::download;
    post "/reports/files/{id}/remove" => report_files::remove;
    get "/reports/links" => report_links::list;
    post "/reports/links" => report_links::create;
    post "/reports/links/{id}/revoke" => report_links::revoke;
    get "/reports/mails" => report_mails::list;
    post "/reports/mails" => report_mails::create;
    get "/reports/mails/{id}" => report_mails::show;
    post "/reports/mails/{id}" => report_mails::update;
    post "/reports/mails/{id}/remove" => report_mails::remove;
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
