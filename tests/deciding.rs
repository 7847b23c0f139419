//! Decisions end to end: goal chains, attribution without a click, commission rules, caps, test conversions, wrong
//! click IDs, and paused advertisers.

use campaigns::campaigns::CampaignStatus;
use campaigns::caps::{self, CapPeriod, Metric, NewCap};
use campaigns::coupons::{self, Coupon};
use campaigns::goals::{Chain, GoalKind, GoalSettings, UniqueBy};
use campaigns::links::{self, NewLink};
use campaigns::rules::{self, Conditions, RuleSettings};
use reqwest::{Method, StatusCode};
use schema::clock;
use tenancy::Author;
use testkit::{PAY, TestApp};

#[tokio::test(flavor = "multi_thread")]
async fn a_sale_received_before_its_signup_is_held_for_it() {
    let app = TestApp::spawn().await;
    let signup = GoalSettings {
        unique_by: UniqueBy::Customer,
        ..GoalSettings::new("signup", "Signup", GoalKind::Lead, PAY)
    };
    let signup = app.add_goal(&signup).await;
    app.change_sale(|sale| sale.chain.parent_goal_id = Some(signup.id))
        .await;
    let renewal = GoalSettings {
        chain: Chain {
            parent_goal_id: Some(app.scene.sale_id),
            times_per_parent: Some(2),
            ..Chain::default()
        },
        ..GoalSettings::new("renewal", "Renewal", GoalKind::Sale, PAY)
    };
    app.add_goal(&renewal).await;
    let (click, server) = (app.visitor().click("").await, app.advertiser());
    let call = async |goal: &str, order: &str| {
        let customer = [
            ("goal", goal),
            ("customer_id", "c-1"),
            ("order_id", order),
            ("amount", "50"),
        ];
        server
            .postback(&[&customer[..], &[("click_id", &click.id)]].concat())
            .await
    };
    let renewed = call("renewal", "R-1").await;
    assert_eq!(renewed.reason(), "waiting_for_parent", "{}", renewed.text);
    let sold = call("sale", "S-1").await;
    assert_eq!(sold.reason(), "waiting_for_parent", "{}", sold.text);
    assert!(
        sold.get("message")
            .contains("The parent goal signup of sale has not been reached yet."),
        "{}",
        sold.text
    );
    assert_eq!(app.count("SELECT count(*) FROM conversions").await, 0);
    let signed_up = server
        .postback(&[
            ("goal", "signup"),
            ("customer_id", "c-1"),
            ("click_id", &click.id),
        ])
        .await;
    assert_eq!(signed_up.reason(), "accepted", "{}", signed_up.text);
    // The whole goal chain is decided in the transaction that stored the signup.
    assert_eq!(app.count("SELECT count(*) FROM conversions").await, 3);
    assert_eq!(
        app.count("SELECT count(*) FROM postbacks WHERE status = 'held'")
            .await,
        0
    );
    assert_eq!(
        app.count("SELECT count(*) FROM postbacks WHERE decided_at IS NOT NULL")
            .await,
        2
    );
    assert_eq!(call("renewal", "R-2").await.reason(), "accepted");
    assert_eq!(call("renewal", "R-3").await.reason(), "parent_exhausted");
    assert_eq!(
        call("renewal", "R-2").await.reason(),
        "duplicate_order",
        "a repeated order does not count as another"
    );
    app.finish().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn without_a_click_a_conversion_is_attributed_by_customer_coupon_or_affiliate() {
    let app = TestApp::spawn().await;
    let mut conn = app.network().await;
    let coupon = Coupon {
        campaign_id: app.scene.campaign.id,
        code: "SPRING20".into(),
        affiliate_id: app.scene.affiliate_id,
    };
    coupons::create(&mut conn, &Author::system(), &coupon, clock::now())
        .await
        .unwrap();
    conn.commit().await.unwrap();
    let (click, server) = (app.visitor().click("").await, app.advertiser());
    let early = server
        .postback(&[("customer_id", "c-9"), ("order_id", "0"), ("amount", "10")])
        .await;
    assert_eq!(early.reason(), "waiting_for_customer", "{}", early.text);
    let with_click = server
        .postback(&[
            ("customer_id", "c-9"),
            ("order_id", "1"),
            ("amount", "10"),
            ("click_id", &click.id),
        ])
        .await;
    assert_eq!(with_click.reason(), "accepted");
    let affiliate = app.scene.affiliate_id.to_string();
    for parameters in [
        [("customer_id", "c-9"), ("order_id", "2")],
        [("coupon", "spring20"), ("order_id", "3")],
        [("partner_key", affiliate.as_str()), ("order_id", "4")],
    ] {
        let answer = server
            .postback(&[&parameters[..], &[("amount", "10")]].concat())
            .await;
        assert_eq!(answer.reason(), "accepted", "{parameters:?}: {}", answer.text);
    }
    let by = "SELECT string_agg(attributed_by, ' ' ORDER BY order_id) FROM conversions";
    assert_eq!(app.text(by).await, "customer click customer coupon affiliate");
    for (parameters, reason) in [
        ([("coupon", "UNKNOWN"), ("order_id", "5")], "coupon_unknown"),
        (
            [("partner_key", "unknown"), ("order_id", "6")],
            "affiliate_unknown",
        ),
        ([("note", "x"), ("order_id", "7")], "click_id_missing"),
    ] {
        let answer = server
            .postback(&[&parameters[..], &[("amount", "10")]].concat())
            .await;
        assert_eq!(answer.reason(), reason, "{}", answer.text);
    }
    app.finish().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn the_campaign_sets_the_order_of_proofs() {
    let app = TestApp::spawn().await;
    let server = app.advertiser();
    for (order, parameters, by, words) in [
        ("click, coupon", "coupon=SCENE", "click", ""),
        (
            "coupon, click",
            "coupon=SCENE",
            "coupon",
            "click_id: the campaign attributes by coupon first",
        ),
        ("coupon, click", "coupon=UNKNOWN", "click", ""),
        ("coupon, click", "coupon=NONE,SCENE", "coupon", ""),
        ("click, customer", "customer_id=c1", "click", ""),
        (
            "customer, click",
            "customer_id=c1",
            "customer",
            "click_id: the campaign attributes by customer first",
        ),
    ] {
        app.change_campaign(|campaign| campaign.attribution_order = schema::Words::typed(order))
            .await;
        let click = app.visitor().click("").await;
        let answer = server
            .call(&format!(
                "/postback?token={1}&goal=sale&click_id={0}&order_id={0}&amount=10&{parameters}",
                click.id, app.scene.token
            ))
            .await;
        assert_eq!(answer.reason(), "accepted", "{order}: {}", answer.text);
        assert!(answer.text.contains(words), "{order}: {}", answer.text);
        let last = "SELECT attributed_by FROM conversions ORDER BY id DESC LIMIT 1";
        assert_eq!(app.text(last).await, by, "{order} {parameters}");
    }
    for (order, proof, reason, message) in [
        (
            "click",
            "coupon=SCENE",
            "coupon_unknown",
            "does not attribute by coupon.",
        ),
        (
            "coupon",
            "click_id",
            "click_id_missing",
            "does not attribute by click.",
        ),
    ] {
        app.change_campaign(|campaign| campaign.attribution_order = schema::Words::typed(order))
            .await;
        let click = app.visitor().click("").await;
        let proof = proof.replace("click_id", &format!("click_id={}", click.id));
        let answer = server
            .call(&format!(
                "/postback?token={}&goal=sale&order_id={order}&amount=10&{proof}",
                app.scene.token
            ))
            .await;
        assert_eq!(answer.reason(), reason, "{order}: {}", answer.text);
        assert!(answer.get("message").ends_with(message), "{}", answer.text);
    }
    app.finish().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn rules_tiers_caps_and_holds_decide_what_is_paid() {
    let app = TestApp::spawn().await;
    app.change_sale(|sale| {
        sale.auto_approve = true;
        sale.hold_days = 7;
    })
    .await;
    let mut conn = app.network().await;
    let (author, now) = (Author::system(), clock::now());
    for (position, conditions, rate) in [
        (
            2,
            Conditions {
                sub_number: Some(1),
                sub_value: Some("vip".into()),
                ..Conditions::default()
            },
            500_000,
        ),
        (
            3,
            Conditions {
                month_from: Some(4),
                ..Conditions::default()
            },
            200_000,
        ),
    ] {
        let rule = RuleSettings {
            name: format!("Rule {position}"),
            position,
            conditions,
            commission_fixed_micros: 0,
            commission_rate_ppm: rate,
            revenue_fixed_micros: 0,
            revenue_rate_ppm: rate,
        };
        rules::create(&mut conn, &author, app.scene.sale_id, &rule, now)
            .await
            .unwrap();
    }
    let cap = NewCap {
        campaign_id: app.scene.campaign.id,
        affiliate_id: Some(app.scene.affiliate_id),
        metric: Metric::Revenue,
        period: CapPeriod::Month,
        most: 150_000_000,
        currency: None,
    };
    caps::create(&mut conn, &author, &cap, now).await.unwrap();
    conn.commit().await.unwrap();
    let server = app.advertiser();
    let (plain, vip) = (
        app.visitor().click("").await,
        app.visitor().click("?sub1=vip").await,
    );
    for (order, click, reason) in [
        ("1", &plain, "accepted"),
        ("2", &vip, "accepted"),
        ("3", &plain, "accepted"),
        ("4", &plain, "accepted"),
        ("5", &plain, "accepted"),
        ("6", &vip, "cap_reached"),
    ] {
        let answer = server
            .postback(&[("click_id", &click.id), ("order_id", order), ("amount", "100")])
            .await;
        // The applier may not have stored a click that is milliseconds old.
        assert!(
            answer.reason() == reason || answer.reason() == "waiting_for_click",
            "{order}: {}",
            answer.text
        );
        app.eventually(
            &format!("SELECT count(*) FROM conversions WHERE order_id = '{order}'"),
            "1",
        )
        .await;
    }
    // The goal's 10 %, the VIP rule's 50 %, 10 %, then the tier's 20 % twice; the last order exceeds the cap.
    let commissions =
        "SELECT string_agg((commission_micros / 1000000)::text, ' ' ORDER BY order_id) FROM conversions";
    assert_eq!(app.text(commissions).await, "10 50 10 20 20 0");
    assert_eq!(
        app.text("SELECT string_agg(unpaid_because, ' ') FROM conversions")
            .await,
        "cap_reached"
    );
    assert_eq!(
        app.count("SELECT count(*) FROM conversions WHERE status = 'pending' AND hold_until > now()")
            .await,
        6
    );
    app.execute("UPDATE conversions SET hold_until = now() - interval '1 second' WHERE order_id < '3'")
        .await;
    app.eventually("SELECT coalesce(string_agg(order_id, ' ' ORDER BY order_id), '') FROM conversions WHERE status = 'approved'",
        "1 2",
    )
    .await;
    app.finish().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn test_postbacks_are_decided_like_all_others_and_leave_the_ledger_unchanged() {
    let app = TestApp::spawn().await;
    let mut conn = app.network().await;
    let link = NewLink {
        is_test: true,
        ..NewLink::plain(app.scene.affiliate_id, app.scene.campaign.id, "try-it")
    };
    links::create(&mut conn, &Author::system(), &link, clock::now())
        .await
        .unwrap();
    conn.commit().await.unwrap();
    let server = app.advertiser();
    let live = app.visitor().click("").await;
    let wrong = server
        .postback(&[
            ("click_id", &live.id),
            ("order_id", "1"),
            ("amount", "1"),
            ("test", "1"),
        ])
        .await;
    assert_eq!(wrong.reason(), "wrong_mode");
    let test = app.visitor_of("try-it").click("").await;
    let order = async |order: &str| {
        server
            .postback(&[("click_id", &test.id), ("order_id", order), ("amount", "100")])
            .await
    };
    let first = order("T-1").await;
    assert_eq!(
        (first.reason(), first.get("mode")),
        ("test_accepted", "test"),
        "{}",
        first.text
    );
    assert_eq!(order("T-1").await.get("status"), "duplicate");
    assert_eq!(order("T-2").await.reason(), "test_accepted");
    assert_eq!(
        app.text("SELECT string_agg((commission_micros / 1000000)::text, ' ') FROM test_conversions")
            .await,
        "10 10"
    );
    for table in ["conversions", "ledger_entries", "conversion_rollups"] {
        assert_eq!(
            app.count(&format!("SELECT count(*) FROM {table}")).await,
            0,
            "{table}"
        );
    }
    // A live link of a campaign in testing does not redirect.
    app.change_campaign(|campaign| campaign.status = CampaignStatus::Testing)
        .await;
    tokio::time::sleep(std::time::Duration::from_millis(1_100)).await;
    assert_eq!(
        app.visitor().request(Method::GET, "").await.status(),
        StatusCode::NOT_FOUND
    );
    assert_eq!(
        app.visitor_of("try-it").request(Method::GET, "").await.status(),
        StatusCode::FOUND
    );
    app.finish().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn a_wrong_click_id_is_explained() {
    let app = TestApp::spawn().await;
    let (click, server) = (app.visitor().click("").await, app.advertiser());
    let id = click.id.as_str();
    let upper = id.to_uppercase();
    let short = &id[..32];
    let (quoted, braced) = (format!("\"{id}\""), format!("{{{id}}}"));
    let twice: String = id.bytes().map(|byte| format!("%{byte:02X}")).collect();
    for (sent, reason, explanation) in [
        (upper.as_str(), "click_not_found", "differ only in letter case"),
        (short, "click_not_found", "so it was truncated"),
        (&quoted, "click_not_found", "brackets or quotes"),
        (&braced, "click_not_found", "brackets or quotes"),
        (&twice, "click_not_found", "percent-encoded twice"),
        ("{click_id}", "macro_unreplaced", "placeholder"),
        ("[[subid]]", "macro_unreplaced", "placeholder"),
        ("undefined", "macro_unreplaced", "placeholder"),
        ("banana", "click_not_found", "it is not in our format"),
    ] {
        let answer = server
            .postback(&[("click_id", sent), ("order_id", "1"), ("amount", "1")])
            .await;
        assert_eq!(answer.reason(), reason, "{sent}: {}", answer.text);
        assert!(
            answer.get("message").contains(explanation),
            "{sent}: {}",
            answer.text
        );
    }
    let misplaced = server
        .postback(&[
            ("click_id", "banana"),
            ("sub3", id),
            ("order_id", "1"),
            ("amount", "1"),
        ])
        .await;
    assert!(
        misplaced
            .get("message")
            .contains("sub3 holds one of our click IDs"),
        "{}",
        misplaced.text
    );
    // Among several click IDs, the most recent one counts.
    let later = app.visitor().click("").await;
    let both = format!("{id},{}", later.id);
    let accepted = server
        .postback(&[("click_id", &both), ("order_id", "1"), ("amount", "1")])
        .await;
    assert_eq!(accepted.reason(), "accepted", "{}", accepted.text);
    app.change_integration(|integration| integration.ignores_letter_case = true)
        .await;
    tokio::time::sleep(std::time::Duration::from_millis(1_100)).await;
    let upper = server
        .postback(&[("click_id", &upper), ("order_id", "2"), ("amount", "1")])
        .await;
    assert_eq!(upper.reason(), "accepted", "{}", upper.text);
    app.finish().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn a_paused_advertiser_gets_no_visitors_and_no_new_orders_but_existing_orders_can_change() {
    let app = TestApp::spawn().await;
    let (click, server) = (app.visitor().click("").await, app.advertiser());
    let call = async |order: &str, parameters: &[(&str, &str)]| {
        let order = [("click_id", click.id.as_str()), ("order_id", order)];
        server.postback(&[&order[..], parameters].concat()).await
    };
    let before = call("1", &[("amount", "100")]).await;
    assert_eq!(before.reason(), "accepted", "{}", before.text);
    let owner = app.sign_in(&app.scene.owner).await;
    let page = format!("/advertisers/{}", app.scene.advertiser_id);
    let set = async |status: &str, version: &str| {
        let fields = [("name", "Orbit Shop"), ("status", status), ("version", version)];
        let saved = owner.submit(&page, &page, &fields).await;
        assert_eq!(saved.status, StatusCode::SEE_OTHER, "{}", saved.html);
        tokio::time::sleep(std::time::Duration::from_millis(1_100)).await;
    };
    set("paused", "1").await;
    let sent = app.visitor().request(Method::GET, "").await;
    assert_eq!(sent.status(), StatusCode::NOT_FOUND);
    assert!(sent.text().await.unwrap().contains("This offer is paused"));
    let refused = call("2", &[("amount", "100")]).await;
    assert_eq!(
        (refused.status, refused.reason()),
        (StatusCode::UNPROCESSABLE_ENTITY, "advertiser_paused"),
        "{}",
        refused.text
    );
    let refunded = call("1", &[("refund", "30")]).await;
    assert_eq!(refunded.reason(), "updated", "{}", refunded.text);
    // Only the network sees the day of the pause.
    let shown = format!("/postbacks/{}", refused.get("request_id"));
    let since = format!("since {}", clock::now().format("%F"));
    let theirs = app.sign_in(&app.scene.advertiser).await.get(&shown).await.html;
    assert!(owner.get(&shown).await.html.contains(&since) && !theirs.contains(&since));
    assert!(!refused.text.contains(&since), "{}", refused.text);
    set("active", "2").await;
    app.visitor().click("").await;
    let list = "/postbacks?reason=advertiser_paused";
    let replay = [("reason", "advertiser_paused"), ("how", "real")];
    let asked = owner.submit(list, "/postbacks/replay", &replay).await;
    assert_eq!(asked.status, StatusCode::SEE_OTHER, "{}", asked.html);
    app.eventually("SELECT reason FROM postbacks WHERE order_id = '2'", "accepted")
        .await;
    app.finish().await;
}
