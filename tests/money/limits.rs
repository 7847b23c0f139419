//! Caps, uniqueness, tests.

use super::*;

#[tokio::test(flavor = "multi_thread")]
async fn a_cap_counts_what_is_paid_and_is_checked_again_on_changes() {
    let world = World::new().await;
    world.cap(Metric::Conversions, 2).await;
    let order = [("amount", "100")];
    for (number, reason) in [
        ("1", "accepted"),
        ("2", "accepted"),
        ("3", "cap_reached"),
        ("4", "cap_reached"),
    ] {
        assert_eq!(world.reason(number, &order).await, reason, "{number}");
    }
    // What is rejected makes room again.
    world.all("1", &[&[("status", "rejected")]]).await;
    assert_eq!(world.reason("5", &order).await, "accepted");
    // What counts again where no room is left needs a review.
    let back = world.send("1", &[("status", "approved")]).await;
    assert_eq!(back.reason(), "updated", "{}", back.text);
    assert_eq!(
        world
            .app
            .text("SELECT concat_ws(' ', status, review_because) FROM conversions WHERE order_id = '1'")
            .await,
        "pending cap"
    );
    world.finish().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn a_cap_of_money_limits_later_amounts_and_other_currencies() {
    let world = World::new().await;
    world.cap(Metric::Commission, 15_000_000).await;
    assert_eq!(world.reason("1", &[("amount", "100")]).await, "accepted");
    world
        .all("1", &[&[("action", "update"), ("amount", "100000")]])
        .await;
    let review = "SELECT concat_ws(' ', status, review_because) FROM conversions WHERE order_id = ";
    assert_eq!(world.app.text(&format!("{review}'1'")).await, "pending cap");
    let dollars = world
        .send("2", &[("amount", "100000"), ("currency", "USD")])
        .await;
    assert_eq!(dollars.reason(), "held_for_review", "{}", dollars.text);
    assert_eq!(world.app.text(&format!("{review}'2'")).await, "pending cap");
    world.finish().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn an_order_counts_once_whatever_the_goal_deduplicates_by() {
    let world = World::new().await;
    let customer = [("amount", "100"), ("customer_id", "c1")];
    world.all("u1", &[&customer]).await;
    world
        .app
        .change_sale(|sale| sale.unique_by = UniqueBy::Customer)
        .await;
    let again = world.send("u1", &customer).await;
    assert_eq!(again.reason(), "duplicate_order", "{}", again.text);
    world.all("u1", &[&[("refund", "all")]]).await;
    assert_eq!(world.order("u1").await, "rejected 0 0");
    world
        .all("u2", &[&[("amount", "100"), ("customer_id", "c2")]])
        .await;
    world
        .app
        .change_sale(|sale| sale.unique_by = UniqueBy::Order)
        .await;
    assert_eq!(
        world
            .reason("u2", &[("amount", "100"), ("customer_id", "c2")])
            .await,
        "duplicate_order"
    );
    assert_eq!(world.order("u2").await, "pending 100 10");
    world.finish().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn a_real_order_changes_while_its_campaign_is_tested() {
    let world = World::new().await;
    world.all("1", &[&[("amount", "100")]]).await;
    world
        .app
        .change_campaign(|campaign| campaign.status = CampaignStatus::Testing)
        .await;
    let refund = world.send("1", &[("refund", "all")]).await;
    assert_eq!(refund.reason(), "updated", "{}", refund.text);
    assert_eq!(world.ledger("1").await, "0 0");
    world.finish().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn caps_and_tiers_are_exact_over_two_nodes() {
    let world = World::new().await;
    world.cap(Metric::Conversions, 57).await;
    let from_21 = Conditions {
        month_from: Some(21),
        ..Conditions::default()
    };
    let doubled = Terms {
        commission: percent(20),
        revenue: percent(26),
    };
    world.add_rule(from_21, doubled).await;
    let second = world.app.another_node().await;
    let calls = (0..160).map(|number| {
        let order = format!("n{number}");
        let world = &world;
        let server = if number % 2 == 0 {
            world.app.advertiser()
        } else {
            world.app.advertiser_of(&second)
        };
        async move {
            let parameters = [
                ("click_id", world.click.as_str()),
                ("goal", "sale"),
                ("order_id", &order),
                ("amount", "10"),
            ];
            server.postback(&parameters).await.reason().to_owned()
        }
    });
    let reasons = futures_util::future::join_all(calls).await;
    let paid = reasons.iter().filter(|reason| *reason == "accepted").count();
    assert_eq!((paid, reasons.len()), (57, 160), "{reasons:?}");
    // No number is given twice or left out, and each decides its commission.
    let paid =
        "FROM (SELECT (terms->>'number_in_month')::int AS number, commission_micros / 1000000 AS commission
                      FROM conversions WHERE unpaid_because IS NULL) paid";
    let numbers =
        format!("SELECT concat_ws(' ', count(*), count(DISTINCT number), min(number), max(number)) {paid}");
    assert_eq!(world.app.text(&numbers).await, "57 57 1 57");
    let commissions = format!(
        "SELECT string_agg(DISTINCT concat_ws(' ', number >= 21, commission), ', ' ORDER BY concat_ws(' ', number >= 21, commission)) {paid}"
    );
    assert_eq!(world.app.text(&commissions).await, "f 1, t 2");
    second.stop().await;
    world.finish().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn an_unpaid_order_does_not_take_a_place_in_a_tier() {
    let world = World::new().await;
    let second = Conditions {
        month_from: Some(2),
        ..Conditions::default()
    };
    let doubled = Terms {
        commission: percent(20),
        revenue: percent(26),
    };
    world.add_rule(second, doubled).await;
    world.cap(Metric::Conversions, 1).await;
    assert_eq!(world.reason("1", &[("amount", "100")]).await, "accepted");
    assert_eq!(world.reason("2", &[("amount", "100")]).await, "cap_reached");
    let owner = world.app.program(&world.app.scene.owner).await;
    let caps = owner
        .get(&format!("/caps?campaign={}", world.app.scene.campaign.id))
        .await;
    let cap = caps.json.pointer("/items/0/id").unwrap().as_str().unwrap();
    let removed = owner.delete(&format!("/caps/{cap}")).await;
    assert!(removed.status.is_success(), "{}", removed.text);
    tokio::time::sleep(std::time::Duration::from_millis(1_100)).await;
    // It is the second that is paid.
    assert_eq!(world.reason("3", &[("amount", "100")]).await, "accepted");
    assert_eq!(world.reason("4", &[("amount", "100")]).await, "accepted");
    for (order, expected) in [
        ("1", "pending 100 10"),
        ("2", "pending 100 0"),
        ("3", "pending 100 20"),
    ] {
        assert_eq!(world.order(order).await, expected, "{order}");
    }
    world.finish().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn a_new_order_of_a_live_click_counts_while_its_campaign_is_tested() {
    let world = World::new().await;
    world
        .app
        .change_campaign(|campaign| campaign.status = CampaignStatus::Testing)
        .await;
    tokio::time::sleep(std::time::Duration::from_millis(1_100)).await;
    let made = world.send("1", &[("amount", "100")]).await;
    assert_eq!(
        (made.reason(), made.get("mode")),
        ("accepted", "live"),
        "{}",
        made.text
    );
    assert_eq!(world.ledger("1").await, "10 0");
    world.finish().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn balances_beyond_64_bits_are_exact() {
    let world = World::new().await;
    let all = Terms {
        commission: percent(100),
        revenue: percent(100),
    };
    world.app.change_sale(|sale| sale.terms = all.into()).await;
    for number in 0..10 {
        let order = [("amount", "1000000000000"), ("currency", "IRR")];
        assert_eq!(world.reason(&format!("o{number}"), &order).await, "accepted");
    }
    let affiliate = world.app.program(&world.app.scene.affiliate).await;
    let balances = affiliate.get("/balances").await;
    assert_eq!(
        balances.json.pointer("/items/0/pending").unwrap(),
        "10000000000000.00 IRR",
        "{}",
        balances.text
    );
    world.finish().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn sums_beyond_64_bits_put_no_order_aside() {
    let world = World::new().await;
    let all = Terms {
        commission: percent(100),
        revenue: percent(100),
    };
    world.app.change_sale(|sale| sale.terms = all.into()).await;
    let cap = NewCap {
        campaign_id: world.app.scene.campaign.id,
        affiliate_id: None,
        metric: Metric::Commission,
        period: CapPeriod::Month,
        most: i64::MAX,
        currency: Some("IRR".parse().unwrap()),
    };
    let mut conn = world.app.network().await;
    caps::create(&mut conn, &Author::command_line(), &cap, clock::now())
        .await
        .unwrap();
    conn.commit().await.unwrap();
    let mut reasons = Vec::new();
    for number in 0..12 {
        let order = [("amount", "1000000000000"), ("currency", "IRR")];
        reasons.push(world.reason(&format!("o{number}"), &order).await);
    }
    // The sums stop at the largest number, which is the cap: it is not exceeded.
    assert_eq!(reasons, ["accepted"; 12]);
    assert_eq!(world.app.count("SELECT count(*) FROM quarantine").await, 0);
    world.finish().await;
}
