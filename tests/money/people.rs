//! Reviews, holds, parents, and corrections by users.

use super::*;

#[tokio::test(flavor = "multi_thread")]
async fn a_review_is_about_the_amount_after_refunds_and_the_version_that_was_seen() {
    let world = World::new().await;
    world
        .app
        .change_sale(|sale| {
            sale.review_above_micros = Some(100_000_000);
            sale.auto_approve = true;
        })
        .await;
    assert_eq!(world.reason("1", &[("amount", "500")]).await, "held_for_review");
    world.all("1", &[&[("refund", "450")]]).await;
    assert_eq!(world.order("1").await, "approved 50 5");
    // An approval of what has changed since is refused.
    assert_eq!(world.reason("2", &[("amount", "500")]).await, "held_for_review");
    world
        .all("2", &[&[("action", "update"), ("amount", "50000")]])
        .await;
    assert_eq!(
        world
            .correct("2", json!({ "action": "approve", "version": 1 }))
            .await,
        412
    );
    assert_eq!(world.order("2").await, "pending 50000 5000");
    assert_eq!(
        world
            .correct("2", json!({ "action": "approve", "version": 2 }))
            .await,
        200
    );
    assert_eq!(world.order("2").await, "approved 50000 5000");
    // Approved once, raised above the limit, rejected: it was taken back.
    world
        .all(
            "3",
            &[
                &[("amount", "90")],
                &[("action", "update"), ("amount", "110")],
                &[("status", "rejected")],
            ],
        )
        .await;
    assert_eq!(world.order("3").await, "reversed 110 11");
    world.finish().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn pending_is_no_decision_and_the_hold_period_goes_on() {
    let world = World::new().await;
    world
        .app
        .change_sale(|sale| {
            sale.auto_approve = true;
            sale.hold_days = 7;
        })
        .await;
    world
        .all("1", &[&[("amount", "100"), ("status", "pending")]])
        .await;
    world
        .all("2", &[&[("amount", "100")], &[("status", "pending")]])
        .await;
    world.app.end_hold_period("true").await;
    let all = "SELECT string_agg(DISTINCT status, ' ') FROM conversions";
    world.app.eventually(all, "approved").await;
    assert_eq!(world.kinds("1").await, "earned approved");
    assert_eq!(world.ledger("1").await, "0 10");
    world.finish().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn a_child_belongs_to_the_affiliate_of_its_parent_and_falls_into_review_with_it() {
    let world = World::new().await;
    world.add_chain(None).await;
    let server = world.app.advertiser();
    let made = server
        .postback(&[
            ("click_id", &world.click),
            ("goal", "signup"),
            ("customer_id", "c1"),
            ("order_id", "s1"),
            ("amount", "10"),
        ])
        .await;
    assert_eq!(made.reason(), "accepted", "{}", made.text);
    let child = server
        .postback(&[
            ("goal", "renewal"),
            ("customer_id", "c1"),
            ("order_id", "r1"),
            ("amount", "20"),
        ])
        .await;
    assert_eq!(child.reason(), "accepted", "{}", child.text);
    let fell = server
        .postback(&[
            ("click_id", &world.click),
            ("goal", "signup"),
            ("customer_id", "c1"),
            ("order_id", "s1"),
            ("status", "rejected"),
            ("amount", "10"),
        ])
        .await;
    assert_eq!(fell.reason(), "updated", "{}", fell.text);
    assert_eq!(
        world
            .app
            .text("SELECT concat_ws(' ', status, review_because) FROM conversions WHERE order_id = 'r1'")
            .await,
        "pending parent"
    );
    // A rejected conversion attributes nothing.
    let rejected = server
        .postback(&[
            ("click_id", world.click.as_str()),
            ("goal", "sale"),
            ("customer_id", "c2"),
            ("order_id", "x0"),
            ("status", "rejected"),
            ("amount", "20"),
        ])
        .await;
    assert_eq!(rejected.reason(), "accepted", "{}", rejected.text);
    let orphan = server
        .postback(&[
            ("goal", "sale"),
            ("customer_id", "c2"),
            ("order_id", "x"),
            ("amount", "20"),
        ])
        .await;
    assert_eq!(orphan.reason(), "waiting_for_customer", "{}", orphan.text);
    // Nor does one outside the customer window.
    world
        .app
        .execute("UPDATE conversions SET converted_at = now() - interval '400 days' WHERE order_id = 'r1'")
        .await;
    world
        .app
        .execute("UPDATE conversions SET converted_at = now() - interval '400 days' WHERE order_id = 's1'")
        .await;
    let late = server
        .postback(&[
            ("goal", "sale"),
            ("customer_id", "c1"),
            ("order_id", "late"),
            ("amount", "20"),
        ])
        .await;
    assert_eq!(late.reason(), "click_expired", "{}", late.text);
    world.app.execute("UPDATE conversions SET converted_at = (SELECT received_at FROM postbacks p WHERE p.id = postback_id)").await;
    world.finish().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn users_correct_amount_commission_and_affiliate_and_the_history_says_who_and_why() {
    let world = World::new().await;
    world
        .all("1", &[&[("amount", "100")], &[("status", "approved")]])
        .await;
    assert_eq!(
        world
            .correct("1", json!({ "action": "adjust", "amount": "80", "reason_code": "returned", "reason": "One came back" }))
            .await,
        200
    );
    assert_eq!(world.order("1").await, "approved 80 8");
    // Higher amounts of the advertiser do not count any more, lower ones do.
    assert_eq!(
        world.reason("1", &[("action", "update"), ("amount", "90")]).await,
        "unchanged"
    );
    assert_eq!(
        world.reason("1", &[("action", "update"), ("amount", "60")]).await,
        "updated"
    );
    assert_eq!(world.order("1").await, "approved 60 6");
    assert_eq!(
        world
            .correct("1", json!({ "action": "adjust", "commission": "3.50" }))
            .await,
        200
    );
    assert_eq!(world.order("1").await, "approved 60 3.5");
    world.all("1", &[&[("refund", "30")]]).await;
    assert_eq!(world.order("1").await, "approved 30 1.75");
    for (invalid, field) in [
        (json!({ "action": "adjust" }), "amount"),
        (json!({ "action": "adjust", "amount": "1.005" }), "amount"),
        (json!({ "action": "adjust", "commission": "x" }), "commission"),
        (json!({ "action": "move", "link": "nowhere" }), "link"),
        (json!({ "action": "sell" }), "action"),
    ] {
        assert_eq!(
            world.correct("1", invalid.clone()).await,
            422,
            "{field}: {invalid}"
        );
    }
    let id = world.id("1").await;
    let affiliate = world.app.program(&world.app.scene.affiliate).await;
    let seen = affiliate.get(&format!("/conversions/{id}/statements")).await;
    assert_eq!(seen.status, 200, "{}", seen.text);
    for words in [
        "One came back",
        "returned",
        "remaining total 80.00 EUR",
        "no effect",
    ] {
        assert!(seen.text.contains(words), "{words} is not in {}", seen.text);
    }
    let owner = world.app.sign_in(&world.app.scene.owner).await;
    let page = owner.get(&format!("/conversions/{id}")).await.html;
    for words in [
        "One came back",
        "Cancelled or returned",
        "pending → approved",
        "Ledger",
        "no effect",
    ] {
        assert!(page.contains(words), "{words} is not in {page}");
    }
    world.finish().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn many_conversions_are_corrected_with_their_effect_first_and_undo_after() {
    let world = World::new().await;
    for order in ["1", "2", "3"] {
        world.all(order, &[&[("amount", "100")]]).await;
    }
    let program = world.app.program(&world.app.scene.owner).await;
    let approve = |dry_run: bool| json!({ "dry_run": dry_run, "action": "approve", "orders": ["1", "2", "none"], "reason_code": "agreement" });
    let looked = program.post("/conversions/corrections", &approve(true)).await;
    assert_eq!(looked.json["changed"], 2, "{}", looked.text);
    assert_eq!(looked.json["refused"][0]["name"], "none");
    assert_eq!(
        world.order("1").await,
        "pending 100 10",
        "a dry run changes nothing"
    );
    let done = program.post("/conversions/corrections", &approve(false)).await;
    assert_eq!(
        (&done.json["changed"], world.order("2").await),
        (&json!(2), "approved 100 10".to_owned())
    );
    let batch = done.json["batch"].as_str().unwrap();
    let undone = program
        .post(&format!("/conversions/corrections/{batch}/undo"), &json!({}))
        .await;
    assert_eq!(undone.json["changed"], 2, "{}", undone.text);
    assert_eq!(world.order("1").await, "pending 100 10");
    let file = "order_id,action,amount,reason_code\n1,approve,,\n2,adjust,50,returned\n3,sell,,\n";
    let headers = [("Content-Type", "text/csv")];
    let imported = program
        .call(
            reqwest::Method::POST,
            "/conversions/corrections/import",
            &headers,
            file,
        )
        .await;
    assert_eq!(
        (&imported.json["changed"], &imported.json["refused"][0]["name"]),
        (&json!(2), &json!("3")),
        "{}",
        imported.text
    );
    assert_eq!(
        (world.order("1").await, world.order("2").await),
        ("approved 100 10".to_owned(), "pending 50 5".to_owned())
    );
    let filtered = json!({ "dry_run": false, "action": "reject", "filter": { "status": "pending" }, "reason_code": "test" });
    let rejected = program.post("/conversions/corrections", &filtered).await;
    assert_eq!(rejected.json["changed"], 2, "{}", rejected.text);
    assert_eq!(rejected.json["money"][0]["commission"], "-15.00 EUR");
    let vague = json!({ "dry_run": true, "action": "approve" });
    assert_eq!(program.post("/conversions/corrections", &vague).await.status, 422);

    // The page does the same.
    let owner = world.app.sign_in(&world.app.scene.owner).await;
    let page = "/conversions/corrections";
    let fields = [("orders", "2\n3"), ("action", "approve")];
    let preview = owner.submit(page, page, &fields).await;
    assert!(
        preview.html.contains("<strong>2</strong> conversions change"),
        "{}",
        preview.html
    );
    assert_eq!(world.order("3").await, "rejected 100 10");
    let hidden = |name: &str| {
        let value = preview
            .html
            .split(&format!("name=\"{name}\" value=\""))
            .nth(1)
            .unwrap();
        value.split('"').next().unwrap().to_owned()
    };
    let (seen, confirm) = (hidden("seen"), hidden("confirm"));
    let confirmed = [&fields[..], &[("confirm", &confirm), ("seen", &seen)]].concat();
    let other = [
        ("orders", "2\n3"),
        ("action", "hold"),
        ("confirm", &confirm),
        ("seen", &seen),
    ];
    let looked = owner.submit(page, page, &other).await;
    assert_eq!(
        looked.status, 200,
        "another action than that of the preview is previewed first"
    );
    let made = owner.submit(page, page, &confirmed).await;
    let done = owner.get(made.location()).await.html;
    assert!(done.contains("The conversions were corrected."), "{done}");
    assert_eq!(world.order("3").await, "approved 100 10");
    let batch = made.location().rsplit('=').next().unwrap().to_owned();
    owner
        .submit(
            made.location(),
            "/conversions/corrections/undo",
            &[("batch", &batch)],
        )
        .await;
    assert_eq!(world.order("3").await, "rejected 100 10");
    world.finish().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn a_conversion_moves_to_another_affiliate_and_back() {
    let world = World::new().await;
    world.all("1", &[&[("amount", "100")]]).await;
    let owner = world.app.program(&world.app.scene.owner).await;
    let affiliate = owner.post("/affiliates", &json!({ "name": "Other" })).await;
    let link = json!({
        "campaign": world.app.scene.campaign.id.to_string(),
        "affiliate": affiliate.json["id"],
        "alias": "other-link",
    });
    let link = owner.post("/links", &link).await;
    assert!(link.status.is_success(), "{}", link.text);
    assert_eq!(
        world
            .correct("1", json!({ "action": "move", "link": "other-link" }))
            .await,
        200
    );
    let balance =
        "SELECT string_agg(concat_ws(' ', name, trim_scale(sum / 1000000.0)), ', ' ORDER BY name) FROM
                   (SELECT a.name, sum(commission_pending_micros) FROM ledger_entries l
                    JOIN affiliates a ON a.id = l.affiliate_id GROUP BY 1) sums (name, sum) WHERE sum <> 0";
    assert_eq!(world.app.text(balance).await, "Other 10");
    let id = world.id("1").await;
    let statements = owner.get(&format!("/conversions/{id}/statements")).await;
    let moved = statements.json["items"][1]["id"].as_str().unwrap();
    let undone = owner
        .post(&format!("/conversions/{id}/corrections/{moved}/undo"), &json!({}))
        .await;
    assert!(undone.status.is_success(), "{}", undone.text);
    assert!(!world.app.text(balance).await.contains("Other"));
    world.finish().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn a_balance_of_a_past_moment_stays_what_it_was() {
    let world = World::new().await;
    world.all("1", &[&[("amount", "100")]]).await;
    let before = clock::now();
    world.all("1", &[&[("status", "approved")]]).await;
    world.all("2", &[&[("amount", "50"), ("currency", "USD")]]).await;
    let affiliate = world.app.program(&world.app.scene.affiliate).await;
    let at = before.to_rfc3339_opts(chrono::SecondsFormat::Micros, true);
    let now = affiliate.get("/balances").await;
    let euro = json!({ "pending": "0.00 EUR", "payable": "10.00 EUR" });
    let dollar = json!({ "pending": "5.00 USD", "payable": "0.00 USD" });
    assert_eq!(now.json["items"], json!([euro, dollar]), "{}", now.text);
    let then = affiliate.get(&format!("/balances?at={at}")).await;
    let euro = json!({ "pending": "10.00 EUR", "payable": "0.00 EUR" });
    assert_eq!(then.json["items"], json!([euro]), "{}", then.text);
    let advertiser = world.app.program(&world.app.scene.advertiser).await;
    let owed = advertiser.get("/balances").await;
    assert_eq!(owed.json["items"][0]["payable"], "13.00 EUR", "{}", owed.text);
    let foreign = format!("/balances?affiliate={}", world.app.scene.affiliate_id);
    assert_eq!(advertiser.get(&foreign).await.status, 422, "one party at a time");
    let owner = world.app.program(&world.app.scene.owner).await;
    assert_eq!(owner.get("/balances").await.status, 422);
    assert_eq!(owner.get(&foreign).await.json["items"][0]["payable"], "10.00 EUR");
    world.finish().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn verify_sees_every_kind_of_error_in_the_money() {
    let world = World::new().await;
    world
        .all("1", &[&[("amount", "100")], &[("status", "approved")]])
        .await;
    world.all("2", &[&[("amount", "100")], &[("refund", "30")]]).await;
    for (tampering, repair, claim) in [
        (
            "UPDATE conversions SET commission_micros = commission_micros + 10000 WHERE order_id = '1'",
            "UPDATE conversions SET commission_micros = commission_micros - 10000 WHERE order_id = '1'",
            "Status and money of every conversion",
        ),
        (
            "UPDATE conversions SET status = 'pending' WHERE order_id = '1'",
            "UPDATE conversions SET status = 'approved' WHERE order_id = '1'",
            "Status and money of every conversion",
        ),
        (
            "UPDATE conversion_changes SET refund_micros = 31000000 WHERE refund_micros IS NOT NULL",
            "UPDATE conversion_changes SET refund_micros = 30000000 WHERE refund_micros IS NOT NULL",
            "Status and money of every conversion",
        ),
        (
            "UPDATE ledger_entries SET commission_payable_micros = commission_payable_micros + 10000 WHERE kind = 'approved'",
            "UPDATE ledger_entries SET commission_payable_micros = commission_payable_micros - 10000 WHERE kind = 'approved'",
            "The ledger equals",
        ),
        (
            "UPDATE ledger_entries SET change_id = NULL WHERE kind = 'refunded'",
            "UPDATE ledger_entries l SET change_id = (SELECT id FROM conversion_changes h WHERE h.refund_micros IS NOT NULL)
             WHERE kind = 'refunded'",
            "Every ledger entry has its cause",
        ),
        (
            "UPDATE conversion_rollups SET paid = paid + 1",
            "UPDATE conversion_rollups SET paid = paid - 1",
            "The rollups of conversions",
        ),
        (
            "INSERT INTO quarantine (journal, seq, network_id, quarantined_at, reason, record)
             SELECT gen_random_uuid(), 1, id, now(), 'too large', '' FROM networks",
            "DELETE FROM quarantine",
            "No record is quarantined",
        ),
    ] {
        world.app.execute(tampering).await;
        let differing = world.differing().await;
        assert!(
            differing.iter().any(|found| found.starts_with(claim)),
            "{tampering}: {differing:?}"
        );
        world.app.execute(repair).await;
        assert_eq!(world.differing().await, [""; 0], "{repair}");
    }
    world.finish().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn a_correction_above_the_limit_waits_for_a_second_user() {
    let world = World::new().await;
    world.all("1", &[&[("amount", "1000")]]).await;
    world.all("2", &[&[("amount", "100")]]).await;
    let owner = world.app.program(&world.app.scene.owner).await;
    let limit = owner.patch("/network", &json!({ "second_user_above": 50 })).await;
    assert_eq!(limit.json["second_user_above"], 50, "{}", limit.text);
    let id = world.id("1").await;
    let fraud = json!({ "reason_code": "fraud" });
    let asked = owner.post(&format!("/conversions/{id}/reject"), &fraud).await;
    assert_eq!(asked.status, 202, "{}", asked.text);
    assert_eq!(
        asked.json["effect"],
        "commission -100.00 EUR, revenue -130.00 EUR"
    );
    assert_eq!(world.order("1").await, "pending 1000 100");
    assert_eq!(
        world.correct("2", json!({ "action": "reject" })).await,
        200,
        "below the limit"
    );
    let again = owner.post(&format!("/conversions/{id}/reject"), &fraud).await;
    assert_eq!(again.status, 409, "{}", again.text);
    let waiting = asked.json["id"].as_str().unwrap();
    let path = format!("/waiting-corrections/{waiting}");
    assert_eq!(
        owner.post(&format!("{path}/approve"), &json!({})).await.status,
        409,
        "not the same user"
    );
    let admin = world.app.program(world.app.scene.person(RoleKind::Admin)).await;
    assert_eq!(
        admin.get("/waiting-corrections").await.json["items"][0]["id"],
        waiting
    );
    let member = world.app.sign_in(world.app.scene.person(RoleKind::Admin)).await;
    let page = member.get(&format!("/conversions/{id}")).await.html;
    assert!(page.contains("Waits for a second user"), "{page}");
    assert_eq!(
        admin.post(&format!("{path}/approve"), &json!({})).await.status,
        204
    );
    assert_eq!(world.order("1").await, "rejected 1000 100");
    let history = admin.get(&format!("/conversions/{id}/statements")).await.text;
    assert!(history.contains(", approved by "), "{history}");
    assert_eq!(
        admin.post(&format!("{path}/approve"), &json!({})).await.status,
        404
    );
    // Asked from the page, and declined.
    let reinstated = member
        .submit(
            &format!("/conversions/{id}"),
            &format!("/conversions/{id}/corrections"),
            &[("action", "approve"), ("version", "2")],
        )
        .await;
    assert_eq!(reinstated.status, 303, "{}", reinstated.html);
    let list = "/conversions/corrections";
    let shown = member.get(list).await.html;
    let value = shown
        .split("name=\"id\" value=\"")
        .nth(1)
        .unwrap()
        .split('"')
        .next()
        .unwrap()
        .to_owned();
    let declined = member
        .submit(
            list,
            "/conversions/corrections/waiting",
            &[("id", &value), ("decision", "decline")],
        )
        .await;
    assert_eq!(declined.status, 303);
    assert_eq!(world.order("1").await, "rejected 1000 100");
    world.finish().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn the_receipt_of_a_quarantined_postback_answers() {
    let world = World::new().await;
    let network = world.app.scene.network.id;
    let receipt = "pb_00000000000000000000000000";
    let record = format!(
        r#"{{"format":1,"network":"{network}","id":"{receipt}","received_at":"2026-11-21T00:00:00Z","method":"GET",
            "target":"/postback","content_type":null,"body":"","remote_ip":null,"token":null,"click_id":"c","goal":null,
            "order_id":"A-1","amount_micros":5,"currency":null,"extra":[],"flaw":null}}"#
    );
    world
        .app
        .execute(&format!(
            "INSERT INTO quarantine (journal, seq, network_id, event_id, quarantined_at, reason, record)
             VALUES (gen_random_uuid(), 1, {}, '00000000-0000-0000-0000-000000000000', now(), 'too large',
                     convert_to('{record}', 'UTF8'))",
            network.0
        ))
        .await;
    let owner = world.app.program(&world.app.scene.owner).await;
    let answer = owner.get(&format!("/postbacks/{receipt}")).await;
    assert_eq!(answer.status.as_u16(), 200, "{}", answer.text);
    assert_eq!(
        (answer.get("reason"), answer.get("order_id")),
        ("quarantined", "A-1")
    );
    world.app.execute("DELETE FROM quarantine").await;
    world.finish().await;
}
