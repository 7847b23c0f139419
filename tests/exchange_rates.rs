//! Exchange rates: set by hand, by the API and by CSV; reference rates fetched by one node and imported by an operator.
#![expect(clippy::unwrap_used, reason = "a test stops at the first unexpected result")]

use std::process::Command;
use std::sync::Arc;
use std::sync::atomic::{AtomicUsize, Ordering};

use chrono::{NaiveDate, TimeDelta};
use reqwest::{Method, StatusCode};
use schema::{Currency, clock};
use serde_json::json;
use server::reference_rates::fetch_if_due;
use tenancy::exchange_rates::{NoRate, RateSource, Rates};
use testkit::{Answer, ApiClient, TestApp, TestOptions, site};

const HOME: &str = "/settings/exchange-rates";

/// File of the European Central Bank with this rate of the dollar and one of the yen.
fn ecb(day: &str, usd: &str) -> String {
    format!(
        "<?xml version=\"1.0\" encoding=\"UTF-8\"?><gesmes:Envelope xmlns:gesmes=\"http://www.gesmes.org/xml/2002-08-01\" \
         xmlns=\"http://www.ecb.int/vocabulary/2002-08-01/eurofxref\"><Cube><Cube time='{day}'>\
         <Cube currency='USD' rate='{usd}'/><Cube currency='JPY' rate='172.35'/></Cube></Cube></gesmes:Envelope>"
    )
}

fn day(text: &str) -> NaiveDate {
    text.parse().unwrap()
}

fn currency(code: &str) -> Currency {
    code.parse().unwrap()
}

async fn set(program: &ApiClient, currency: &str, day: &str, rate: &str) -> Answer {
    let body = json!({ "currency": currency, "day": day, "rate": rate });
    program.post("/exchange-rates", &body).await
}

/// Days, currencies, rates and sources of a list.
async fn listed(program: &ApiClient, query: &str) -> Vec<String> {
    let page = program.get(&format!("/exchange-rates{query}")).await;
    assert_eq!(page.status, StatusCode::OK, "{}", page.text);
    let items = page.json.get("items").unwrap().as_array().unwrap();
    let text = |item: &serde_json::Value, field: &str| item.get(field).unwrap().as_str().unwrap().to_owned();
    items
        .iter()
        .map(|item| {
            format!(
                "{} {} {}",
                text(item, "id"),
                text(item, "rate"),
                text(item, "source")
            )
        })
        .collect()
}

async fn reference(app: &TestApp, day: &str, currency: &str, nanos: i64) {
    app.execute(&format!(
        "INSERT INTO reference_rates (day, currency, nanos_per_euro, source, stored_at)
         VALUES ('{day}', '{currency}', {nanos}, 'ecb', now())"
    ))
    .await;
}

