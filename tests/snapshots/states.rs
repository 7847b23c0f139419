//! Pages of the owner: filtered lists, postbacks of each verdict, a simulation.

use crate::fixture::Fixture;
use crate::pages::text_of;
use crate::recorder::Recorder;
use testkit::Page;

/// Makes the snapshots.
pub(crate) async fn check(fixture: &Fixture) {
    let mut snapshots = Recorder::new("pages/states");
    for (reason, postback) in &fixture.postbacks {
        let page = fixture.owner.get(&format!("/postbacks/{postback}")).await;
        snapshots.check(&format!("postback.{reason}"), &text_of(&fixture.redaction, &page));
    }
    let advertiser = fixture.app.sign_in(&fixture.app.scene.advertiser).await;
    let page = advertiser
        .get(&format!("/postbacks/{}", fixture.postbacks["accepted"]))
        .await;
    snapshots.check(
        "postback.accepted.advertiser",
        &text_of(&fixture.redaction, &page),
    );
    for (name, path) in [
        ("conversions.pending", "/conversions?status=pending"),
        ("conversions.order", "/conversions?order=A-2"),
        ("postbacks.held", "/postbacks?status=held"),
        ("postbacks.reason", "/postbacks?reason=goal_unknown"),
        ("postbacks.paused", "/postbacks?live=off"),
        ("alerts.open", "/alerts?open=yes"),
        ("reports.day", "/reports?group=day"),
        ("reports.affiliate", "/reports?group=affiliate"),
        ("reports.empty", "/reports?from=2020-01-01&to=2020-01-02"),
        ("audit.links", "/settings/audit?action=link.create"),
        ("docs.accepted", "/docs/reasons/accepted"),
        ("docs.rate_limited", "/docs/reasons/rate_limited"),
    ] {
        let page = fixture.owner.get(path).await;
        snapshots.check(name, &text_of(&fixture.redaction, &page));
    }
    let simulate = format!("/campaigns/{}/test", fixture.app.scene.campaign.id);
    let page = fixture
        .owner
        .submit(&simulate, &format!("{simulate}/simulate"), &[])
        .await;
    // Its own click may not be stored yet.
    let text = text_of(&fixture.redaction, &page);
    let (counted, stored) = (
        "Test clicks in the last 30 days: 1",
        "Test clicks in the last 30 days: 2",
    );
    assert_ne!(text.contains(counted), text.contains(stored), "{text}");
    snapshots.check("simulation", &text.replace(stored, counted));
    for (name, page) in hosts(fixture).await {
        snapshots.check(name, &text_of(&fixture.redaction, &page));
    }
    snapshots.finish();
}

/// Settings with a host that is claimed, checked, proven and lost.
async fn hosts(fixture: &Fixture) -> Vec<(&'static str, Page)> {
    const ADD: &str = "INSERT INTO host_claims (network_id, host, token, claimed_at, check_after)
         VALUES ($n, 'go.orbit.example', repeat('0', 32), now(), now() + interval '1 day')";
    const CHECK: &str = r#"UPDATE host_claims SET checked_at = now(), answers = '{"txt": {"records": ["another <value>"]},
         "cname": "silent", "addresses": {"records": ["198.51.100.7"]}, "own_addresses": {"records": ["192.0.2.1"]}}'
         WHERE host = 'go.orbit.example'"#;
    const PROVE: &str = "INSERT INTO tracking_hosts (host, network_id, proven_at, proof)
         VALUES ('go.orbit.example', $n, now(), 'cname')";
    const LOSE: &str = "UPDATE host_claims SET lost_at = now() WHERE host = 'go.orbit.example'";
    let network = fixture.app.scene.network.id.0.to_string();
    let mut pages = Vec::new();
    for (name, sql) in [
        ("host.claimed", ADD),
        ("host.checked", CHECK),
        ("host.proven", PROVE),
        ("host.lost", LOSE),
    ] {
        fixture.app.execute(&sql.replace("$n", &network)).await;
        pages.push((name, fixture.owner.get("/settings").await));
    }
    for table in ["host_claims", "tracking_hosts"] {
        let sql = format!("DELETE FROM {table} WHERE host = 'go.orbit.example'");
        fixture.app.execute(&sql).await;
    }
    pages
}
