//! Statuses, times, ids and refunds.

use super::*;

#[tokio::test(flavor = "multi_thread")]
async fn the_latest_status_of_the_advertiser_holds_until_a_user_decides() {
    let world = World::new().await;
    // The advertiser takes its rejection back.
    world
        .all(
            "1",
            &[
                &[("amount", "100")],
                &[("status", "rejected")],
                &[("status", "approved")],
            ],
        )
        .await;
    assert_eq!(world.order("1").await, "approved 100 10");
    assert_eq!(world.kinds("1").await, "earned rejected reinstated");
    // A user reverses what is approved, and reinstates it.
    assert_eq!(
        world
            .correct(
                "1",
                json!({ "action": "reject", "reason_code": "fraud", "reason": "Stolen card" })
            )
            .await,
        200
    );
    assert_eq!(world.order("1").await, "reversed 100 10");
    assert_eq!(world.ledger("1").await, "0 0");
    let kept = world
        .send(
            "1",
            &[("status", "approved"), ("event_time", "2026-11-20T00:00:00Z")],
        )
        .await;
    assert_eq!(kept.reason(), "unchanged", "{}", kept.text);
    assert!(
        kept.get("message").contains("a user of the network decided"),
        "{}",
        kept.text
    );
    assert_eq!(world.order("1").await, "reversed 100 10");
    assert_eq!(world.correct("1", json!({ "action": "approve" })).await, 200);
    assert_eq!(world.order("1").await, "approved 100 10");
    // A user's approval holds in the same way; refunds and lower amounts count.
    assert_eq!(world.reason("1", &[("status", "rejected")]).await, "unchanged");
    assert_eq!(world.order("1").await, "approved 100 10");
    assert_eq!(world.reason("1", &[("refund", "40")]).await, "updated");
    assert_eq!(world.order("1").await, "approved 60 6");
    // Released, the advertiser's last word counts again.
    assert_eq!(world.correct("1", json!({ "action": "release" })).await, 200);
    assert_eq!(world.order("1").await, "reversed 60 6");
    world.finish().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn a_time_in_the_future_is_refused_and_times_order_the_statements() {
    let world = World::new().await;
    world.all("1", &[&[("amount", "100")]]).await;
    let future = world
        .send(
            "1",
            &[("status", "approved"), ("event_time", "2999-01-01T00:00:00Z")],
        )
        .await;
    assert_eq!(
        (future.status.as_u16(), future.reason()),
        (400, "event_time_invalid"),
        "{}",
        future.text
    );
    // The later event wins, whichever arrives first.
    let (early, late) = ("2026-11-20T10:00:00Z", "2026-11-20T11:00:00Z");
    world
        .all(
            "1",
            &[
                &[("status", "approved"), ("event_time", late)],
                &[("status", "rejected"), ("event_time", early)],
            ],
        )
        .await;
    assert_eq!(world.order("1").await, "approved 100 10");
    world
        .all(
            "2",
            &[
                &[("amount", "100"), ("event_time", "2026-11-20T09:00:00Z")],
                &[("action", "update"), ("amount", "80"), ("event_time", late)],
                &[("action", "update"), ("amount", "90"), ("event_time", early)],
            ],
        )
        .await;
    assert_eq!(world.order("2").await, "pending 80 8");
    world.finish().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn a_value_that_was_sent_before_and_has_changed_since_is_new() {
    let world = World::new().await;
    let update = |amount| [("action", "update"), ("amount", amount)];
    world
        .all(
            "1",
            &[&[("amount", "100")], &update("80"), &update("90"), &update("80")],
        )
        .await;
    assert_eq!(world.order("1").await, "pending 80 8");
    assert_eq!(world.reason("1", &update("80")).await, "unchanged", "a retry");
    let pending = |amount| [("status", "pending"), ("amount", amount)];
    world
        .all("2", &[&pending("100"), &pending("120"), &pending("100")])
        .await;
    assert_eq!(world.order("2").await, "pending 100 10");
    // An id tells a repetition from a new event, and is used for one thing only.
    let refund = |id, amount| [("refund", amount), ("refund_id", id)];
    world
        .all(
            "3",
            &[&[("amount", "100")], &refund("r1", "10"), &refund("r2", "10")],
        )
        .await;
    assert_eq!(world.order("3").await, "pending 80 8");
    assert_eq!(world.reason("3", &refund("r1", "10")).await, "unchanged");
    assert_eq!(world.reason("3", &refund("r1", "15")).await, "duplicate_conflict");
    assert_eq!(world.order("3").await, "pending 80 8");
    // A retry with another time is the same refund.
    let timed = |at| [("refund", "10"), ("event_time", at)];
    world
        .all(
            "4",
            &[
                &[("amount", "100")],
                &timed("2026-11-20T10:00:00Z"),
                &timed("2026-11-20T10:00:05Z"),
            ],
        )
        .await;
    assert_eq!(world.order("4").await, "pending 90 9");
    // A report without a status is a first report: repeated with another amount it is a conflict.
    world.all("5", &[&[("amount", "100")]]).await;
    assert_eq!(world.reason("5", &[("amount", "90")]).await, "duplicate_conflict");
    assert_eq!(world.order("5").await, "pending 100 10");
    world.finish().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn a_refund_is_money_taken_off_and_not_a_status() {
    let world = World::new().await;
    world.all("1", &[&[("amount", "100")]]).await;
    for nothing in ["0", "0.00"] {
        let answer = world.send("1", &[("refund", nothing)]).await;
        assert_eq!(answer.reason(), "unchanged", "{}", answer.text);
    }
    assert_eq!(world.order("1").await, "pending 100 10");
    // A routine status does not bring a refunded order back; a new total does.
    world
        .all(
            "2",
            &[
                &[("amount", "100")],
                &[("status", "approved"), ("event_time", "2026-11-20T11:00:00Z")],
                &[("refund", "all"), ("event_time", "2026-11-20T12:00:00Z")],
                &[("status", "approved"), ("event_time", "2026-11-20T13:00:00Z")],
            ],
        )
        .await;
    assert_eq!(world.order("2").await, "reversed 0 0");
    assert_eq!(world.kinds("2").await, "earned approved refunded");
    world.all("2", &[&[("action", "update"), ("amount", "70")]]).await;
    assert_eq!(world.order("2").await, "approved 70 7");
    // `amount` is the total before refunds, `remaining` after them.
    world
        .all(
            "3",
            &[
                &[("amount", "100")],
                &[("refund", "30")],
                &[("action", "update"), ("amount", "70")],
            ],
        )
        .await;
    assert_eq!(world.order("3").await, "pending 40 4");
    world.all("3", &[&[("remaining", "70")]]).await;
    assert_eq!(world.order("3").await, "pending 70 7");
    // A part of an order without an amount cannot be refunded.
    let terms = Terms {
        commission: fixed(20),
        revenue: fixed(26),
    };
    world
        .app
        .add_goal(&GoalSettings::new("quote", "Quote", GoalKind::Lead, terms))
        .await;
    let send = async |parameters: &[(&str, &str)]| {
        let named = [
            ("click_id", world.click.as_str()),
            ("goal", "quote"),
            ("order_id", "4"),
        ];
        let answer = world
            .app
            .advertiser()
            .postback(&[&named, parameters].concat())
            .await;
        answer.reason().to_owned()
    };
    assert_eq!(send(&[]).await, "accepted");
    assert_eq!(world.order("4").await, "pending 20");
    assert_eq!(send(&[("refund", "1")]).await, "amount_missing");
    assert_eq!(send(&[("refund", "all")]).await, "updated");
    assert_eq!(world.ledger("4").await, "0 0");
    world.finish().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn an_unauthenticated_sender_never_changes_the_order_of_an_authenticated_one() {
    let world = World::new().await;
    world
        .app
        .change_integration(|integration| integration.requires_token = false)
        .await;
    let raw = async |order: &str, rest: &str| {
        let query = format!("click_id={}&goal=sale&order_id={order}&{rest}", world.click);
        world.app.advertiser().raw(&query).await
    };
    world.all("1", &[&[("amount", "10")]]).await;
    let forged = raw("1", "amount=9999&status=approved").await;
    assert_eq!(forged.reason(), "duplicate_conflict", "{}", forged.text);
    assert_eq!(world.order("1").await, "pending 10 1");
    // The other way round, the authenticated sender takes over.
    assert_eq!(raw("2", "amount=9999").await.reason(), "accepted");
    assert_eq!(world.reason("2", &[("amount", "10")]).await, "updated");
    assert_eq!(world.order("2").await, "pending 10 1");
    assert_eq!(
        raw("2", "amount=500&status=approved").await.reason(),
        "duplicate_conflict"
    );
    assert_eq!(world.order("2").await, "pending 10 1");
    // It reports, and nothing else: everyone with the click could send the rest.
    let report = raw("3", "amount=100&status=approved&commission=50").await;
    assert_eq!(report.reason(), "accepted", "{}", report.text);
    assert!(
        report.text.contains("status: the sender is not authenticated"),
        "{}",
        report.text
    );
    for more in [
        "refund=30",
        "action=update&amount=9999",
        "action=update&status=approved",
        "remaining=5",
    ] {
        let refused = raw("3", more).await;
        assert_eq!(refused.reason(), "report_only", "{more}: {}", refused.text);
    }
    assert_eq!(world.order("3").await, "pending 100 10");
    world.finish().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn an_update_names_what_it_does_not_change() {
    let world = World::new().await;
    world
        .all(
            "1",
            &[&[("amount", "100"), ("coupon", "A"), ("customer_id", "c1")]],
        )
        .await;
    let other = world
        .send(
            "1",
            &[("action", "update"), ("coupon", "B"), ("customer_id", "c2")],
        )
        .await;
    assert_eq!(other.reason(), "unchanged", "{}", other.text);
    assert!(other.text.contains("coupon, customer_id"), "{}", other.text);
    // Sums that are sent again need an ID to be another.
    world.all("1", &[&[("refund", "10")]]).await;
    let again = world.send("1", &[("refund", "10")]).await;
    assert_eq!(again.reason(), "unchanged", "{}", again.text);
    assert!(
        again.get("hint").contains("event_id") || again.get("hint").contains("refund_id"),
        "{}",
        again.text
    );
    let conflict = world.send("1", &[("amount", "70")]).await;
    assert_eq!(conflict.reason(), "duplicate_conflict", "{}", conflict.text);
    assert!(
        conflict.get("hint").contains("as an update or a refund"),
        "{}",
        conflict.text
    );
    world.finish().await;
}