#[tokio::test(flavor = "multi_thread")]
async fn a_rate_is_set_replaced_and_deleted_and_the_audit_log_has_each_change() {
    let app = TestApp::spawn().await;
    let program = app.program(&app.scene.owner).await;
    reference(&app, "2026-11-03", "USD", 1_100_000_000).await;
    reference(&app, "2026-11-04", "USD", 1_110_000_000).await;

    let made = set(&program, "USD", "2026-11-03", "1.25").await;
    assert_eq!(made.status, StatusCode::OK, "{}", made.text);
    assert_eq!((made.get("id"), made.get("rate")), ("2026-11-03-USD", "1.25"));
    set(&program, "USD", "2026-11-03", "1.5000").await;
    // The same once more is no change.
    set(&program, "usd", "2026-11-03", "1.5").await;
    set(&program, "CHF", "2026-11-03", "0.95").await;
    assert_eq!(
        listed(&program, "").await,
        [
            "2026-11-04-USD 1.11 ecb",
            "2026-11-03-CHF 0.95 user",
            "2026-11-03-USD 1.5 user"
        ]
    );
    // Pages follow each other without gaps.
    let first = program.get("/exchange-rates?limit=2").await;
    assert_eq!(first.get("next"), "2026-11-03-CHF");
    assert_eq!(
        listed(&program, "?limit=2&after=2026-11-03-CHF").await,
        ["2026-11-03-USD 1.5 user"]
    );
    assert_eq!(
        listed(&program, "?currency=USD&from=2026-11-04&to=2026-11-05").await,
        ["2026-11-04-USD 1.11 ecb"]
    );

    let mut conn = app.network().await;
    let rates = Rates::load(&mut conn, day("2026-11-03"), day("2026-11-30"))
        .await
        .unwrap();
    drop(conn);
    let euros = |on: &str| {
        let converted = rates.convert(3_000_000, currency("USD"), currency("EUR"), day(on))?;
        Ok::<_, NoRate>(converted.micros())
    };
    assert_eq!(euros("2026-11-03"), Ok(2_000_000));
    assert_eq!(euros("2026-11-18"), Ok(2_702_703));
    assert_eq!(
        euros("2026-11-19").unwrap_err().to_string(),
        "no exchange rate of USD on 2026-11-19"
    );
    let rate = rates
        .rate(currency("USD"), currency("CHF"), day("2026-11-17"))
        .unwrap();
    let used: Vec<_> = rate
        .used()
        .map(|used| (used.currency.code(), used.source, used.is_reference))
        .collect();
    assert_eq!(
        used,
        [("USD", RateSource::Ecb, true), ("CHF", RateSource::User, false)]
    );

    assert_eq!(
        program.delete("/exchange-rates/2026-11-03-USD").await.status,
        StatusCode::NO_CONTENT
    );
    for absent in ["2026-11-03-USD", "2026-11-04-USD", "2026-11-03-EUR", "x"] {
        let answer = program.delete(&format!("/exchange-rates/{absent}")).await;
        assert_eq!(answer.status, StatusCode::NOT_FOUND, "{absent}");
    }
    assert_eq!(
        listed(&program, "?currency=USD").await,
        ["2026-11-04-USD 1.11 ecb", "2026-11-03-USD 1.1 ecb"]
    );
    let log = app
        .text(
            "SELECT string_agg(concat_ws(' ', action, object, before->>'rate', after->>'rate'), ', ' ORDER BY id)
             FROM audit_log WHERE action LIKE 'exchange_rate.%'",
        )
        .await;
    assert_eq!(
        log,
        "exchange_rate.create 2026-11-03-USD 1.25, exchange_rate.update 2026-11-03-USD 1.25 1.5, \
         exchange_rate.create 2026-11-03-CHF 0.95, exchange_rate.remove 2026-11-03-USD 1.5"
    );
    app.finish().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn invalid_input_is_refused_by_field_on_page_and_api() {
    let app = TestApp::spawn().await;
    let program = app.program(&app.scene.owner).await;
    let owner = app.sign_in(&app.scene.owner).await;
    // Beyond tomorrow in every time zone.
    let late = (clock::now() + TimeDelta::days(3)).date_naive().to_string();
    for (currency, on, rate, field) in [
        ("EUR", "2026-11-03", "1", "currency"),
        ("ZZZ", "2026-11-03", "1", "currency"),
        ("USD", late.as_str(), "1", "day"),
        ("USD", "1998-12-31", "1", "day"),
        ("USD", "2026-11-03", "0", "rate"),
        ("USD", "2026-11-03", "-1.1", "rate"),
        ("USD", "2026-11-03", "1000000001", "rate"),
    ] {
        let answer = set(&program, currency, on, rate).await;
        assert_eq!(answer.status, StatusCode::UNPROCESSABLE_ENTITY, "{}", answer.text);
        let fields = answer.json["fields"].as_object().unwrap();
        assert_eq!(fields.keys().collect::<Vec<_>>(), [field], "{}", answer.text);
        let form = [("new_currency", currency), ("new_day", on), ("new_rate", rate)];
        let page = owner.submit(HOME, HOME, &form).await;
        assert_eq!(page.status, StatusCode::UNPROCESSABLE_ENTITY);
        let message = fields[field].as_str().unwrap();
        assert!(page.html.contains(message), "{message}: {}", page.html);
    }
    for query in ["currency=zzz", "from=x", "to=+10000-01-01", "after=x", "limit=0"] {
        let answer = program.get(&format!("/exchange-rates?{query}")).await;
        assert_eq!(answer.status, StatusCode::UNPROCESSABLE_ENTITY, "{query}");
    }
    assert_eq!(app.count("SELECT count(*) FROM exchange_rates").await, 0);

    let form = [
        ("new_currency", "USD"),
        ("new_day", "2026-11-03"),
        ("new_rate", "1.25"),
    ];
    assert_eq!(
        owner.submit(HOME, HOME, &form).await.status,
        StatusCode::SEE_OTHER
    );
    let page = owner.get(&format!("{HOME}?currency=usd")).await;
    let remove = format!("{HOME}/2026-11-03-USD/remove");
    assert!(
        page.html.contains(&remove) && page.html.contains("1.25"),
        "{}",
        page.html
    );

    // Users who see reports read the rates, without the author and without forms.
    let author = owner_name(&app).await;
    assert!(page.html.contains(&author));
    let affiliate = app.sign_in(&app.scene.affiliate).await;
    let page = affiliate.get(HOME).await;
    assert!(page.html.contains("1.25"), "{}", page.html);
    assert!(!page.html.contains(&author) && !page.html.contains(&remove) && !page.html.contains("new_rate"));
    let answer = app
        .program(&app.scene.affiliate)
        .await
        .get("/exchange-rates")
        .await;
    assert!(answer.json["items"][0]["set_by"].is_null(), "{}", answer.text);
    let answer = program.get("/exchange-rates").await;
    assert_eq!(answer.json["items"][0]["set_by"], json!(author));

    assert_eq!(
        owner.submit(HOME, &remove, &[]).await.status,
        StatusCode::SEE_OTHER
    );
    assert_eq!(app.count("SELECT count(*) FROM exchange_rates").await, 0);
    app.finish().await;
}

async fn owner_name(app: &TestApp) -> String {
    let email = &app.scene.owner.email;
    app.text(&format!("SELECT name FROM people WHERE email = '{email}'"))
        .await
}

#[tokio::test(flavor = "multi_thread")]
async fn a_file_is_imported_as_a_whole_or_not_at_all() {
    let app = TestApp::spawn().await;
    let program = app.program(&app.scene.owner).await;
    let owner = app.sign_in(&app.scene.owner).await;
    let import = format!("{HOME}/import");
    let bad =
        "currency,day,rate\nUSD,2026-11-03,1.25\nEUR,2026-11-03,1\nUSD,2026-11-04,0\nUSD,2026-11-03,1.3\n";
    let preview = owner.submit(&import, &import, &[("csv", bad)]).await;
    assert_eq!(preview.status, StatusCode::OK);
    assert!(preview.html.contains("imported as a whole"), "{}", preview.html);
    assert!(!preview.html.contains("name=\"confirm\""), "{}", preview.html);
    let confirmed = owner
        .submit(&import, &import, &[("csv", bad), ("confirm", "yes")])
        .await;
    assert_eq!(confirmed.status, StatusCode::UNPROCESSABLE_ENTITY);
    assert!(
        confirmed.html.contains("Nothing was imported"),
        "{}",
        confirmed.html
    );
    let headers = [("Content-Type", "text/csv")];
    let call = async |path: &str, csv: &str| program.call(Method::POST, path, &headers, csv.to_owned()).await;
    let refused = call("/exchange-rates/import", bad).await;
    assert_eq!(refused.status, StatusCode::UNPROCESSABLE_ENTITY);
    let message = refused.json["fields"]["csv"].as_str().unwrap();
    for line in ["Line 3: currency:", "Line 4: rate:", "Line 5: Line 2 refers"] {
        assert!(message.contains(line), "{message}");
    }
    let tried = call("/exchange-rates/import?dry_run=true", bad).await;
    assert_eq!(
        (tried.json["created"].as_u64(), tried.json["refused"].as_u64()),
        (Some(1), Some(3))
    );
    let large = format!("currency,day,rate\n{}", "USD,2026-11-03,1.25\n".repeat(5001));
    let large = owner.submit(&import, &import, &[("csv", &large)]).await;
    assert_eq!(large.status, StatusCode::UNPROCESSABLE_ENTITY);
    assert_eq!(app.count("SELECT count(*) FROM exchange_rates").await, 0);
    assert_eq!(
        app.count("SELECT count(*) FROM audit_log WHERE action LIKE 'exchange_rate.%'")
            .await,
        0
    );

    let good = "Date;Code;Rate\n2026-11-03;usd;1.25\n2026-11-04;JPY;172.35\n";
    let done = owner
        .submit(&import, &import, &[("csv", good), ("confirm", "yes")])
        .await;
    assert_eq!(done.status, StatusCode::SEE_OTHER, "{}", done.html);
    assert_eq!(
        listed(&program, "").await,
        ["2026-11-04-JPY 172.35 csv", "2026-11-03-USD 1.25 csv"]
    );
    let export = program.get("/exchange-rates/export").await.text;
    assert_eq!(
        export,
        "currency,day,rate,source\nJPY,2026-11-04,172.35,csv\nUSD,2026-11-03,1.25,csv\n"
    );
    let page = owner.get(&format!("{HOME}/export.csv?currency=JPY")).await;
    assert_eq!(page.html.lines().count(), 2, "{}", page.html);
    let again = call("/exchange-rates/import", &export).await;
    assert_eq!(again.json["unchanged"].as_u64(), Some(2), "{}", again.text);
    assert_eq!(again.json["ignored_columns"], json!([]));
    app.finish().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn reference_rates_are_fetched_once_by_one_node() {
    let requests = Arc::new(AtomicUsize::new(0));
    let today = clock::now().date_naive();
    let port = {
        let requests = requests.clone();
        site::serve(move |target| {
            assert_eq!(target, "/rates.xml");
            requests.fetch_add(1, Ordering::SeqCst);
            site::http("200 OK", "", &ecb(&today.to_string(), "1.1234"))
        })
        .await
    };
    let url = format!("http://127.0.0.1:{port}/rates.xml");
    let app = TestApp::spawn_with(TestOptions {
        ecb_rates: Some(url.clone()),
        ..TestOptions::default()
    })
    .await;
    let fetched = "SELECT count(*) FROM reference_rate_fetches WHERE fetched_at IS NOT NULL";
    while app.count(fetched).await == 0 {
        tokio::time::sleep(std::time::Duration::from_millis(20)).await;
    }
    let program = app.program(&app.scene.owner).await;
    assert_eq!(
        listed(&program, "").await,
        [
            format!("{today}-JPY 172.35 ecb"),
            format!("{today}-USD 1.1234 ecb")
        ]
    );
    let (url, now) = (url.parse().unwrap(), clock::now());
    assert!(!fetch_if_due(&app.db, &url, now).await.unwrap());
    assert_eq!(requests.load(Ordering::SeqCst), 1);
    // On the next day, one of two nodes fetches.
    let tomorrow = now + TimeDelta::days(1);
    let (one, other) = tokio::join!(
        fetch_if_due(&app.db, &url, tomorrow),
        fetch_if_due(&app.db, &url, tomorrow)
    );
    assert!(one.unwrap() != other.unwrap());
    assert_eq!(requests.load(Ordering::SeqCst), 2);
    let owner = app.sign_in(&app.scene.owner).await;
    let page = owner.get(HOME).await;
    assert!(
        page.html.contains("last fetched") && page.html.contains("European Central Bank"),
        "{}",
        page.html
    );
    app.finish().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn a_failed_fetch_is_shown_and_repeated_an_hour_later() {
    let app = TestApp::spawn().await;
    let owner = app.sign_in(&app.scene.owner).await;
    assert!(owner.get(HOME).await.html.contains("does not fetch"));
    let today = clock::now().date_naive().to_string();
    let large = format!("<E>{}</E>", " ".repeat(17 * 1024 * 1024));
    let failures = [
        (
            site::http("503 Service Unavailable", "", ""),
            "the server answered 503",
        ),
        (
            site::http("302 Found", "Location: /elsewhere\r\n", ""),
            "the server answered 302",
        ),
        (
            site::http("200 OK", "", "<html>moved</html>"),
            "no reference rates",
        ),
        (site::http("200 OK", "", &ecb(&today, "N/A")), "invalid element"),
        (site::http("200 OK", "", &large), "larger than"),
        (String::new(), "connection"),
    ];
    let mut at = clock::now();
    for (response, problem) in failures {
        let port = site::serve(move |_| response.clone()).await;
        let url = format!("http://127.0.0.1:{port}/").parse().unwrap();
        assert!(fetch_if_due(&app.db, &url, at).await.unwrap());
        assert!(
            !fetch_if_due(&app.db, &url, at + TimeDelta::minutes(59))
                .await
                .unwrap()
        );
        let page = owner.get(HOME).await.html;
        assert!(
            page.contains("could not be fetched") && page.contains(problem),
            "{problem}: {page}"
        );
        at += TimeDelta::minutes(61);
    }
    assert_eq!(app.count("SELECT count(*) FROM reference_rates").await, 0);
    // The problem is for staff only.
    let affiliate = app.sign_in(&app.scene.affiliate).await;
    assert!(!affiliate.get(HOME).await.html.contains("could not be fetched"));
    let port = site::serve(move |_| site::http("200 OK", "", &ecb(&today, "1.1234"))).await;
    let url = format!("http://127.0.0.1:{port}/").parse().unwrap();
    assert!(fetch_if_due(&app.db, &url, at).await.unwrap());
    assert!(!owner.get(HOME).await.html.contains("could not be fetched"));
    app.finish().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn an_operator_imports_reference_rates_from_a_file() {
    let app = TestApp::spawn().await;
    let folder = tempfile::tempdir().unwrap();
    let login = app.database.login().await;
    let run = |content: &str| {
        let file = folder.path().join("rates");
        std::fs::write(&file, content).unwrap();
        let output = Command::new(env!("CARGO_BIN_EXE_clickledger"))
            .args(["rates", "import"])
            .arg(&file)
            .arg("--data-dir")
            .arg(folder.path())
            .env("DATABASE_URL", &login)
            .env_remove("OWNER_DATABASE_URL")
            .output()
            .unwrap();
        let text = |bytes: &[u8]| String::from_utf8_lossy(bytes).into_owned();
        (output.status.code(), text(&output.stdout) + &text(&output.stderr))
    };
    let (code, text) = run(&ecb("2026-11-03", "1.1234"));
    assert!(
        code == Some(0) && text.contains("2 rates, 2 new or changed"),
        "{text}"
    );
    let (code, text) = run("currency,day,rate\nUSD,2026-11-03,1.2\nCHF,2026-11-03,0.95\n");
    assert!(
        code == Some(0) && text.contains("2 rates, 2 new or changed"),
        "{text}"
    );
    let (code, text) = run(&ecb("2026-11-03", "1.2").replace("JPY", "TRL"));
    assert!(
        code == Some(0) && text.contains("1 rates, 0 new") && text.contains("TRL"),
        "{text}"
    );
    for (wrong, problem) in [
        (
            "currency,day,rate\nUSD,2026-11-05,1.2\nUSD,2026-11-04,0\n",
            "Line 3: rate:",
        ),
        ("<html></html>", "no reference rates"),
        (
            "<Cube time='2026-11-05'><Cube currency='USD' rate='x'/></Cube>",
            "rate “x” of USD",
        ),
    ] {
        let (code, text) = run(wrong);
        assert!(code == Some(2) && text.contains(problem), "{wrong}: {text}");
    }
    let program = app.program(&app.scene.owner).await;
    assert_eq!(
        listed(&program, "").await,
        [
            "2026-11-03-CHF 0.95 csv",
            "2026-11-03-JPY 172.35 ecb",
            "2026-11-03-USD 1.2 csv"
        ]
    );
    assert_eq!(
        app.count("SELECT count(*) FROM operator_log WHERE action = 'reference_rates.import'")
            .await,
        3
    );
    app.finish().await;
}
