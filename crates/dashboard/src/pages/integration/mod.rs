//! Pages of the integration of an advertiser's server, for all its campaigns or for one.

mod advertiser;
mod campaign;
mod overview;
mod settings;
mod snippets;

use crate::routes::routes;

routes! {
    /// Pages of integrations.
    of_member, OF_MEMBER, "":
    get "/campaigns/{id}/integration" => campaign::show;
    post "/campaigns/{id}/integration" => campaign::update;
    post "/campaigns/{id}/integration/make" => campaign::make;
    post "/campaigns/{id}/integration/token" => campaign::new_token;
    post "/campaigns/{id}/integration/secret" => campaign::new_secret;
    post "/campaigns/{id}/integration/remove" => campaign::remove;
    get "/integration" => advertiser::own;
    get "/integration/{id}" => advertiser::show;
    post "/integration/{id}" => settings::update;
    post "/integration/{id}/token" => advertiser::new_token;
    post "/integration/{id}/secret" => settings::new_secret;
}
