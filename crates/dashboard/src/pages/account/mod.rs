//! Pages of a person's account: sign-in, sign-up, invitations, applications, profile, password, two-factor authentication.

mod appearance;
mod invitation;
mod join;
mod password;
pub(super) mod profile;
mod second_factor;
mod setup;
pub(super) mod sign_in;
mod sign_up;

use crate::routes::routes;

routes! {
    /// Pages without sign-in.
    public, PUBLIC, "":
    get "/sign-in" => sign_in::show;
    post "/sign-in" => sign_in::submit;
    get "/sign-in/code" => sign_in::ask_for_code;
    post "/sign-in/code" => sign_in::check_code;
    get "/sign-in/link/{token}" => sign_in::show_link;
    post "/sign-in/link/{token}" => sign_in::use_link;
    post "/sign-out" => sign_in::sign_out;
    get "/forgot" => password::ask;
    post "/forgot" => password::mail;
    get "/reset/{token}" => password::show_reset;
    post "/reset/{token}" => password::reset;
    get "/sign-up" => sign_up::show;
    post "/sign-up" => sign_up::submit;
    get "/setup/{token}" => setup::show;
    post "/setup/{token}" => setup::submit;
    get "/invitations/{token}" => invitation::show;
    post "/invitations/{token}" => invitation::accept;
    get "/join/{slug}" => join::show;
    post "/join/{slug}" => join::apply;
    get "/join/{slug}/{token}" => join::status;
    post "/theme" => appearance::choose_theme;
    post "/rail" => appearance::fold_rail;
    post "/density" => appearance::choose_density;
}

routes! {
    /// Pages of the signed-in person, in any network or none.
    of_person, OF_PERSON, "/account":
    get "" => profile::show;
    post "/name" => profile::rename;
    post "/password" => profile::change_password;
    post "/sessions/end-others" => profile::end_others;
    post "/sessions/{id}/end" => profile::end_session;
    post "/switch" => profile::switch;
    post "/leave" => profile::leave;
    get "/second-factor" => second_factor::show;
    post "/second-factor" => second_factor::confirm;
    post "/second-factor/remove" => second_factor::remove;
    post "/second-factor/recovery-codes" => second_factor::fresh_codes;
}
