//! Choice of the colour scheme: light, dark, or the system's.

use actix_web::cookie::{Cookie, SameSite, time};

use crate::forms::PostedForm;
use crate::shell::{PageResult, see_other, set_cookie};
use crate::urls;

/// `POST /theme`: stores the choice in a cookie and redirects back.
pub(super) async fn choose(form: PostedForm) -> PageResult {
    let choice = match form.get("theme") {
        choice @ ("light" | "dark") => choice,
        _ => "system",
    };
    let mut response = see_other(urls::local(form.get("here")))?;
    let cookie = Cookie::build("theme", choice)
        .path("/")
        .same_site(SameSite::Lax)
        .max_age(time::Duration::days(365))
        .finish();
    set_cookie(&mut response, &cookie);
    Ok(response)
}
