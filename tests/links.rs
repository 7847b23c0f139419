//! Tracking links created and changed on pages, and their permissions.

use reqwest::StatusCode;
use serde_json::json;
use testkit::{Member, TestApp};

/// Changes one setting of the scene's campaign and waits for every node.
async fn set(owner: &Member, app: &TestApp, field: &str, value: &str) {
    let page = format!("/campaigns/{}/settings", app.scene.campaign.id);
    let mut fields = vec![
        ("name", "Orbit campaign"),
        ("status", "live"),
        ("destination", "https://shop.example/?id={click_id}&s={sub1}"),
        ("attribution_days", "30"),
        ("destination_weight", "1"),
        ("access", "open"),
    ];
    fields.retain(|(name, _)| *name != field);
    fields.push((field, value));
    let saved = owner.submit(&page, &page, &fields).await;
    assert_eq!(saved.status, StatusCode::SEE_OTHER, "{field}: {}", saved.html);
}

#[tokio::test(flavor = "multi_thread")]
async fn an_affiliate_creates_a_link_and_sees_its_destination() {
    let app = TestApp::spawn().await;
    let owner = app.sign_in(&app.scene.owner).await;
    set(&owner, &app, "deep_link_hosts", "shop.example").await;
    let affiliate = app.sign_in(&app.scene.affiliate).await;
    let campaign = format!("/campaigns/{}", app.scene.campaign.id);
    let form = format!("{campaign}/links/new");
    let links = format!("{campaign}/links");
    let reserved = affiliate.submit(&form, &links, &[("alias", "postback")]).await;
    assert_eq!(reserved.status, StatusCode::UNPROCESSABLE_ENTITY);
    assert!(
        reserved.html.contains("This word is reserved"),
        "{}",
        reserved.html
    );
    let made = affiliate
        .submit(
            &form,
            &links,
            &[("alias", "spring"), ("sub1", "mail"), ("is_test", "yes")],
        )
        .await;
    let page = made.location().to_owned();
    let shown = affiliate.get(&page).await.html;
    assert!(
        !shown.contains(">test<"),
        "an affiliate creates no test links: {shown}"
    );
    assert!(
        shown.contains("https://shop.example/?id=CLICK_ID&#38;s=mail"),
        "{shown}"
    );

    let deep = "url=https%3A%2F%2Fwww.shop.example%2Fboots&sub1=a%26b";
    let shown = affiliate.get(&format!("{page}?{deep}")).await.html;
    assert!(
        shown.contains("/spring?sub1=a%26b&#38;url=https%3A%2F%2Fwww.shop.example%2Fboots"),
        "{shown}"
    );
    assert!(
        shown.contains("https://www.shop.example/boots?id=CLICK_ID"),
        "{shown}"
    );
    let elsewhere = affiliate
        .get(&format!("{page}?url=https%3A%2F%2Fevil.example%2F"))
        .await
        .html;
    assert!(
        elsewhere.contains("This campaign does not allow links to evil.example"),
        "{elsewhere}"
    );
    let picture = affiliate.get(&format!("{page}/qr.svg?{deep}")).await;
    assert!(picture.html.contains("<svg"), "{}", picture.html);

    // The click behaves as the page shows.
    let click = app.visitor_of("spring").click(&format!("?{deep}")).await;
    assert_eq!(
        click.location,
        format!("https://www.shop.example/boots?id={}", click.id)
    );
    app.finish().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn the_network_decides_which_affiliates_may_promote_a_campaign() {
    let app = TestApp::spawn().await;
    let owner = app.sign_in(&app.scene.owner).await;
    app.execute("DELETE FROM tracking_links").await;
    let affiliate = app.sign_in(&app.scene.affiliate).await;
    let campaign = format!("/campaigns/{}", app.scene.campaign.id);
    let settings = format!("{campaign}/settings");
    let (form, links) = (format!("{campaign}/links/new"), format!("{campaign}/links"));
    let decide = async |status: &str| {
        let affiliate = app.scene.affiliate_id.to_string();
        let fields = [("affiliate", affiliate.as_str()), ("status", status)];
        owner
            .submit(&settings, &format!("{campaign}/promoters"), &fields)
            .await;
    };
    assert!(
        affiliate.get("/campaigns").await.html.contains("Orbit campaign"),
        "open to all"
    );
    // The list of an affiliate has what a campaign pays, for which visitors, by which terms, and the next step.
    let program = app.program(&app.scene.owner).await;
    let wanted = json!({ "countries": ["DE", "AT"], "devices": ["mobile"], "terms": "No brand bidding" });
    let changed = program.patch(&campaign, &wanted).await;
    assert_eq!(changed.status, StatusCode::OK, "{}", changed.text);
    let listed = async || affiliate.get("/campaigns").await.html;
    let page = listed().await;
    for shown in ["10 %", "DE, AT · mobile", "No brand bidding", "Get link"] {
        assert!(page.contains(shown), "{shown} is missing in {page}");
    }
    set(&owner, &app, "terms", "").await;
    assert!(listed().await.contains("All countries · all devices"));

    set(&owner, &app, "access", "private").await;
    assert_eq!(affiliate.get(&campaign).await.status, StatusCode::NOT_FOUND);
    assert_eq!(
        affiliate.submit("/campaigns", &links, &[]).await.status,
        StatusCode::NOT_FOUND
    );

    set(&owner, &app, "access", "approval").await;
    let page = listed().await;
    assert!(
        page.contains(&format!("{campaign}#ask")) && !page.contains("Get link"),
        "{page}"
    );
    let page = affiliate.get(&campaign).await.html;
    assert!(
        page.contains("Request to promote this campaign") && !page.contains("links/new"),
        "{page}"
    );
    let refused = affiliate.submit(&campaign, &links, &[]).await;
    assert_eq!(refused.status, StatusCode::UNPROCESSABLE_ENTITY);
    let asked = affiliate
        .submit(
            &campaign,
            &format!("{campaign}/ask"),
            &[("note", "My <b>blog</b>")],
        )
        .await;
    assert_eq!(asked.location(), campaign);
    assert!(
        affiliate
            .get(&campaign)
            .await
            .html
            .contains("Your request to promote")
    );
    assert!(listed().await.contains(">applied<"));
    let twice = affiliate.submit(&campaign, &format!("{campaign}/ask"), &[]).await;
    assert_eq!(twice.status, StatusCode::CONFLICT);
    assert!(owner.get("/campaigns").await.html.contains("Pending requests: 1"));
    assert!(owner.get(&settings).await.html.contains("My &#60;b&#62;blog"));
    decide("approved").await;
    assert!(listed().await.contains("Get link"));
    let made = affiliate.submit(&form, &links, &[]).await;
    assert!(made.location().starts_with("/links/lnk_"), "{}", made.html);

    decide("declined").await;
    let refused = affiliate.submit(&campaign, &links, &[]).await;
    assert_eq!(
        refused.status,
        StatusCode::UNPROCESSABLE_ENTITY,
        "{}",
        refused.html
    );
    app.execute("DELETE FROM tracking_links").await;
    assert_eq!(
        affiliate.get(&campaign).await.status,
        StatusCode::NOT_FOUND,
        "declined, and no links left"
    );
    app.finish().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn links_are_created_for_many_affiliates_at_once_or_for_none() {
    let app = TestApp::spawn().await;
    let owner = app.sign_in(&app.scene.owner).await;
    let import = [("csv", "name\nFirst\nSecond\n"), ("confirm", "yes")];
    owner
        .submit("/affiliates/import", "/affiliates/import", &import)
        .await;
    let campaign = format!("/campaigns/{}", app.scene.campaign.id);
    let (form, links) = (format!("{campaign}/links/new"), format!("{campaign}/links"));
    let page = owner.get(&form).await.html;
    let ids: Vec<&str> = page
        .split("<option value=\"aff_")
        .skip(1)
        .map(|rest| rest.split('"').next().unwrap())
        .collect();
    assert_eq!(ids.len(), 3, "{page}");
    let ids: Vec<String> = ids.iter().map(|id| format!("aff_{id}")).collect();
    let mut fields: Vec<(&str, &str)> = ids.iter().map(|id| ("affiliate", id.as_str())).collect();
    let before = app.count("SELECT count(*) FROM tracking_links").await;
    let named = [fields.clone(), vec![("alias", "one")]].concat();
    let refused = owner.submit(&form, &links, &named).await;
    assert!(
        refused.html.contains("An alias belongs to one link"),
        "{}",
        refused.html
    );
    let last = owner.submit(&form, &links, &[("affiliate", "aff_0000010")]).await;
    assert!(
        last.html.contains("Choose one of your affiliates"),
        "{}",
        last.html
    );
    fields.push(("affiliate", "aff_0000010"));
    owner.submit(&form, &links, &fields).await;
    assert_eq!(
        app.count("SELECT count(*) FROM tracking_links").await,
        before,
        "all or none"
    );
    fields.pop();
    let made = owner.submit(&form, &links, &fields).await;
    assert_eq!(made.location(), campaign);
    assert_eq!(app.count("SELECT count(*) FROM tracking_links").await, before + 3);
    app.finish().await;
}

/// Clicks the scene's link until it leads there: changes in the database are notified with a short delay.
async fn click_leads_to(app: &TestApp, start: &str) {
    for _ in 0..50 {
        let click = app.visitor().click("").await;
        if click.location.starts_with(start) {
            return;
        }
        tokio::time::sleep(std::time::Duration::from_millis(50)).await;
    }
    panic!("the link does not lead to {start}");
}

#[tokio::test(flavor = "multi_thread")]
async fn an_affiliate_changes_the_destination_of_its_links_only() {
    let app = TestApp::spawn().await;
    let affiliate = app.sign_in(&app.scene.affiliate).await;
    let page = format!("/links/{}", app.scene.link_id);
    let landing_page = app.scene.landing_page_id.to_string();
    click_leads_to(&app, "https://shop.example/p?own=1").await;
    let change = [
        ("version", "1"),
        ("changed_landing_page", landing_page.as_str()),
        ("changed_sub1", "mail"),
        ("changed_alias", "mine"),
        ("changed_is_test", "yes"),
    ];
    let changed = affiliate.submit(&page, &page, &change).await;
    assert_eq!(changed.location(), page, "{}", changed.html);
    click_leads_to(&app, "https://shop.example/unused?id=").await;
    let shown = affiliate.get(&page).await.html;
    assert!(
        shown.contains("Unused page") && shown.contains("name=\"changed_sub1\" value=\"mail\""),
        "{shown}"
    );
    assert_eq!(
        app.text("SELECT sub1 FROM clicks ORDER BY id DESC LIMIT 1").await,
        "mail"
    );
    let link = format!(
        "SELECT concat_ws(' ', alias, affiliate_id, campaign_id, is_test, version) FROM tracking_links WHERE id = {}",
        app.scene.link_id.0
    );
    let stays = format!(
        "{} {} {} f 2",
        app.scene.alias, app.scene.affiliate_id.0, app.scene.campaign.id.0
    );
    assert_eq!(
        app.text(&link).await,
        stays,
        "fields that clicks carry never change"
    );
    assert_eq!(
        app.text(
            "SELECT author || ': ' || before || ' → ' || after FROM audit_log WHERE action = 'link.update'"
        )
        .await,
        format!(
            "Orbit affiliate: {{\"sub1\": null, \"landing_page\": null}} → {{\"sub1\": \"mail\", \"landing_page\": \"{landing_page}\"}}"
        )
    );

    // An edit conflict is refused, and so is a landing page of another campaign.
    let stale = affiliate.submit(&page, &page, &change).await;
    assert_eq!(
        stale.status,
        StatusCode::SEE_OTHER,
        "the same change again has no effect"
    );
    let stale = affiliate
        .submit(&page, &page, &[("version", "1"), ("changed_sub1", "late")])
        .await;
    assert_eq!(stale.status, StatusCode::CONFLICT, "{}", stale.html);
    let wrong = [
        ("version", "2"),
        ("changed_landing_page", "lp_0000010"),
        ("changed_sub2", "kept"),
    ];
    let wrong = affiliate.submit(&page, &page, &wrong).await;
    assert_eq!(wrong.status, StatusCode::UNPROCESSABLE_ENTITY);
    assert!(
        wrong
            .html
            .contains("Choose one of the campaign&#39;s landing pages.")
            && wrong.html.contains("value=\"kept\""),
        "{}",
        wrong.html
    );

    // Another affiliate's link is as absent, and an advertiser changes no link.
    let owner = app.sign_in(&app.scene.owner).await;
    let import = [("csv", "name\nOther\n"), ("confirm", "yes")];
    owner
        .submit("/affiliates/import", "/affiliates/import", &import)
        .await;
    let other = app.text("SELECT id FROM affiliates WHERE name = 'Other'").await;
    let other = schema::AffiliateId(other.parse().unwrap()).to_string();
    let campaign = format!("/campaigns/{}", app.scene.campaign.id);
    let made = owner
        .submit(
            &format!("{campaign}/links/new"),
            &format!("{campaign}/links"),
            &[("affiliate", &other)],
        )
        .await;
    let theirs = made.location().to_owned();
    let refused = affiliate.submit(&page, &theirs, &change).await;
    assert_eq!(refused.status, StatusCode::NOT_FOUND);
    let advertiser = app.sign_in(&app.scene.advertiser).await;
    let shown = advertiser.get(&page).await.html;
    assert!(!shown.contains("Save link") && !shown.contains("mail"), "{shown}");
    assert_eq!(
        app.count("SELECT count(*) FROM audit_log WHERE action = 'link.update'")
            .await,
        1
    );
    app.finish().await;
}
