//! Pages of operators: networks, operator log, health of the nodes.

mod health;
mod log;
mod network;
mod networks;

use crate::routes::routes;

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
    get "/log" => log::list;
    get "/node" => health::show;
    post "/node/{id}/forget" => health::forget;
}
