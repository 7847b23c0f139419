//! Changes of conversions by later postbacks, manual review, and replays of rejected postbacks.
#![expect(
    clippy::unwrap_used,
    reason = "a test stops where something is not as it should be"
)]

use std::path::Path;
use std::process::Command;

use campaigns::campaigns::CampaignStatus;
use campaigns::goals::{GoalKind, GoalSettings};
use reqwest::StatusCode;
use testkit::{Answer, PAY, TestApp};

/// Statuses, amounts and commissions of all conversions, and the affiliate's balance in the ledger.
async fn ledger(app: &TestApp) -> String {
    app.text(
        "SELECT coalesce(string_agg(concat_ws(' ', status, amount_micros / 1000000, commission_micros / 1000000), ', ' ORDER BY unique_key), '')
             || ' = ' || (SELECT coalesce(sum(commission_pending_micros + commission_payable_micros), 0)::bigint / 1000000 FROM ledger_entries)
         FROM conversions",
    )
    .await
}

#[tokio::test(flavor = "multi_thread")]
async fn orders_approvals_adjustments_and_refunds_give_the_same_ledger_in_any_order_of_arrival() {
    let app = TestApp::spawn().await;
    let (click, server) = (app.visitor().click("").await, app.advertiser());
    let calls: [&[(&str, &str)]; 4] = [
        &[("amount", "100"), ("event_time", "2026-11-20T10:00:00Z")],
        &[
            ("action", "update"),
            ("amount", "80"),
            ("event_time", "2026-11-20T12:00:00Z"),
        ],
        &[
            ("status", "approved"),
            ("amount", "100"),
            ("event_time", "2026-11-20T11:00:00Z"),
        ],
        &[("refund", "30"), ("event_time", "2026-11-20T11:30:00Z")],
    ];
    let orders = [
        [0, 1, 2, 3],
        [3, 2, 1, 0],
        [1, 3, 0, 2],
        [2, 0, 3, 1],
        [3, 0, 1, 2],
        [1, 2, 3, 0],
    ];
    for (number, order) in orders.iter().enumerate() {
        let order_id = format!("A-{number}");
        for call in order {
            let mut parameters = vec![("click_id", click.id.as_str()), ("order_id", &order_id)];
            parameters.extend_from_slice(calls[*call]);
            let answer = server.postback(&parameters).await;
            assert!(answer.status.is_success(), "{order:?} {call}: {}", answer.text);
            // A repeated postback changes nothing.
            let again = server.postback(&parameters).await;
            assert!(
                matches!(again.get("status"), "duplicate" | "held"),
                "{order:?} {call}: {}",
                again.text
            );
        }
    }
    let one = "approved 50 5";
    assert_eq!(ledger(&app).await, format!("{} = 30", [one; 6].join(", ")));
    let rejected = server
        .postback(&[
            ("click_id", &click.id),
            ("order_id", "A-0"),
            ("status", "rejected"),
        ])
        .await;
    assert_eq!(rejected.reason(), "updated", "{}", rejected.text);
    assert!(
        rejected
            .get("message")
            .contains("Status changed: approved → reversed (50.00 EUR)."),
        "{}",
        rejected.text
    );
    assert!(ledger(&app).await.ends_with("= 25"));
    app.finish().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn statuses_sent_with_the_order_count_by_their_time_in_any_order_of_arrival() {
    let app = TestApp::spawn().await;
    app.change_sale(|sale| sale.demands.default_amount_micros = Some(10_000_000))
        .await;
    let (click, server) = (app.visitor().click("").await, app.advertiser());
    let order = async |order: &str, calls: &[&[(&str, &str)]]| {
        for call in calls {
            let parameters = [&[("click_id", click.id.as_str()), ("order_id", order)], *call].concat();
            let answer = server.postback(&parameters).await;
            assert!(answer.status.is_success(), "{order} {call:?}: {}", answer.text);
        }
    };
    let (early, late) = ("2026-11-20T10:00:00Z", "2026-11-20T11:00:00Z");
    let pending = [("status", "pending"), ("amount", "100"), ("event_time", early)];
    let approved = [("status", "approved"), ("amount", "100"), ("event_time", late)];
    let rejected = [("status", "rejected"), ("amount", "100"), ("event_time", late)];
    order("1", &[&pending, &rejected]).await;
    order("2", &[&rejected, &pending]).await;
    order("3", &[&pending, &approved]).await;
    order("4", &[&approved, &pending]).await;
    // The goal's default amount applies to orders without an amount, not to later changes of them.
    order("5", &[&[("amount", "100")], &[("status", "approved")]]).await;
    order("6", &[&[("status", "approved")]]).await;
    let expected = "rejected 100 10, rejected 100 10, approved 100 10, approved 100 10, approved 100 10, approved 10 1 = 31";
    assert_eq!(ledger(&app).await, expected);
    // A chargeback is accepted for a click of any age, and after the campaign has ended.
    app.change_campaign(|campaign| campaign.status = CampaignStatus::Ended)
        .await;
    tokio::time::sleep(std::time::Duration::from_millis(1_100)).await;
    order("3", &[&[("status", "rejected")]]).await;
    let new = server
        .postback(&[("click_id", &click.id), ("order_id", "7"), ("amount", "1")])
        .await;
    assert_eq!(new.reason(), "campaign_inactive");
    let again = server
        .postback(&[("click_id", &click.id), ("order_id", "5"), ("amount", "100")])
        .await;
    assert_eq!(again.reason(), "duplicate_order", "{}", again.text);
    assert!(ledger(&app).await.ends_with("= 21"));
    app.finish().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn a_caller_without_a_token_reports_orders_and_changes_none() {
    let app = TestApp::spawn().await;
    app.change_integration(|integration| integration.requires_token = false)
        .await;
    let (mine, theirs) = (app.visitor().click("").await, app.visitor().click("").await);
    let server = app.advertiser();
    let made = server
        .postback(&[("click_id", &theirs.id), ("order_id", "1"), ("amount", "100")])
        .await;
    assert_eq!(made.reason(), "accepted");
    for change in ["refund=all", "action=update&amount=9"] {
        let refused = server
            .raw(&format!("click_id={}&goal=sale&order_id=1&{change}", mine.id))
            .await;
        assert_eq!(refused.reason(), "report_only", "{change}: {}", refused.text);
    }
    let own = format!("click_id={}&goal=sale&order_id=2&amount=10", mine.id);
    assert_eq!(server.raw(&own).await.reason(), "accepted");
    // Neither its own order nor that of a sender with a token is approved.
    for order in [
        own,
        format!("click_id={}&goal=sale&order_id=1&amount=100", theirs.id),
    ] {
        let status = server.raw(&format!("{order}&status=approved")).await;
        assert_eq!(status.reason(), "duplicate_order", "{}", status.text);
        assert!(
            status.text.contains("status: the sender is not authenticated"),
            "{}",
            status.text
        );
    }
    let statuses = "SELECT string_agg(DISTINCT status, ' ') FROM conversions";
    assert_eq!(app.text(statuses).await, "pending");
    let proven = server
        .postback(&[("click_id", &mine.id), ("order_id", "1"), ("refund", "all")])
        .await;
    assert_eq!(proven.reason(), "updated", "{}", proven.text);
    app.finish().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn an_order_is_changed_by_its_id_and_the_token_alone() {
    let app = TestApp::spawn().await;
    let (click, server) = (app.visitor().click("").await, app.advertiser());
    let made = server
        .postback(&[("click_id", &click.id), ("order_id", "1"), ("amount", "100")])
        .await;
    assert_eq!(made.reason(), "accepted");
    for (change, reason) in [
        (&[("order_id", "1"), ("status", "approved")][..], "updated"),
        (&[("order_id", "1"), ("refund", "40")], "updated"),
        (
            &[("order_id", "1"), ("action", "update"), ("amount", "50")],
            "updated",
        ),
        // What names no order that exists makes none.
        (&[("order_id", "2"), ("status", "approved")], "click_id_missing"),
        (&[("order_id", "1"), ("goal", "lead")], "click_id_missing"),
    ] {
        let answer = server.postback(change).await;
        assert_eq!(answer.reason(), reason, "{change:?}: {}", answer.text);
    }
    let stored =
        "SELECT concat_ws(' ', count(*), min(status), min(amount_micros) / 1000000) FROM conversions";
    // What the order is worth is 50, and 40 of it went back.
    assert_eq!(app.text(stored).await, "1 approved 10");
    app.finish().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn a_change_without_its_order_is_held_and_finally_rejected() {
    let app = TestApp::spawn().await;
    let (click, server) = (app.visitor().click("").await, app.advertiser());
    let refund = server
        .postback(&[("click_id", &click.id), ("order_id", "A-1"), ("refund", "all")])
        .await;
    assert_eq!(
        (refund.status, refund.get("status")),
        (StatusCode::ACCEPTED, "held")
    );
    assert_eq!(refund.reason(), "waiting_for_conversion");
    app.execute("UPDATE held_postbacks SET until = now() - interval '1 second'")
        .await;
    app.eventually("SELECT reason FROM postbacks", "conversion_not_found")
        .await;
    assert_eq!(app.count("SELECT count(*) FROM held_postbacks").await, 0);
    app.finish().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn a_replay_is_checked_in_a_dry_run_first_and_runs_once() {
    let app = TestApp::spawn().await;
    let (click, server) = (app.visitor().click("").await, app.advertiser());
    for order in ["1", "2"] {
        let rejected = server
            .postback(&[
                ("goal", "deposit"),
                ("click_id", &click.id),
                ("order_id", order),
                ("amount", "100"),
            ])
            .await;
        assert_eq!(rejected.reason(), "goal_unknown");
    }
    app.add_goal(&GoalSettings::new("deposit", "Deposit", GoalKind::Deposit, PAY))
        .await;
    let owner = app.sign_in(&app.scene.owner).await;
    let list = "/postbacks?reason=goal_unknown";
    let ask = async |fields: &[(&str, &str)]| {
        let asked = owner.submit(list, "/postbacks/replay", fields).await;
        assert_eq!(asked.status, StatusCode::SEE_OTHER, "{}", asked.html);
        app.eventually("SELECT count(*) FROM replays WHERE done_at IS NULL", "0")
            .await;
        owner.get(asked.location()).await.html
    };
    let unlike = [("since", "2999-01-01")];
    let unlike = owner.submit(list, "/postbacks/replay", &unlike).await;
    assert_eq!(unlike.status, StatusCode::CONFLICT);
    assert!(
        unlike.html.contains("No matching rejected postbacks"),
        "{}",
        unlike.html
    );
    let advertiser = app.scene.advertiser_id.to_string();
    let dry = ask(&[
        ("reason", "goal_unknown"),
        ("advertiser", &advertiser),
        ("how", "dry"),
    ])
    .await;
    assert!(
        dry.contains("2 checked") && dry.contains("no data has been changed"),
        "{dry}"
    );
    assert_eq!(dry.matches("<strong>accepted</strong>").count(), 2, "{dry}");
    assert_eq!(dry.matches(">1.00 EUR<").count(), 2, "{dry}");
    for table in ["conversions", "ledger_entries"] {
        assert_eq!(
            app.count(&format!("SELECT count(*) FROM {table}")).await,
            0,
            "{table}"
        );
    }
    // A rejected postback that was not part of the dry run.
    let other = [
        ("goal", "deposit"),
        ("click_id", "made-up"),
        ("order_id", "R-9"),
        ("amount", "1"),
    ];
    assert_eq!(
        app.advertiser().postback(&other).await.reason(),
        "click_not_found"
    );
    app.settled().await;
    let (_, rest) = dry.split_once("name=\"batch\" value=\"").unwrap_or_default();
    let batch = [
        ("batch", rest.split('"').next().unwrap_or_default()),
        ("how", "real"),
    ];
    let real = ask(&batch).await;
    assert!(
        real.contains("2 checked"),
        "only the checked postbacks are replayed: {real}"
    );
    assert_eq!(real.matches("<strong>accepted</strong>").count(), 2, "{real}");
    assert_eq!(ledger(&app).await, "pending 100 1, pending 100 1 = 2");
    assert_eq!(
        app.count("SELECT count(*) FROM postbacks WHERE reason = 'accepted'")
            .await,
        2
    );
    let again = owner.submit(list, "/postbacks/replay", &batch).await;
    assert_eq!(again.status, StatusCode::CONFLICT, "{}", again.html);
    assert_eq!(ledger(&app).await, "pending 100 1, pending 100 1 = 2");
    app.finish().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn a_large_order_is_approved_by_a_user_of_the_network_only_whichever_postbacks_arrive() {
    let app = TestApp::spawn().await;
    let (click, server) = (app.visitor().click("").await, app.advertiser());
    let owner = app.sign_in(&app.scene.owner).await;
    let page = format!("/goals/{}", app.scene.sale_id);
    let set = async |hold_days: &str, review_above: &str| {
        let fields = [
            ("name", "Sale"),
            ("code", "sale"),
            ("kind", "sale"),
            ("commission", "10 %"),
            ("revenue", "15 %"),
            ("unique_by", "order"),
            ("auto_approve", "yes"),
            ("hold_days", hold_days),
            ("review_above", review_above),
        ];
        owner.submit(&page, &page, &fields).await
    };
    assert_eq!(set("0", "lots").await.status, StatusCode::UNPROCESSABLE_ENTITY);
    assert_eq!(set("0", "500").await.status, StatusCode::SEE_OTHER);
    assert!(owner.get(&page).await.html.contains("value=\"500\""));
    tokio::time::sleep(std::time::Duration::from_millis(1_100)).await;
    let call = async |order: &str, parameters: &[(&str, &str)]| {
        let order = [("click_id", click.id.as_str()), ("order_id", order)];
        server.postback(&[&order[..], parameters].concat()).await
    };
    let made = call("small", &[("amount", "500")]).await;
    assert_eq!(made.reason(), "accepted", "{}", made.text);
    let held = call("large", &[("amount", "500.01")]).await;
    assert_eq!(
        (held.status, held.get("status"), held.reason()),
        (StatusCode::ACCEPTED, "held", "held_for_review"),
        "{}",
        held.text
    );
    assert_eq!(
        call("large", &[("amount", "500.01")]).await.reason(),
        "duplicate_order"
    );
    let foreign = call("foreign", &[("amount", "1"), ("currency", "USD")]).await;
    assert_eq!(foreign.reason(), "held_for_review", "{}", foreign.text);
    let approved = [("status", "approved"), ("amount", "500.01")];
    let kept = call("large", &approved).await;
    assert_eq!(kept.reason(), "unchanged", "{}", kept.text);
    assert!(
        kept.get("message").contains("it awaits manual review"),
        "{}",
        kept.text
    );
    let standing =
        "SELECT string_agg(concat_ws(' ', order_id, status, review_because), ', ' ORDER BY order_id)
                    FROM conversions WHERE hold_until IS NULL";
    assert_eq!(
        app.text(standing).await,
        "foreign pending currency, large pending amount, small approved"
    );

    // Only users of the network see the rule.
    let list = "/conversions?review=yes";
    let shown = owner.get(list).await.html;
    for words in ["above 500.00 EUR", "currency differs", "In review"] {
        assert!(shown.contains(words), "{words} is not in {shown}");
    }
    assert_eq!(shown.matches("Needs review").count(), 2, "{shown}");
    let inspected = format!("/postbacks/{}", held.get("request_id"));
    assert!(owner.get(&inspected).await.html.contains("above 500.00 EUR"));
    for person in [&app.scene.advertiser, &app.scene.affiliate] {
        let member = app.sign_in(person).await;
        for page in [list, &inspected] {
            let html = member.get(page).await.html;
            assert!(
                !html.contains("Needs review") && !html.contains("above 500.00 EUR"),
                "{html}"
            );
            assert!(!html.contains("In review"), "{html}");
        }
    }
    let decide = async |answer: &Answer, decision: &str| {
        let action = format!("/conversions/{}", answer.get("conversion_id"));
        let decided = owner.submit(list, &action, &[("decision", decision)]).await;
        assert_eq!(decided.status, StatusCode::SEE_OTHER, "{}", decided.html);
    };
    decide(&held, "approve").await;
    decide(&foreign, "reject").await;
    assert!(!owner.get(list).await.html.contains("Needs review"));
    assert_eq!(
        app.text(standing).await,
        "foreign rejected, large approved, small approved"
    );
    // A conversion raised after its review awaits another review.
    assert_eq!(
        call("large", &[("action", "update"), ("amount", "900")])
            .await
            .reason(),
        "updated"
    );
    assert_eq!(
        app.text(standing).await,
        "foreign rejected, large pending amount, small approved"
    );
    decide(&held, "approve").await;
    assert_eq!(call("large", &[("refund", "100")]).await.reason(), "updated");
    assert_eq!(
        app.text(standing).await,
        "foreign rejected, large approved, small approved"
    );

    let calls: [&[(&str, &str)]; 4] = [
        &[("amount", "600"), ("event_time", "2026-11-20T10:00:00Z")],
        &[
            ("status", "approved"),
            ("amount", "600"),
            ("event_time", "2026-11-20T11:00:00Z"),
        ],
        &[
            ("action", "update"),
            ("amount", "800"),
            ("event_time", "2026-11-20T12:00:00Z"),
        ],
        &[("refund", "30"), ("event_time", "2026-11-20T11:30:00Z")],
    ];
    for (number, order) in [[0, 1, 2, 3], [3, 2, 1, 0], [1, 3, 0, 2], [2, 0, 3, 1]]
        .iter()
        .enumerate()
    {
        for at in order {
            let answer = call(&format!("A-{number}"), calls[*at]).await;
            assert!(answer.status.is_success(), "{order:?} {at}: {}", answer.text);
        }
    }
    // A conversion lowered below the limit needs no review.
    for (number, order) in [[0, 1], [1, 0]].iter().enumerate() {
        for at in order {
            call(&format!("B-{number}"), calls[*at]).await;
        }
        call(&format!("B-{number}"), &[("action", "update"), ("amount", "100")]).await;
    }
    let each = "SELECT string_agg(DISTINCT concat_ws(' ', left(order_id, 1), status, review_because, amount_micros / 1000000), ', ')
                FROM conversions WHERE order_id LIKE '_-_'";
    assert_eq!(app.text(each).await, "A pending amount 770, B approved 100");

    // The end of the hold period approves only conversions that need no review.
    assert_eq!(set("7", "500").await.status, StatusCode::SEE_OTHER);
    tokio::time::sleep(std::time::Duration::from_millis(1_100)).await;
    call("C-0", &[("amount", "501")]).await;
    call("C-1", &[("amount", "499")]).await;
    app.end_hold_period("order_id LIKE 'C-_'").await;
    let status = "SELECT status FROM conversions WHERE order_id = ";
    app.eventually(&format!("{status}'C-1'"), "approved").await;
    assert_eq!(app.text(&format!("{status}'C-0'")).await, "pending");
    app.finish().await;
}

/// Exit code and output of `clickledger replay` for the scene's network.
fn replay(app: &TestApp, login: &str, data: &Path, options: &[&str]) -> (Option<i32>, String) {
    let output = Command::new(env!("CARGO_BIN_EXE_clickledger"))
        .args(["replay", "--data-dir"])
        .arg(data)
        .args(options)
        .env("DATABASE_URL", login)
        .env("CLICKLEDGER_SECRET", app.secret.to_text())
        .env_remove("OWNER_DATABASE_URL")
        .output()
        .unwrap();
    let text = |bytes: &[u8]| String::from_utf8_lossy(bytes).into_owned();
    (output.status.code(), text(&output.stdout) + &text(&output.stderr))
}

#[tokio::test(flavor = "multi_thread")]
async fn the_command_prints_the_changes_of_a_dry_run_and_then_makes_them() {
    let app = TestApp::spawn().await;
    let (click, server) = (app.visitor().click("").await, app.advertiser());
    let mut receipts = Vec::new();
    for (goal, order) in [("deposit", "1"), ("deposit", "2"), ("install", "3")] {
        let rejected = server
            .postback(&[
                ("goal", goal),
                ("click_id", &click.id),
                ("order_id", order),
                ("amount", "100"),
            ])
            .await;
        assert_eq!(rejected.reason(), "goal_unknown");
        receipts.push(rejected.get("request_id").to_owned());
    }
    app.add_goal(&GoalSettings::new("deposit", "Deposit", GoalKind::Deposit, PAY))
        .await;
    app.settled().await;
    let (login, data) = (app.database.login().await, tempfile::tempdir().unwrap());
    let run = |options: &[&str]| {
        let options = [&["--network", "orbit"], options].concat();
        tokio::task::block_in_place(|| replay(&app, &login, data.path(), &options))
    };

    let (code, look) = run(&["--reason", "goal_unknown", "--advertiser", "Orbit Shop"]);
    assert_eq!(code, Some(0), "{look}");
    for expected in [
        "Orbit: 3 postbacks checked, 2 would change",
        "       2  goal_unknown → accepted\n",
        "       1  goal_unknown → goal_unknown\n",
        "       2  conversions: 2.00 EUR commission, 4.00 EUR revenue",
        &format!(
            "{}  goal_unknown → accepted  The conversion was recorded.",
            receipts[0]
        ),
        "Nothing was changed.",
    ] {
        assert!(look.contains(expected), "{expected} is missing in: {look}");
    }
    assert_eq!(ledger(&app).await, " = 0", "nothing was changed");
    let (_, again) = look.split_once("--looked-at ").unwrap();
    let number = again.split_whitespace().next().unwrap();

    // A postback received after the dry run is not part of it.
    let late = [("goal", "deposit"), ("click_id", "made-up"), ("order_id", "4")];
    assert_eq!(server.postback(&late).await.reason(), "click_not_found");
    app.settled().await;
    let (code, done) = run(&["--looked-at", number, "--for-real"]);
    assert_eq!(code, Some(0), "{done}");
    assert!(
        done.contains("Orbit: 3 postbacks decided again, 2 changed") && !done.contains("Nothing was changed"),
        "{done}"
    );
    assert_eq!(ledger(&app).await, "pending 100 1, pending 100 1 = 2");
    assert_eq!(
        app.text("SELECT string_agg(concat_ws(' ', author, via, after->>'postbacks'), ', ') FROM audit_log WHERE action = 'postback.replay'")
            .await,
        "Command line command_line 3"
    );

    // Accepted postbacks are never replayed; the third is replayed without a dry run.
    let (code, output) = run(&["--receipt", &receipts[0], "--receipt", &receipts[2], "--for-real"]);
    assert_eq!(code, Some(1), "{output}");
    assert!(
        output.contains("1 postback decided again, 0 changed")
            && output.contains("1 of the 2 named postbacks do not match"),
        "{output}"
    );
    assert_eq!(ledger(&app).await, "pending 100 1, pending 100 1 = 2");
    app.finish().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn the_command_names_invalid_arguments() {
    let app = TestApp::spawn().await;
    let (login, data) = (app.database.login().await, tempfile::tempdir().unwrap());
    let unknown = uuid::Uuid::nil().to_string();
    for (options, code, sentence) in [
        (
            &["--network", "orbit"][..],
            1,
            "no rejected postback of Orbit matches",
        ),
        (
            &["--network", "orbit", "--since", "2999-01-01"],
            1,
            "no rejected postback of Orbit matches",
        ),
        (&["--network", "mars"], 2, "no network is called “mars”"),
        (
            &["--network", "orbit", "--reason", "too_slow"],
            2,
            "unknown reason “too_slow”",
        ),
        (
            &["--network", "orbit", "--advertiser", "Rival Shop"],
            2,
            "Orbit has no advertiser “Rival Shop”",
        ),
        (
            &["--network", "orbit", "--since", "yesterday"],
            2,
            "write a day such as 2026-12-24",
        ),
        (&["--network", "orbit", "--receipt", "cnv_1"], 2, "--receipt"),
        (
            &["--network", "orbit", "--looked-at", &unknown, "--for-real"],
            2,
            "Orbit has no dry run numbered",
        ),
        (&["--network", "orbit", "--looked-at", &unknown], 2, "--for-real"),
        (&["--reason", "goal_unknown"], 2, "--network"),
    ] {
        let (ended, output) = tokio::task::block_in_place(|| replay(&app, &login, data.path(), options));
        assert_eq!(ended, Some(code), "{options:?}: {output}");
        assert!(output.contains(sentence), "{options:?}: {output}");
    }
    app.finish().await;
}
