//! Invitations, and the operator's sign-in.

use reqwest::StatusCode;
use schema::clock;
use tenancy::people;

use crate::actors::{Member, Page};
use crate::app::TestApp;

/// Password that the rules accept.
pub const PASSWORD: &str = "four unlikely words here";

/// Returns the target of the redirect after a form.
#[must_use]
pub fn see_other(page: &Page) -> &str {
    assert_eq!(page.status, StatusCode::SEE_OTHER, "{}", page.html);
    page.location()
}

/// Returns the text of the element with this id.
#[must_use]
pub fn shown<'a>(page: &'a Page, id: &str) -> &'a str {
    let marker = format!("id=\"{id}\">");
    let (_, rest) = page
        .html
        .split_once(&marker)
        .unwrap_or_else(|| panic!("no {id} in {}", page.html));
    rest.split('<').next().unwrap()
}

/// Returns the path of a link to the dashboard.
#[must_use]
pub fn path<'a>(app: &TestApp, link: &'a str) -> &'a str {
    link.strip_prefix(&app.dashboard_url)
        .unwrap_or_else(|| panic!("{link} leads elsewhere"))
}

/// Invites a person with these fields and returns the path of the link on the page.
pub async fn invite(app: &TestApp, by: &Member, fields: &[(&str, &str)]) -> String {
    let sent = by.submit("/members", "/members/invite", fields).await;
    assert_eq!(see_other(&sent), "/members");
    let page = by.get("/members").await;
    path(app, shown(&page, "fresh-link")).to_owned()
}

/// Accepts an invitation as a new person.
pub async fn accept(app: &TestApp, link: &str, name: &str, password: &str) -> Member {
    let guest = app.stranger();
    let accepted = guest
        .submit(link, link, &[("name", name), ("password", password)])
        .await;
    assert_eq!(see_other(&accepted), "/");
    guest
}

/// Creates an operator and signs in.
pub async fn operator(app: &TestApp) -> Member {
    let hash = tenancy::Passwords::new().hash(PASSWORD).await.unwrap();
    let person = people::NewPerson {
        email: "ops@example.com",
        name: "Olga",
        password: Some(&hash),
        is_operator: true,
    };
    let mut conn = app.db.unscoped().await.unwrap();
    people::create(&mut conn, &person, clock::now()).await.unwrap();
    let operator = app.stranger();
    assert_eq!(
        see_other(&operator.try_sign_in("ops@example.com", PASSWORD).await),
        "/"
    );
    assert_eq!(
        see_other(&operator.get("/").await),
        "/ops",
        "an operator works for no network"
    );
    operator
}
