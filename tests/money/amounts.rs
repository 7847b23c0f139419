//! Worth of an order: baskets, rounding, currencies, sent commissions, terms.

use super::*;

#[tokio::test(flavor = "multi_thread")]
async fn a_basket_is_reconciled_with_the_order() {
    let world = World::new().await;
    world
        .rule(
            "a",
            Terms {
                commission: percent(35),
                revenue: percent(40),
            },
        )
        .await;
    world
        .rule(
            "b",
            Terms {
                commission: percent(20),
                revenue: percent(26),
            },
        )
        .await;
    let items = |lines: &[(&str, &str)]| {
        let item = |(category, amount): &(&str, &str)| json!({ "category": category, "amount": amount });
        serde_json::Value::Array(lines.iter().map(item).collect()).to_string()
    };
    let both = items(&[("a", "60"), ("b", "40")]);
    // A discount of the order, stated or not, is shared out in proportion.
    world.all("1", &[&[("amount", "90"), ("items", &both)]]).await;
    assert_eq!(world.order("1").await, "pending 90 26.1");
    world.all("2", &[&[("discount", "10"), ("items", &both)]]).await;
    assert_eq!(world.order("2").await, "pending 90 26.1");
    world.all("3", &[&[("amount", "99.99"), ("items", &both)]]).await;
    assert_eq!(world.order("3").await, "pending 99.99 29");
    let with_discount = items(&[("a", "60"), ("b", "40"), ("b", "-10")]);
    world.all("4", &[&[("items", &with_discount)]]).await;
    assert_eq!(world.order("4").await, "pending 90 27");
    // Returned items are taken off their own category; a new basket replaces the old one.
    let returned = items(&[("a", "60")]);
    world
        .all(
            "5",
            &[&[("items", &both)], &[("refund", "60"), ("items", &returned)]],
        )
        .await;
    assert_eq!(world.order("5").await, "pending 40 8");
    // A refund that is less than the items returned: they were discounted.
    world
        .all(
            "less",
            &[&[("items", &both)], &[("refund", "30"), ("items", &returned)]],
        )
        .await;
    assert_eq!(world.order("less").await, "pending 70 18.5");
    let one = items(&[("a", "60")]);
    world
        .all(
            "rest",
            &[&[("items", &one)], &[("refund", "55"), ("items", &returned)]],
        )
        .await;
    assert_eq!(world.order("rest").await, "pending 5 1.75");
    let left = items(&[("b", "40")]);
    world
        .all(
            "6",
            &[
                &[("items", &both)],
                &[("action", "update"), ("amount", "40"), ("items", &left)],
            ],
        )
        .await;
    assert_eq!(world.order("6").await, "pending 40 8");
    // Where that is impossible, the trace says so.
    let incomplete = json!([{ "category": "a", "amount": "60" }, { "category": "b" }]).to_string();
    world
        .all("7", &[&[("amount", "100"), ("items", &incomplete)]])
        .await;
    assert_eq!(world.order("7").await, "pending 100 10");
    let trace = world.app.trace("order_id = '7'").await;
    assert!(trace.contains("an item has no amount"), "{trace}");
    world.finish().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn the_whole_is_rounded_once() {
    let world = World::new().await;
    let categories = ["a", "b", "c", "d", "e"];
    for category in categories {
        world.rule(category, ten_and_thirteen()).await;
    }
    let items = |amount: &str| {
        let item = |category: &&str| json!({ "category": category, "amount": amount });
        serde_json::Value::Array(categories.iter().map(item).collect()).to_string()
    };
    world.all("1", &[&[("items", &items("0.05"))]]).await;
    assert_eq!(world.order("1").await, "pending 0.25 0.02");
    world.all("2", &[&[("items", &items("0.15"))]]).await;
    assert_eq!(world.order("2").await, "pending 0.75 0.08");
    world.finish().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn sums_are_in_the_currency_of_the_order_and_its_coins() {
    let world = World::new().await;
    world
        .app
        .change_sale(|sale| sale.demands.default_amount_micros = Some(50_000_000))
        .await;
    for currency in ["JPY", "KWD"] {
        let refused = world.send(currency, &[("currency", currency)]).await;
        assert_eq!(refused.reason(), "currency_mismatch", "{}", refused.text);
    }
    world.all("default", &[&[]]).await;
    assert_eq!(world.order("default").await, "pending 50 5");
    for unknown in ["XXX", "XAU"] {
        assert_eq!(
            world
                .reason("none", &[("amount", "1"), ("currency", unknown)])
                .await,
            "currency_unknown"
        );
    }
    // The limit of an order depends on what the currency is worth.
    let rupiah = [("amount", "1500000000"), ("currency", "IDR")];
    assert_eq!(world.reason("rupiah", &rupiah).await, "accepted");
    assert_eq!(
        world.reason("euro", &[("amount", "1500000000")]).await,
        "amount_invalid"
    );
    // Every sum that is booked can be paid.
    let yen = [("amount", "1205"), ("currency", "JPY")];
    world.all("yen", &[&yen]).await;
    assert_eq!(world.order("yen").await, "pending 1205 120");
    world.finish().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn a_commission_that_is_sent_follows_the_order_and_needs_a_review_above_the_revenue() {
    let world = World::new().await;
    world
        .app
        .change_integration(|integration| integration.takes_commission = true)
        .await;
    world
        .app
        .change_sale(|sale| {
            sale.terms = Terms {
                commission: percent(0),
                revenue: percent(5),
            }
            .into()
        })
        .await;
    let held = world.send("1", &[("amount", "100"), ("commission", "50")]).await;
    assert_eq!(held.reason(), "held_for_review", "{}", held.text);
    assert_eq!(
        world.reason("2", &[("amount", "100"), ("commission", "4")]).await,
        "accepted"
    );
    world
        .app
        .change_sale(|sale| {
            sale.terms = Terms {
                commission: percent(0),
                revenue: percent(0),
            }
            .into()
        })
        .await;
    // Rounded to the coin.
    world
        .all("3", &[&[("amount", "100"), ("commission", "1.234567")]])
        .await;
    assert_eq!(world.order("3").await, "pending 100 1.23");
    world
        .all(
            "4",
            &[&[("amount", "100"), ("commission", "10.5"), ("currency", "JPY")]],
        )
        .await;
    assert_eq!(world.order("4").await, "pending 100 10");
    // It shrinks with the order, unless another one is sent.
    world
        .all(
            "5",
            &[&[("amount", "100"), ("commission", "12")], &[("refund", "99")]],
        )
        .await;
    assert_eq!(world.order("5").await, "pending 1 0.12");
    let routine = [("status", "approved"), ("amount", "100"), ("commission", "12")];
    world
        .all(
            "again",
            &[
                &[("amount", "100"), ("commission", "12")],
                &[("refund", "30")],
                &routine,
            ],
        )
        .await;
    assert_eq!(world.order("again").await, "approved 70 8.4");
    world
        .all(
            "6",
            &[
                &[("amount", "100"), ("commission", "12")],
                &[("action", "update"), ("amount", "50"), ("commission", "6")],
            ],
        )
        .await;
    assert_eq!(world.order("6").await, "pending 50 6");
    // More than the order itself needs a review.
    assert_eq!(
        world
            .reason("7", &[("amount", "100"), ("commission", "500")])
            .await,
        "held_for_review"
    );
    world.finish().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn an_order_is_paid_by_the_terms_of_its_time() {
    let world = World::new().await;
    world
        .app
        .change_campaign(|campaign| campaign.status = CampaignStatus::Ended)
        .await;
    assert_eq!(world.reason("1", &[("amount", "100")]).await, "campaign_inactive");
    world
        .app
        .change_sale(|sale| {
            sale.terms = Terms {
                commission: percent(1),
                revenue: percent(2),
            }
            .into()
        })
        .await;
    world
        .app
        .change_campaign(|campaign| campaign.status = CampaignStatus::Live)
        .await;
    let received = world
        .app
        .text("SELECT id FROM postbacks WHERE order_id = '1'")
        .await;
    let program = world.app.program(&world.app.scene.owner).await;
    let rejected = program.get("/postbacks?order_id=1").await;
    let id = rejected.json["items"][0]["id"].as_str().unwrap().to_owned();
    let replayed = program
        .post("/replays", &json!({ "postbacks": [id], "dry_run": false }))
        .await;
    assert!(replayed.status.is_success(), "{received}: {}", replayed.text);
    world
        .app
        .eventually("SELECT count(*)::text FROM conversions WHERE order_id = '1'", "1")
        .await;
    assert_eq!(world.order("1").await, "pending 100 10", "the terms of its time");
    // Booked now, effective then.
    let booked = "SELECT (l.booked_at > p.decided_at - interval '1 minute' AND l.effective_at = p.received_at)::text
                  FROM ledger_entries l JOIN conversions c ON c.id = l.conversion_id JOIN postbacks p ON p.id = c.postback_id
                  WHERE c.order_id = '1'";
    assert_eq!(world.app.text(booked).await, "true");
    assert_eq!(world.reason("2", &[("amount", "100")]).await, "accepted");
    assert_eq!(world.order("2").await, "pending 100 1");
    world.finish().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn a_loss_is_named_to_the_network_alone() {
    let world = World::new().await;
    let losing = Terms {
        commission: fixed(5),
        revenue: percent(10),
    };
    world.app.change_sale(|sale| sale.terms = losing.into()).await;
    let made = world.send("1", &[("amount", "10")]).await;
    assert_eq!(made.reason(), "accepted", "{}", made.text);
    let path = format!("/postbacks/{}", made.get("request_id"));
    let owner = world.app.program(&world.app.scene.owner).await.get(&path).await;
    assert!(owner.text.contains("the network loses"), "{}", owner.text);
    let advertiser = world
        .app
        .program(&world.app.scene.advertiser)
        .await
        .get(&path)
        .await;
    assert_eq!(advertiser.status.as_u16(), 200);
    assert!(
        !advertiser.text.contains("the network loses") && !advertiser.text.contains("5.00"),
        "the commission is not the advertiser's business: {}",
        advertiser.text
    );
    world.finish().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn coins_without_a_currency_are_those_of_the_campaign() {
    let world = World::new().await;
    let yen = world.click_in_another_campaign("JPY", "yen").await;
    let dinar = world.click_in_another_campaign("KWD", "dinar").await;
    let orders = [(yen, "y"), (dinar, "k")];
    let http = reqwest::Client::builder().no_proxy().build().unwrap();
    let sale = async |fields: &[(&str, &str)]| {
        let answer = http
            .post(format!("{}/api/v1/track/sale", world.app.tracking_url))
            .header("X-Api-Key", &world.app.scene.token)
            .form(fields)
            .send();
        let answer = answer.await.unwrap();
        (answer.status().as_u16(), answer.text().await.unwrap())
    };
    for (click, order) in &orders {
        let fields = [
            ("tid", click.as_str()),
            ("event_id", order),
            ("uid", "u"),
            ("amount", "5000"),
        ];
        let (status, text) = sale(&fields).await;
        assert_eq!(status, 200, "{order}: {text}");
    }
    assert_eq!(world.order("y").await, "pending 5000 500");
    assert_eq!(world.order("k").await, "pending 5 0.5");
    world.finish().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn a_fixed_sum_is_paid_while_anything_is_left() {
    let world = World::new().await;
    let gift = Terms {
        commission: fixed(5),
        revenue: fixed(6),
    };
    world.rule("gift", gift).await;
    let items =
        json!([{ "category": "gift", "amount": "0" }, { "category": "b", "amount": "100" }]).to_string();
    world.all("free", &[&[("items", &items)]]).await;
    assert_eq!(
        world.order("free").await,
        "pending 100 15",
        "a free item earns its fixed sum"
    );
    let flat = Terms {
        commission: fixed(20),
        revenue: fixed(26),
    };
    world.app.change_sale(|sale| sale.terms = flat.into()).await;
    world
        .all("left", &[&[("amount", "100")], &[("refund", "99.99")]])
        .await;
    assert_eq!(world.order("left").await, "pending 0.01 20");
    world
        .all("left", &[&[("refund", "0.01"), ("refund_id", "rest")]])
        .await;
    assert_eq!(world.ledger("left").await, "0 0");
    world.finish().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn a_late_report_and_a_waiting_one_are_paid_by_the_terms_of_their_time() {
    let world = World::new().await;
    let renewal = world.add_chain(None).await;
    let server = world.app.advertiser();
    let of_customer = async |goal: &str, order: &str| {
        let sent = [
            ("click_id", world.click.as_str()),
            ("goal", goal),
            ("customer_id", "c1"),
            ("order_id", order),
            ("amount", "100"),
        ];
        server.postback(&sent).await.reason().to_owned()
    };
    assert_eq!(of_customer("renewal", "parked").await, "waiting_for_parent");
    // Another rate, and a rule, from now on.
    let mut conn = world.app.network().await;
    let mut settings = renewal.settings.clone();
    settings.terms = Terms {
        commission: percent(1),
        revenue: percent(2),
    }
    .into();
    let author = Author::command_line();
    campaigns::goals::update(&mut conn, &author, renewal.id, &settings, clock::now())
        .await
        .unwrap();
    conn.commit().await.unwrap();
    let doubled = Terms {
        commission: percent(20),
        revenue: percent(26),
    };
    world.add_rule(Conditions::default(), doubled).await;
    tokio::time::sleep(std::time::Duration::from_millis(1_100)).await;
    assert_eq!(of_customer("signup", "s1").await, "accepted");
    world
        .app
        .eventually(
            "SELECT count(*)::text FROM conversions WHERE order_id = 'parked'",
            "1",
        )
        .await;
    assert_eq!(world.order("parked").await, "pending 100 10");
    // An order of an hour ago, before the rule.
    let hour_ago = (clock::now() - TimeDelta::hours(1)).to_rfc3339();
    world
        .all("late", &[&[("amount", "100"), ("event_time", &hour_ago)]])
        .await;
    world.all("now", &[&[("amount", "100")]]).await;
    assert_eq!(world.order("late").await, "pending 100 10");
    assert_eq!(world.order("now").await, "pending 100 20");
    world.finish().await;
}
