//! Search for ids, orders, names, addresses and aliases.

use reqwest::StatusCode;
use testkit::TestApp;

#[tokio::test(flavor = "multi_thread")]
async fn a_search_for_an_id_leads_to_its_object() {
    let app = TestApp::spawn().await;
    let owner = app.sign_in(&app.scene.owner).await;
    let click = app.visitor().click("").await;
    let answer = app
        .advertiser()
        .postback(&[("click_id", &click.id), ("order_id", "A-1"), ("amount", "1")])
        .await;
    let click_page = format!("/clicks/{}", click.id);
    let postback_page = format!("/postbacks/{}", answer.get("request_id"));
    let campaign_page = format!("/campaigns/{}", app.scene.campaign.id);
    for (wanted, found) in [
        (click.id.as_str(), click_page.as_str()),
        (answer.get("conversion_id"), click_page.as_str()),
        (answer.get("request_id"), postback_page.as_str()),
        (&app.scene.campaign.id.to_string(), campaign_page.as_str()),
        ("A-1", "/conversions?order=A-1"),
    ] {
        let page = owner.get(&format!("/search?q={wanted}")).await;
        assert_eq!(page.location(), found);
        assert_eq!(owner.get(found).await.status, StatusCode::OK, "{found}");
    }
    app.finish().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn a_search_finds_names_addresses_aliases_and_ids_that_the_role_may_see() {
    let app = TestApp::spawn().await;
    let owner = app.sign_in(&app.scene.owner).await;
    // One match leads to its page.
    for (wanted, found) in [
        (
            app.scene.link_id.to_string(),
            format!("/links/{}", app.scene.link_id),
        ),
        (
            app.scene.sale_id.to_string(),
            format!("/goals/{}", app.scene.sale_id),
        ),
        (app.scene.alias.clone(), format!("/links/{}", app.scene.link_id)),
        (app.scene.owner.email.clone(), "/members".to_owned()),
        (
            "oRBIT camp".to_owned(),
            format!("/campaigns/{}", app.scene.campaign.id),
        ),
    ] {
        let page = owner.get(&format!("/search?q={wanted}")).await;
        assert_eq!(page.location(), found, "{wanted}: {}", page.html);
    }
    // Several are listed.
    let page = owner.get("/search?q=orbit").await.html;
    for kind in ["Campaign", "Advertiser", "Affiliate", "Person"] {
        assert!(page.contains(&format!("<td>{kind}</td>")), "{kind}: {page}");
    }
    let affiliate = app.sign_in(&app.scene.affiliate).await;
    for wanted in [&app.scene.owner.email, "Orbit Shop"] {
        let page = affiliate.get(&format!("/search?q={wanted}")).await;
        assert_eq!(page.status, StatusCode::OK);
        assert!(page.html.contains("No order, name, email address"), "{wanted}");
    }
    app.finish().await;
}
