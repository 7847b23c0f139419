//! Trackers, conversions and waits that the tests of deliveries share.

use delivery::Guard;
use delivery::destinations::{self, Destination, DestinationKind, DestinationSettings, Owner};
use schema::{AffiliateId, clock};
use serde_json::json;
use tenancy::Author;
use testkit::{Receiver, TestApp};

/// Settings of a tracker at this URL, with all events.
pub(crate) fn settings(url: &str) -> DestinationSettings {
    let mut draft = DestinationSettings::fresh(DestinationKind::Postback);
    draft.set("name", "Tracker");
    draft.set("url", url);
    draft.set("events", "created approved rejected reversed reopened adjusted");
    let guard = Guard::new(vec!["127.0.0.0/8".parse().unwrap()]);
    let checked = DestinationSettings::check(&mut draft, DestinationKind::Postback, &guard);
    checked.unwrap_or_else(|| panic!("{:?}", draft.errors))
}

pub(crate) async fn create(
    app: &TestApp,
    affiliate: AffiliateId,
    settings: &DestinationSettings,
) -> Destination {
    let mut conn = app.network().await;
    let (author, owner) = (Author::system(), Owner::Affiliate(affiliate));
    let made = destinations::create(&mut conn, &author, &app.secret, owner, settings, clock::now()).await;
    let (made, signing) = made.unwrap();
    assert!(signing.is_none());
    conn.commit().await.unwrap();
    made
}

/// Tracker of the scene's affiliate.
pub(crate) async fn tracker(app: &TestApp, receiver: &Receiver, query: &str) -> Destination {
    let url = format!("{}/pb?{query}", receiver.url());
    create(app, app.scene.affiliate_id, &settings(&url)).await
}

pub(crate) async fn convert(app: &TestApp, sub1: &str, order: &str) -> String {
    let click = app.visitor().click(&format!("?sub1={sub1}&sub2=two")).await;
    let answer = app
        .advertiser()
        .postback(&[("click_id", &click.id), ("order_id", order), ("amount", "10")])
        .await;
    assert_eq!(answer.reason(), "accepted", "{}", answer.text);
    answer.get("conversion_id").to_owned()
}

/// Approves or rejects a conversion.
pub(crate) async fn decide(app: &TestApp, conversion: &str, verb: &str) {
    let program = app.program(&app.scene.owner).await;
    let path = format!("/conversions/{conversion}/{verb}");
    let answer = program.post(&path, &json!({ "reason": "checked" })).await;
    assert!(answer.status.is_success(), "{verb}: {}", answer.text);
}

/// Waits until the deliveries have these states, in alphabetical order.
pub(crate) async fn states(app: &TestApp, expected: &str) {
    let states = "SELECT coalesce(string_agg(n || ' ' || state, ', ' ORDER BY state), '')
                  FROM (SELECT state, count(*) AS n FROM deliveries GROUP BY state) s";
    app.eventually(states, expected).await;
}
