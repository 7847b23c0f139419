//! Postbacks of other systems, end to end: the five priority dialects as documented, and one of each kind.
#![expect(clippy::unwrap_used, reason = "a test fails on any error")]

use campaigns::campaigns as campaign_table;
use campaigns::goals::{self, GoalKind, GoalSettings, UniqueBy};
use campaigns::integrations;
use campaigns::landing_pages::{self, LandingPageSettings};
use campaigns::links::{self, NewLink};
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
            "param_missing",
            "ordernumber is missing or empty, and the format of FlexOffers demands it.",
        ),
        (
            format!("/s2s?clickId={id}&id=10l1234&val=1"),
            "param_missing",
            "com is missing or empty, and the format of ClickMeter demands it.",
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
async fn a_value_under_a_name_of_another_format_is_named_and_a_goal_is_chosen_in_every_format() {
    let app = migrated("1234").await;
    let nothing = Terms {
        commission: Pay::default(),
        revenue: Pay::default(),
    };
    let install = GoalSettings {
        unique_by: UniqueBy::Click,
        ..GoalSettings::new("install", "Install", GoalKind::Install, nothing)
    };
    let goal = app.add_goal(&install).await;
    let (click, server) = (app.visitor().click("").await, app.advertiser());
    let id = &click.id;
    let made = server
        .call(&format!(
            "/postback/?click={id}&ep00=a&val=5&commission=2&goal=install&order_id=1"
        ))
        .await;
    assert_eq!(made.reason(), "accepted", "{}", made.text);
    for words in [
        "commission: this format calls it comm",
        "order_id: this format has no such parameter",
    ] {
        assert!(made.text.contains(words), "{words} is not in {}", made.text);
    }
    let by_id = server
        .call(&format!("/s2s?clickId={id}&id={}&val=1&com=0", goal.id))
        .await;
    assert_ne!(by_id.reason(), "goal_unknown", "{}", by_id.text);
    let goals = "SELECT string_agg(DISTINCT goal_id::text, ' ') FROM conversions";
    assert_eq!(app.text(goals).await, goal.id.0.to_string());
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

#[tokio::test(flavor = "multi_thread")]
async fn a_sign_up_without_its_xid_is_refused_at_once() {
    let app = migrated("x").await;
    let (click, server) = (app.visitor().click("").await, app.advertiser());
    let bearer = format!("Bearer {}", app.scene.token);
    let headers = [
        ("Authorization", bearer.as_str()),
        ("Content-Type", "application/json"),
    ];
    for (member, message) in [
        (r#""xid":"""#.to_owned(), "xid is empty."),
        (r#""origin":"web""#.to_owned(), "xid is missing."),
        (
            format!(r#""partner_key":"{}""#, app.scene.affiliate_id),
            "xid is missing.",
        ),
        (
            format!(r#""ps_xid":"{}""#, click.id),
            "xid is missing, but ps_xid holds one of our click IDs.",
        ),
    ] {
        let body = format!(r#"{{{member},"customer_key":"cus_9"}}"#);
        let answer = server
            .call_with(Method::POST, "/conversion/xid", &headers, &body)
            .await;
        assert_eq!(
            (answer.status, answer.reason(), answer.get("message")),
            (StatusCode::BAD_REQUEST, "click_id_missing", message),
            "{member}: {}",
            answer.text
        );
    }
    let held = "SELECT count(*) FROM postbacks WHERE status = 'held'";
    assert_eq!(app.count(held).await, 0);
    app.finish().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn one_code_serves_every_link_and_what_was_sent_is_in_the_api() {
    const CODE: &str = "0123456789abcdef0123456789abcdef";
    let app = migrated(CODE).await;
    app.change_sale(|sale| {
        sale.unique_by = UniqueBy::Click;
        sale.terms = Terms::default().into();
    })
    .await;
    let mut conn = app.network().await;
    let (author, now, campaign) = (Author::system(), clock::now(), app.scene.campaign.id);
    let staging = LandingPageSettings {
        name: "Staging".to_owned(),
        url: "https://staging.shop.example/?id={click_id}".to_owned(),
        weight: 0,
    };
    let staging = landing_pages::create(&mut conn, &author, campaign, &staging, now)
        .await
        .unwrap();
    for (alias, is_test) in [("second", false), ("staging", true)] {
        let link = NewLink {
            landing_page_id: is_test.then_some(staging.id),
            is_test,
            ..NewLink::plain(app.scene.affiliate_id, campaign, alias)
        };
        links::create(&mut conn, &author, &link, now).await.unwrap();
    }
    conn.commit().await.unwrap();
    let server = app.advertiser();
    let call = async |click: &str, more: &str| {
        let target = format!("/s2s?clickId={click}&id={CODE}&val=20.00{more}");
        server.call(&target).await
    };
    let blank = call("", "&com=0").await;
    assert_eq!(
        (blank.status, blank.reason(), blank.get("message")),
        (StatusCode::BAD_REQUEST, "click_id_missing", "clickId is empty."),
        "{}",
        blank.text
    );
    for alias in [app.scene.alias.as_str(), "second"] {
        let click = app.visitor_of(alias).click("").await;
        let made = call(&click.id, "&com=0.5").await;
        assert_eq!(made.reason(), "accepted", "{alias}: {}", made.text);
        assert_eq!(last(&app).await, "- 2000 EUR 50", "{alias}");
    }
    let tried = app.visitor_of("staging").click("").await;
    let host = "https://staging.shop.example/?id=";
    assert!(tried.location.starts_with(host), "{}", tried.location);
    assert_eq!(call(&tried.id, "&com=0").await.reason(), "test_accepted");

    let program = app.program(&app.scene.owner).await;
    let click = app.visitor().click("").await;
    let sold = server
        .call(&format!(
            "/da.ashx?advertiserid={CODE}&clickid={}&orderamount=49.90&ordernumber=F-1&coupon=SAVE&geo=US",
            click.id
        ))
        .await;
    assert_eq!(sold.reason(), "accepted", "{}", sold.text);
    app.settled().await;
    let found = program.get("/conversions?order_id=F-1").await;
    let sale = &found.json["items"][0];
    for (name, value) in [("country", "US"), ("coupon", "SAVE")] {
        assert_eq!(sale[name], value, "{name}: {}", found.text);
    }

    let click = app.visitor().click("").await;
    let sold = server
        .call(&format!(
            "/conversion/tracking_mode:api/campaign:{CODE}/context:web/clickref:{}/conversionref:P-1/currency:EUR/country:DE/customertype:new/customer_reference:u1/[category:shoes/sku:S1/value:30.00/quantity:1][category:hats/sku:H1/value:20.00/quantity:2]",
            click.id
        ))
        .await;
    assert_eq!(sold.reason(), "accepted", "{}", sold.text);
    app.settled().await;
    let sent = program
        .get(&format!("/postbacks/{}", sold.get("request_id")))
        .await;
    for (name, value) in [
        ("order_id", "P-1"),
        ("country", "DE"),
        ("customer_type", "new"),
        ("customer_id", "u1"),
    ] {
        assert_eq!(sent.json["values"][name], value, "{name}: {}", sent.text);
    }
    assert_eq!(sent.json["items"][1]["category"], "hats", "{}", sent.text);
    assert_eq!(sent.json["parameters"][0]["name"], "context", "{}", sent.text);

    app.change_integration(|integration| integration.takes_commission = false)
        .await;
    tokio::time::sleep(std::time::Duration::from_millis(1_100)).await;
    let click = app.visitor().click("").await;
    let unpaid = call(&click.id, "&com=2").await;
    let words = "com: the network does not take commissions from you";
    assert!(unpaid.text.contains(words), "{}", unpaid.text);
    app.finish().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn an_empty_click_is_named_letter_case_may_differ_and_a_browser_is_noted() {
    let app = open("x").await;
    app.change_integration(|integration| integration.ignores_letter_case = true)
        .await;
    app.change_sale(|sale| sale.unique_by = UniqueBy::Click).await;
    let (click, server) = (app.visitor().click("").await, app.advertiser());
    let empty = server.call("/postback/?click=&val=5").await;
    assert_eq!(
        (empty.reason(), empty.get("message")),
        ("click_id_missing", "click is empty."),
        "{}",
        empty.text
    );
    let headers = [("Sec-Fetch-Site", "cross-site")];
    let target = format!("/s2s?clickId={}&id=x&val=5&com=0", click.id.to_uppercase());
    let made = server.call_with(Method::GET, &target, &headers, "").await;
    assert_eq!(made.reason(), "accepted", "{}", made.text);
    let trace = app.trace("true").await;
    assert!(
        trace.contains("a browser sent it, where a server should"),
        "{trace}"
    );
    let altered = server
        .call(&format!("/s2s?clickId={}&id=altered&val=5&com=0", click.id))
        .await;
    assert_eq!(altered.reason(), "wrong_campaign", "{}", altered.text);
    app.finish().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn impact_takes_an_action_back_by_delete() {
    let app = migrated("x").await;
    let (click, server) = (app.visitor().click("").await, app.advertiser());
    let form = [("Content-Type", "application/x-www-form-urlencoded")];
    let common = "CampaignId=x&ActionTrackerId=sale&OrderId=I-1";
    let body = format!("{common}&EventDate=NOW&Amount=10&ClickId={}", click.id);
    let target = "/Advertisers/SID/Conversions";
    let made = server.call_with(Method::POST, target, &form, &body).await;
    assert_eq!(made.reason(), "accepted", "{}", made.text);
    let body = format!("{common}&DispositionCode=ITEM_RETURNED");
    let target = "/Advertisers/SID/Actions";
    let gone = server.call_with(Method::DELETE, target, &form, &body).await;
    assert_eq!(gone.reason(), "updated", "{}", gone.text);
    let status = "SELECT status FROM conversions WHERE order_id = 'I-1'";
    assert_eq!(app.text(status).await, "rejected");
    app.finish().await;
}
