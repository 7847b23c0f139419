//! Orders that meet: under several keys, in several campaigns, with their parents, with their own past.

use super::*;

/// Adds an affiliate with a link; returns the affiliate's ID.
async fn another_affiliate(world: &World, alias: &str) -> String {
    let owner = world.app.program(&world.app.scene.owner).await;
    let affiliate = owner.post("/affiliates", &json!({ "name": alias })).await;
    let id = affiliate
        .json
        .pointer("/id")
        .unwrap()
        .as_str()
        .unwrap()
        .to_owned();
    let link = json!({
        "campaign": world.app.scene.campaign.id.to_string(),
        "affiliate": id,
        "alias": alias,
    });
    let link = owner.post("/links", &link).await;
    assert!(link.status.is_success(), "{}", link.text);
    id
}

/// Status of an order, and the reason of its review.
async fn review(world: &World, order: &str) -> String {
    world
        .app
        .text(&format!(
            "SELECT concat_ws(' ', status, review_because) FROM conversions WHERE order_id = '{order}'"
        ))
        .await
}

#[tokio::test(flavor = "multi_thread")]
async fn an_order_counts_once_although_two_clicks_bring_it_at_the_same_time() {
    let world = World::new().await;
    world
        .app
        .change_sale(|sale| sale.unique_by = UniqueBy::Click)
        .await;
    let mut clicks = Vec::new();
    for _ in 0..40 {
        clicks.push(world.app.visitor().click("").await.id);
    }
    let second = world.app.another_node().await;
    let calls = clicks.iter().enumerate().map(|(number, click)| {
        let server = if number % 4 < 2 {
            world.app.advertiser()
        } else {
            world.app.advertiser_of(&second)
        };
        let order = format!("o{}", number / 4);
        async move {
            let parameters = [
                ("click_id", click.as_str()),
                ("goal", "sale"),
                ("order_id", &order),
                ("amount", "100"),
            ];
            server.postback(&parameters).await.reason().to_owned()
        }
    });
    let reasons = futures_util::future::join_all(calls).await;
    let accepted = reasons.iter().filter(|reason| *reason == "accepted").count();
    assert_eq!(accepted, 10, "four clicks bring each of ten orders: {reasons:?}");
    let booked = "SELECT trim_scale(sum(commission_pending_micros) / 1000000)::text FROM ledger_entries";
    assert_eq!(world.app.text(booked).await, "100");
    second.stop().await;
    world.finish().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn a_customers_later_order_is_priced_for_the_affiliate_of_its_parent() {
    let world = World::new().await;
    world.add_chain(None).await;
    let owner = world.app.program(&world.app.scene.owner).await;
    let affiliate = world.app.scene.affiliate_id.to_string();
    let campaign = world.app.scene.campaign.id.to_string();
    let cap = json!({ "campaign": campaign, "metric": "conversions", "period": "day", "most": "1", "affiliate": affiliate });
    let capped = owner.post("/caps", &cap).await;
    assert!(capped.status.is_success(), "{}", capped.text);
    let latest = another_affiliate(&world, "other-link").await;
    let other = world.app.visitor_of("other-link").click("").await.id;
    let server = world.app.advertiser();
    let send = async |goal: &str, order: &str, click: &[(&str, &str)]| {
        let named = [
            ("goal", goal),
            ("order_id", order),
            ("customer_id", "c1"),
            ("amount", "100"),
        ];
        server.postback(&[&named, click].concat()).await
    };
    assert_eq!(
        send("signup", "s1", &[("click_id", &world.click)]).await.reason(),
        "accepted"
    );
    // The customer's latest conversion is another affiliate's, which has no cap.
    assert_eq!(
        send("sale", "gift", &[("click_id", &other)]).await.reason(),
        "accepted"
    );
    let renewed = send("renewal", "r1", &[]).await;
    assert_eq!(renewed.reason(), "cap_reached", "{}", renewed.text);
    let owner_of_order =
        "SELECT (affiliate_id = (SELECT affiliate_id FROM conversions WHERE order_id = 's1'))::text
                          FROM conversions WHERE order_id = 'r1'";
    assert_eq!(world.app.text(owner_of_order).await, "true");
    // A blocked affiliate gets nothing for its customers either, and does not stand in the way of others.
    let cap = format!("/caps/{}", capped.json.pointer("/id").unwrap().as_str().unwrap());
    assert!(owner.delete(&cap).await.status.is_success());
    let block = async |id: &str| {
        let blocked = owner
            .patch(&format!("/affiliates/{id}"), &json!({ "status": "blocked" }))
            .await;
        assert!(blocked.status.is_success(), "{}", blocked.text);
    };
    block(&latest).await;
    assert_eq!(send("renewal", "r2", &[]).await.reason(), "accepted");
    block(&affiliate).await;
    let refused = send("renewal", "r3", &[]).await;
    assert_eq!(refused.reason(), "affiliate_blocked", "{}", refused.text);
    world.finish().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn a_child_follows_its_parent_out_of_the_review_and_is_fixed_in_its_currency() {
    let world = World::new().await;
    let signup = world
        .app
        .add_goal(&GoalSettings::new(
            "signup",
            "Sign-up",
            GoalKind::Lead,
            ten_and_thirteen(),
        ))
        .await;
    let mut renewal = GoalSettings::new("renewal", "Renewal", GoalKind::Sale, ten_and_thirteen());
    renewal.chain.parent_goal_id = Some(signup.id);
    world.app.add_goal(&renewal).await;
    let server = world.app.advertiser();
    let send = async |goal: &str, order: &str, rest: &[(&str, &str)]| {
        let named = [
            ("goal", goal),
            ("order_id", order),
            ("click_id", world.click.as_str()),
        ];
        server
            .postback(&[&named, rest].concat())
            .await
            .reason()
            .to_owned()
    };
    assert_eq!(send("signup", "s1", &[("amount", "10")]).await, "accepted");
    assert_eq!(send("renewal", "r1", &[("amount", "20")]).await, "accepted");
    assert_eq!(world.correct("s1", json!({ "action": "reject" })).await, 200);
    assert_eq!(review(&world, "r1").await, "pending parent");
    // Moving the child is no review of it.
    another_affiliate(&world, "other-link").await;
    assert_eq!(
        world
            .correct("r1", json!({ "action": "move", "link": "other-link" }))
            .await,
        200
    );
    assert_eq!(review(&world, "r1").await, "pending parent");
    assert_eq!(world.correct("s1", json!({ "action": "approve" })).await, 200);
    assert_eq!(review(&world, "r1").await, "pending", "its parent counts again");
    // Parent and child in one batch, and a parent that falls before its child arrives.
    assert_eq!(send("signup", "s1", &[("status", "rejected")]).await, "unchanged");
    assert_eq!(world.correct("s1", json!({ "action": "release" })).await, 200);
    assert_eq!(
        review(&world, "r1").await,
        "pending parent",
        "the advertiser had rejected its parent"
    );
    assert_eq!(
        send("renewal", "r2", &[("amount", "20")]).await,
        "waiting_for_parent"
    );
    world.finish().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn an_order_changes_whatever_new_orders_would_be_paid() {
    let world = World::new().await;
    let dollars = [("amount", "100"), ("currency", "USD")];
    world.all("1", &[&dollars, &[("status", "approved")]]).await;
    world
        .app
        .change_sale(|sale| {
            sale.terms = Terms {
                commission: fixed(5),
                revenue: fixed(8),
            }
            .into();
        })
        .await;
    assert_eq!(world.reason("2", &dollars).await, "currency_mismatch");
    let rejected = world
        .send(
            "1",
            &[("status", "rejected"), ("currency", "USD"), ("amount", "100")],
        )
        .await;
    assert_eq!(rejected.reason(), "updated", "{}", rejected.text);
    assert_eq!(world.order("1").await, "reversed 100 10");
    world.finish().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn a_hold_period_survives_what_users_and_advertisers_take_back() {
    let world = World::new().await;
    world
        .app
        .change_sale(|sale| {
            sale.auto_approve = true;
            sale.hold_days = 14;
        })
        .await;
    let ends = async |order: &str| {
        let sql = format!(
            "SELECT coalesce((hold_until = converted_at + interval '14 days')::text, 'none')
             FROM conversions WHERE order_id = '{order}'"
        );
        world.app.text(&sql).await
    };
    for order in ["1", "2", "3"] {
        world.all(order, &[&[("amount", "100")]]).await;
        assert_eq!(ends(order).await, "true");
    }
    assert_eq!(world.correct("1", json!({ "action": "hold" })).await, 200);
    assert_eq!(ends("1").await, "none");
    assert_eq!(world.correct("1", json!({ "action": "release" })).await, 200);
    assert_eq!(ends("1").await, "true");
    world.all("2", &[&[("status", "rejected")]]).await;
    assert_eq!(ends("2").await, "none");
    world.all("2", &[&[("status", "pending")]]).await;
    assert_eq!(ends("2").await, "true");
    world
        .all(
            "3",
            &[&[("refund", "all")], &[("action", "update"), ("amount", "80")]],
        )
        .await;
    assert_eq!(
        (world.order("3").await, ends("3").await),
        ("pending 80 8".to_owned(), "true".to_owned())
    );
    world.finish().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn a_decision_of_a_user_holds_although_the_advertiser_had_made_it_before() {
    let world = World::new().await;
    world
        .all("1", &[&[("amount", "100")], &[("status", "rejected")]])
        .await;
    let fraud = json!({ "action": "reject", "reason_code": "fraud" });
    assert_eq!(world.correct("1", fraud.clone()).await, 200);
    assert_eq!(world.reason("1", &[("status", "approved")]).await, "unchanged");
    assert_eq!(world.order("1").await, "rejected 100 10");
    let statements = format!("/conversions/{}/statements", world.id("1").await);
    let owner = world.app.program(&world.app.scene.owner).await;
    let count = async || {
        owner
            .get(&statements)
            .await
            .json
            .pointer("/items")
            .unwrap()
            .as_array()
            .unwrap()
            .len()
    };
    let before = count().await;
    assert_eq!(world.correct("1", fraud).await, 200);
    assert_eq!(count().await, before, "a decision in force is not made again");
    world.finish().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn a_user_decides_on_the_version_in_the_list_and_not_above_the_limit() {
    let world = World::new().await;
    world.all("1", &[&[("amount", "500")]]).await;
    world.all("2", &[&[("amount", "5000")]]).await;
    let owner = world.app.sign_in(&world.app.scene.owner).await;
    let path = |id: &str| format!("/conversions/{id}");
    let decide = async |id: &str, version: &str| {
        let fields = [
            ("decision", "approve"),
            ("here", "/conversions"),
            ("version", version),
        ];
        owner.submit("/conversions", &path(id), &fields).await
    };
    let (first, second) = (world.id("1").await, world.id("2").await);
    let list = owner.get("/conversions").await.html;
    assert!(list.contains("name=\"version\" value=\"1\""), "{list}");
    world
        .all("1", &[&[("action", "update"), ("amount", "50000")]])
        .await;
    assert_eq!(decide(&first, "1").await.status, 409);
    assert_eq!(world.order("1").await, "pending 50000 5000");
    let program = world.app.program(&world.app.scene.owner).await;
    let limit = program
        .patch("/network", &json!({ "second_user_above": 100 }))
        .await;
    assert!(limit.status.is_success(), "{}", limit.text);
    let waits = decide(&second, "1").await;
    assert_eq!(waits.location(), path(&second), "its page says that it waits");
    assert_eq!(world.order("2").await, "pending 5000 500");
    world.finish().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn affiliates_see_what_concerns_them_in_the_history() {
    let world = World::new().await;
    world
        .app
        .change_integration(|integration| {
            integration.requires_token = false;
            integration.takes_commission = true;
        })
        .await;
    world
        .app
        .change_sale(|sale| sale.review_above_micros = Some(50_000_000))
        .await;
    let query = format!("click_id={}&goal=sale&order_id=1&amount=100", world.click);
    world.app.advertiser().raw(&query).await;
    let other = another_affiliate(&world, "other-link").await;
    assert_eq!(world.correct("1", json!({ "action": "approve" })).await, 200);
    assert_eq!(
        world
            .correct("1", json!({ "action": "move", "link": "other-link" }))
            .await,
        200
    );
    let id = world.id("1").await;
    let statements = format!("/conversions/{id}/statements");
    let owner = world.app.program(&world.app.scene.owner).await;
    let all = owner.get(&statements).await;
    for words in ["reviewed", &other, "\"is_authenticated\":false"] {
        assert!(all.text.contains(words), "{words} is not in {}", all.text);
    }
    let moved = all.json.pointer("/items/2/id").unwrap().as_str().unwrap();
    let undone = owner
        .post(&format!("/conversions/{id}/corrections/{moved}/undo"), &json!({}))
        .await;
    assert!(undone.status.is_success(), "{}", undone.text);
    let affiliate = world.app.program(&world.app.scene.affiliate).await;
    let seen = affiliate.get(&statements).await;
    assert_eq!(seen.status, 200, "{}", seen.text);
    for words in [
        "review",
        &other,
        "\"is_authenticated\":false",
        "not authenticated",
    ] {
        assert!(!seen.text.contains(words), "{words} is in {}", seen.text);
    }
    assert!(seen.text.contains("moved to another affiliate"), "{}", seen.text);
    world.finish().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn postbacks_stay_with_their_click_when_its_conversion_is_moved() {
    let world = World::new().await;
    for amount in ["100", "100", "90"] {
        let sent = [("amount", amount)];
        world.all("1", &[&sent]).await;
    }
    another_affiliate(&world, "other-link").await;
    let owner = world.app.program(&world.app.scene.owner).await;
    let of_click = format!("/postbacks?click={}", world.click);
    let reasons = async || {
        let list = owner.get(&of_click).await;
        let items = list.json["items"].as_array().unwrap().clone();
        let reasons: Vec<_> = items
            .iter()
            .map(|item| item["reason"].as_str().unwrap().to_owned())
            .collect();
        reasons.join(" ")
    };
    let before = reasons().await;
    assert_eq!(
        before.split(' ').filter(|reason| *reason == "accepted").count(),
        1,
        "{before}"
    );
    assert_eq!(before.split(' ').count(), 3, "{before}");
    let moved = json!({ "action": "move", "link": "other-link" });
    assert_eq!(world.correct("1", moved).await, 200);
    assert_eq!(reasons().await, before);
    world.finish().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn an_order_counts_once_per_advertiser_where_its_integration_says_so() {
    let world = World::new().await;
    let owner = world.app.program(&world.app.scene.owner).await;
    let click = world.click_in_another_campaign("EUR", "second").await;
    let elsewhere = async |order: &str| {
        let sent = [
            ("click_id", click.as_str()),
            ("goal", "sale"),
            ("order_id", order),
            ("amount", "100"),
        ];
        world.app.advertiser().postback(&sent).await
    };
    // By default each campaign counts its own orders.
    world.all("o1", &[&[("amount", "100")]]).await;
    assert_eq!(elsewhere("o1").await.reason(), "accepted");
    let path = format!("/integrations/{}", world.app.scene.campaign.advertiser_id);
    let set = owner.patch(&path, &json!({ "counts_orders_once": true })).await;
    assert!(set.status.is_success(), "{}", set.text);
    tokio::time::sleep(std::time::Duration::from_millis(1_100)).await;
    world.all("o2", &[&[("amount", "100")]]).await;
    let again = elsewhere("o2").await;
    assert_eq!(again.get("status"), "duplicate", "{}", again.text);
    let paid = "SELECT count(*) FROM conversions WHERE order_id = 'o2'";
    assert_eq!(world.app.count(paid).await, 1);
    world.finish().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn a_goal_that_counts_once_per_customer_names_the_customer() {
    let world = World::new().await;
    world
        .app
        .change_sale(|sale| sale.unique_by = UniqueBy::Customer)
        .await;
    let other = world.app.visitor().click("?sub1=other").await.id;
    for (click, order, reason) in [(&world.click, "1", "accepted"), (&other, "2", "goal_once")] {
        let sent = [
            ("click_id", click.as_str()),
            ("goal", "sale"),
            ("customer_id", "c1"),
            ("order_id", order),
            ("amount", "10"),
        ];
        let answer = world.app.advertiser().postback(&sent).await;
        assert_eq!(answer.reason(), reason, "{}", answer.text);
        if reason == "goal_once" {
            let message = "Customer c1 reached the goal before, and the goal counts once per customer.";
            assert_eq!(answer.get("message"), message);
        }
    }
    world.finish().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn a_coupon_of_another_affiliate_beside_a_known_customer_is_named() {
    let world = World::new().await;
    let other = another_affiliate(&world, "other").await;
    let owner = world.app.program(&world.app.scene.owner).await;
    let campaign = world.app.scene.campaign.id.to_string();
    let coupon = json!({ "campaign": campaign, "affiliate": other, "code": "OTHER" });
    let coupon = owner.post("/coupons", &coupon).await;
    assert!(coupon.status.is_success(), "{}", coupon.text);
    world
        .all("1", &[&[("amount", "100"), ("customer_id", "c1")]])
        .await;
    let sent = [
        ("goal", "sale"),
        ("customer_id", "c1"),
        ("coupon", "OTHER"),
        ("order_id", "2"),
        ("amount", "100"),
    ];
    let answer = world.app.advertiser().postback(&sent).await;
    assert_eq!(answer.reason(), "accepted", "{}", answer.text);
    let of = |order: &str| {
        let sql = format!("SELECT attributed_by FROM conversions WHERE order_id = '{order}'");
        let world = &world;
        async move { world.app.text(&sql).await }
    };
    assert_eq!(of("2").await, "customer");
    let trace = owner
        .get(&format!("/postbacks/{}", answer.get("request_id")))
        .await;
    assert!(trace.text.contains("coupon"), "{}", trace.text);
    world.finish().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn a_rejected_child_makes_room_for_another() {
    let world = World::new().await;
    world.add_chain(Some(2)).await;
    let server = world.app.advertiser();
    let call = async |goal: &str, order: &str, status: &str| {
        let sent = [
            ("click_id", world.click.as_str()),
            ("goal", goal),
            ("customer_id", "c1"),
            ("order_id", order),
            ("amount", "10"),
            ("status", status),
        ];
        server.postback(&sent).await.reason().to_owned()
    };
    assert_eq!(call("signup", "s", "pending").await, "accepted");
    assert_eq!(call("renewal", "r1", "pending").await, "accepted");
    assert_eq!(call("renewal", "r2", "pending").await, "accepted");
    assert_eq!(call("renewal", "r3", "pending").await, "parent_exhausted");
    assert_eq!(call("renewal", "r1", "rejected").await, "updated");
    assert_eq!(call("renewal", "r3", "pending").await, "accepted");
    assert_eq!(call("renewal", "r4", "pending").await, "parent_exhausted");
    world.finish().await;
}
