//! Appearance of the pages in one browser: colour scheme, width of the rail and height of rows, each in a cookie.

use actix_web::cookie::{Cookie, SameSite, time};

use crate::forms::PostedForm;
use crate::shell::{PageResult, see_other, set_cookie};
use crate::urls;

/// `POST /theme`: stores the colour scheme (light, dark, or the system's) and redirects back.
pub(super) async fn choose_theme(form: PostedForm) -> PageResult {
    let choice = match form.get("theme") {
        choice @ ("light" | "dark") => choice,
        _ => "system",
    };
    store("theme", choice, &form)
}

/// `POST /rail`: stores the width of the rail and redirects back.
pub(super) async fn fold_rail(form: PostedForm) -> PageResult {
    let width = match form.get("rail") {
        "narrow" => "narrow",
        _ => "wide",
    };
    store("rail", width, &form)
}

/// `POST /density`: stores the height of the rows of reports and redirects back.
pub(super) async fn choose_density(form: PostedForm) -> PageResult {
    let height = match form.get("density") {
        height @ ("compact" | "comfortable") => height,
        _ => "standard",
    };
    store("density", height, &form)
}

fn store(name: &'static str, value: &str, form: &PostedForm) -> PageResult {
    let mut response = see_other(urls::local(form.get("here")))?;
    let cookie = Cookie::build(name, value)
        .path("/")
        .same_site(SameSite::Lax)
        .max_age(time::Duration::days(365))
        .finish();
    set_cookie(&mut response, &cookie);
    Ok(response)
}
