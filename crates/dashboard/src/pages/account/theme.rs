//! Light, dark, or as the system has it.

use actix_web::cookie::{Cookie, SameSite, time};

use super::sign_in::local;
use crate::forms::PostedForm;
use crate::shell::{PageResult, see_other, set_cookie};

/// `POST /theme`: remembers the choice and goes back to where it was made.
pub(super) async fn choose(form: PostedForm) -> PageResult {
    let choice = match form.get("theme") {
        choice @ ("light" | "dark") => choice,
        _ => "system",
    };
    let mut response = see_other(local(form.get("here")))?;
    let cookie = Cookie::build("theme", choice)
        .path("/")
        .same_site(SameSite::Lax)
        .max_age(time::Duration::days(365))
        .finish();
    set_cookie(&mut response, &cookie);
    Ok(response)
}
