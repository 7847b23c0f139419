//! Postbacks of other systems, end to end: the five priority dialects as documented, and one of each kind.
#![expect(clippy::unwrap_used, reason = "a test fails on any error")]

use campaigns::campaigns as campaign_table;
use campaigns::goals::{self, GoalKind, GoalSettings, UniqueBy};
use campaigns::integrations;
use campaigns::terms::{Pay, Terms};
use reqwest::{Method, StatusCode};
use schema::clock;
use tenancy::Author;
use testkit::TestApp;

/// Network whose advertiser migrates from another system: no token required, and the campaign has its former id.
async fn migrated(external_id: &str) -> TestApp {
    let app = TestApp::spawn().await;
    let mut conn = app.network().await;
    let (author, now) = (Author::system(), clock::now());
    let mut settings = app.scene.campaign.settings();
    settings.external_id = Some(external_id.to_owned());
    campaign_table::update(&mut conn, &author, app.scene.campaign.id, &settings, now)
        .await
        .unwrap();
    let advertiser = app.scene.advertiser_id;
    let mut integration = integrations::find(&mut conn, advertiser)
        .await
        .unwrap()
        .unwrap()
        .settings;
    integration.requires_token = false;
    integration.allowed_addresses = schema::Words(vec!["127.0.0.1".into()]);
    integration.takes_commission = true;
    integrations::update(&mut conn, &author, advertiser, &integration, now)
        .await
        .unwrap();
    // The campaign has a single goal, for postbacks without one.
    app.execute("DELETE FROM goals WHERE code = 'lead'").await;
    conn.commit().await.unwrap();
    app
}

/// Last conversion: order, amount, currency, commission, customer, coupon.
async fn last(app: &TestApp) -> String {
    app.text(
        "SELECT concat_ws(' ', coalesce(order_id, '-'), amount_micros / 10000, currency, commission_micros / 10000,
             customer_id, coupon, country) FROM conversions ORDER BY id DESC LIMIT 1",
    )
    .await
}

