//! Pages of those who run the installation.

mod health;
mod networks;

use crate::routes::routes;

routes! {
    /// What those see who run the installation.
    of_operator, OF_OPERATOR, "/ops":
    get "" => networks::list;
    post "/networks" => networks::create;
    get "/networks/{id}" => networks::show;
    post "/networks/{id}/status" => networks::set_status;
    post "/networks/{id}/limits" => networks::set_limits;
    post "/networks/{id}/act" => networks::act;
    post "/networks/{id}/erase" => networks::erase;
    get "/log" => networks::log;
    get "/node" => health::show;
}
