//! Pages of operators: networks and their report, operator log, health of the nodes.

mod health;
mod log;
mod monitoring;
mod network;
mod networks;
mod report;
mod running;

use crate::routes::routes;

routes! {
    /// Guides of operators, without sign-in.
    public, PUBLIC, "":
    get "/docs/running" => running::show;
    get "/docs/monitoring" => monitoring::show;
}

routes! {
    /// Pages of operators.
    of_operator, OF_OPERATOR, "/ops":
    get "" => networks::list;
    post "/networks" => networks::create;
    get "/networks/{id}" => network::show;
    post "/networks/{id}/status" => network::set_status;
    post "/networks/{id}/limits" => network::set_limits;
    post "/networks/{id}/act" => network::impersonate;
    post "/networks/{id}/erase" => network::erase;
    get "/report" => report::show;
    get "/report.csv" => report::file;
    get "/log" => log::list;
    get "/node" => health::show;
    post "/node/{id}/forget" => health::forget;
}