#[tokio::test(flavor = "multi_thread")]
async fn partnerize_by_its_path() {
    let app = migrated("10l1234").await;
    let (click, server) = (app.visitor().click("").await, app.advertiser());
    let id = &click.id;
    let answer = server
        .call(&format!(
            "/conversion/tracking_mode:api/campaign:10l1234/clickref:{id}/conversionref:A%2F1/currency:EUR/country:DE/customertype:new/voucher:SPRING/[category:shoes/sku:S1/value:30.00/quantity:1][category:hats/sku:H1/value:20.00/quantity:2]"
        ))
        .await;
    assert_eq!(
        (answer.status, answer.reason()),
        (StatusCode::OK, "accepted"),
        "{}",
        answer.text
    );
    assert_eq!(last(&app).await, "A/1 5000 EUR 500 SPRING DE");
    let foreign = server
        .call(&format!("/conversion/tracking_mode:api/campaign:other/clickref:{id}/conversionref:B/[value:9.99/category:x]"))
        .await;
    assert_eq!(foreign.reason(), "wrong_campaign", "{}", foreign.text);
    app.finish().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn partnerstack_signs_up_and_sells() {
    let app = migrated("x").await;
    let mut conn = app.network().await;
    let fixed = Pay {
        fixed_micros: 1_000_000,
        rate_ppm: 0,
    };
    let signup = GoalSettings {
        unique_by: UniqueBy::Customer,
        ..GoalSettings::new(
            "signup",
            "Signup",
            GoalKind::Lead,
            Terms {
                commission: fixed,
                revenue: fixed,
            },
        )
    };
    goals::create(
        &mut conn,
        &Author::system(),
        app.scene.campaign.id,
        &signup,
        clock::now(),
    )
    .await
    .unwrap();
    conn.commit().await.unwrap();
    let (click, server) = (app.visitor().click("").await, app.advertiser());
    let bearer = format!("Bearer {}", app.scene.token);
    let headers = [
        ("Authorization", bearer.as_str()),
        ("Content-Type", "application/json"),
    ];
    let body = format!(
        r#"{{"xid":"{}","customer_key":"cus_1","email":"jane@shop.example","name":"Jane","provider_key":"p","sub_ids":["a","b"],"meta":{{"plan":"pro"}}}}"#,
        click.id
    );
    let answer = server
        .call_with(Method::POST, "/conversion/xid", &headers, &body)
        .await;
    assert_eq!(
        (answer.status, answer.reason()),
        (StatusCode::OK, "accepted"),
        "{}",
        answer.text
    );
    assert_eq!(last(&app).await, "- EUR 100 cus_1");
    let kept = app
        .text("SELECT convert_from(body, 'UTF8') || extra FROM postbacks")
        .await;
    assert!(!kept.contains("jane@") && !kept.contains("Jane"), "{kept}");
    app.finish().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn flexoffers_clickmeter_and_joturl_by_their_parameters() {
    let app = migrated("3F2504E0-4F89-11D3-9A0C-0305E82C3301").await;
    let (click, server) = (app.visitor().click("").await, app.advertiser());
    let id = &click.id;
    let flexoffers = server
        .call(&format!(
            "/da.ashx?advertiserid=3F2504E0-4F89-11D3-9A0C-0305E82C3301&clickid={id}&orderamount=49.90&ordernumber=F-1&coupon=SAVE&currency=EUR&geo=US"
        ))
        .await;
    assert_eq!(flexoffers.reason(), "accepted", "{}", flexoffers.text);
    assert_eq!(last(&app).await, "F-1 4990 EUR 499 SAVE US");
    app.finish().await;

    let app = migrated("0123456789abcdef0123456789abcdef").await;
    let mut conn = app.network().await;
    let mut sale = goals::find(&mut conn, app.scene.sale_id)
        .await
        .unwrap()
        .unwrap()
        .settings;
    sale.unique_by = UniqueBy::Click;
    sale.terms = Terms::default().into();
    goals::update(
        &mut conn,
        &Author::system(),
        app.scene.sale_id,
        &sale,
        clock::now(),
    )
    .await
    .unwrap();
    conn.commit().await.unwrap();
    let (click, server) = (app.visitor().click("").await, app.advertiser());
    let clickmeter = server
        .call(&format!(
            "/s2s?clickId={}&id=0123456789abcdef0123456789abcdef&val=40.00&com=0&comperc=5&param=k%3Dv%3Bk2%3Dv2",
            click.id
        ))
        .await;
    assert_eq!(clickmeter.reason(), "accepted", "{}", clickmeter.text);
    assert_eq!(
        last(&app).await,
        "- 4000 EUR 200",
        "5 % only because the fixed commission is 0"
    );
    assert_eq!(app.text("SELECT extra->>'k2' FROM postbacks").await, "v2");
    let other = app.visitor().click("").await;
    let joturl = server
        .call(&format!("/postback/?click={}&val=10&ep00=x", other.id))
        .await;
    assert_eq!(joturl.reason(), "accepted", "{}", joturl.text);
    assert_eq!(
        app.text("SELECT extra->>'ep00' FROM postbacks WHERE extra ? 'ep00'")
            .await,
        "x"
    );
    app.finish().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn senders_are_answered_in_their_own_format() {
    let app = migrated("x").await;
    let (click, server) = (app.visitor().click("").await, app.advertiser());
    let id = &click.id;
    let tune = server
        .call(&format!(
            "/aff_lsr?transaction_id={id}&amount=10.00&adv_unique1=T-1"
        ))
        .await;
    assert!(tune.text.contains("success=true;"), "{}", tune.text);
    let wrong = server.call("/aff_lsr?transaction_id=banana&amount=10.00").await;
    assert!(wrong.text.contains("success=false; err_msg="), "{}", wrong.text);
    let cake = server
        .call(&format!("/p.ashx?o=x&e=&f=pb&r={id}&t=C-1&p=12.00"))
        .await;
    assert!(
        cake.text.starts_with("<?xml") || cake.text.starts_with('<'),
        "{}",
        cake.text
    );
    assert_eq!(cake.headers["x-postback-reason"], "accepted");
    let pixel = server
        .call(&format!("/p.ashx?o=x&f=img&r={id}&t=C-2&p=12.00"))
        .await;
    assert_eq!(pixel.headers["content-type"], "image/gif");
    let everflow = server
        .call(&format!("/?nid=1&transaction_id={id}&amount=12,50&order_id=E-1"))
        .await;
    assert_eq!(everflow.reason(), "accepted", "{}", everflow.text);
    assert_eq!(last(&app).await, "E-1 1250 EUR 125");
    let affise = async |status: &str| {
        server
            .call(&format!(
                "/postback?clickid={id}&action_id=AF-1&sum=20&status={status}"
            ))
            .await
    };
    assert_eq!(affise("2").await.reason(), "accepted");
    assert_eq!(affise("1").await.reason(), "updated");
    assert_eq!(affise("1").await.get("status"), "duplicate");
    assert_eq!(affise("3").await.reason(), "updated");
    assert_eq!(
        app.text("SELECT status FROM conversions WHERE order_id = 'AF-1'")
            .await,
        "reversed"
    );
    app.finish().await;
}

/// Network whose advertiser is authenticated by nothing but the clicks.
async fn open(external_id: &str) -> TestApp {
    let app = migrated(external_id).await;
    app.change_integration(|integration| {
        integration.allowed_addresses = schema::Words(Vec::new());
        integration.takes_commission = false;
    })
    .await;
    app
}

#[tokio::test(flavor = "multi_thread")]
async fn a_call_without_its_click_names_what_its_format_calls_it() {
    let app = open("10l1234").await;
    let (click, server) = (app.visitor().click("").await, app.advertiser());
    let id = &click.id;
    for (target, reason, message) in [
        (
            "/conversion/campaign:10l1234/clickref:/conversionref:A/currency:EUR/[value:1/category:x]"
                .to_owned(),
            "click_id_missing",
            "clickref is empty.",
        ),
        (
            "/conversion/campaign:10l1234/conversionref:A/currency:EUR/[value:1/category:x]".to_owned(),
            "click_id_missing",
            "clickref is missing.",
        ),
        (
            format!("/da.ashx?advertiserid=10l1234&refid={id}&orderamount=1&ordernumber=A"),
            "click_id_missing",
            "clickid is missing, but refid holds one of our click IDs.",
        ),
        (
            format!("/da.ashx?advertiserid=10l1234&clickid={id}&orderamount=1"),
            "order_id_missing",
            "ordernumber is missing or empty, and the goal counts each order once.",
        ),
    ] {
        let answer = server.call(&target).await;
        assert_eq!(answer.reason(), reason, "{target}: {}", answer.text);
        assert_eq!(answer.get("message"), message, "{target}");
        // The advertiser whose campaign it names sees it.
        let kept = format!(
            "SELECT (advertiser_id IS NOT NULL)::text FROM postbacks WHERE id = '{}'",
            app.text("SELECT id FROM postbacks ORDER BY id DESC LIMIT 1")
                .await
        );
        assert_eq!(app.text(&kept).await, "true", "{target}");
    }
    app.finish().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn a_status_that_is_unknown_approves_nothing_and_another_channel_is_not_paid() {
    let app = migrated("1234").await;
    app.change_sale(|sale| sale.auto_approve = true).await;
    let (click, server) = (app.visitor().click("").await, app.advertiser());
    let id = &click.id;
    let made = server
        .call(&format!(
            "/postback?click_id={id}&order_id=1&amount=10&status=shipped"
        ))
        .await;
    assert_eq!(made.reason(), "accepted", "{}", made.text);
    assert!(
        made.get("message").contains("“shipped” is none that we know"),
        "{}",
        made.text
    );
    assert!(
        made.text
            .contains("\"notes\":[\"status: shipped is no status that we know\"]"),
        "{}",
        made.text
    );
    let status = "SELECT status FROM conversions WHERE order_id = '1'";
    assert_eq!(app.text(status).await, "pending");
    let again = server
        .call(&format!("/postback?click_id={id}&order_id=1&status=shipped"))
        .await;
    assert_eq!(again.reason(), "status_unknown", "{}", again.text);
    let reversed = server
        .call(&format!("/postback?click_id={id}&order_id=1&status=Refunded"))
        .await;
    assert_eq!(reversed.reason(), "updated", "{}", reversed.text);
    assert_eq!(app.text(status).await, "rejected");
    let awin = |channel: &str| {
        format!(
            "/sread.php?tt=ss&tv=2&merchant=1234&amount=30.00&ch={channel}&cr=EUR&ref={channel}&parts=DEFAULT:30.00&cks={id}"
        )
    };
    assert_eq!(server.call(&awin("ppc")).await.reason(), "other_channel");
    assert_eq!(server.call(&awin("aw")).await.reason(), "accepted");
    app.finish().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn a_useless_click_gives_way_to_another_proof() {
    let app = migrated("1234").await;
    let (click, server) = (app.visitor().click("").await, app.advertiser());
    let first = format!(
        "/postback?click_id={}&order_id=1&amount=10&customer_id=c1",
        click.id
    );
    assert_eq!(server.call(&first).await.reason(), "accepted");
    for (order, proof) in [("2", "customer_id=c1"), ("3", "coupon=scene")] {
        let answer = server
            .call(&format!(
                "/postback?click_id=banana&campaign=1234&order_id={order}&amount=10&{proof}"
            ))
            .await;
        assert_eq!(answer.reason(), "accepted", "{proof}: {}", answer.text);
        assert!(
            answer.text.contains("click_id: No click has this ID"),
            "{}",
            answer.text
        );
    }
    let by = "SELECT string_agg(attributed_by, ' ' ORDER BY order_id) FROM conversions";
    assert_eq!(app.text(by).await, "click customer coupon");
    let alone = server
        .call("/postback?click_id=banana&campaign=1234&order_id=4&amount=10&customer_id=unknown")
        .await;
    assert_eq!(alone.reason(), "click_not_found", "{}", alone.text);
    app.finish().await;
}
