//! The capture script on a shop's pages, in a real Chromium: stored click, lifetime, and filled fields.
#![expect(
    clippy::expect_used,
    clippy::unwrap_used,
    reason = "a test fails on any error"
)]

use std::process::Stdio;
use std::time::Duration;

use chrono::{DateTime, TimeDelta};
use percent_encoding::{NON_ALPHANUMERIC, utf8_percent_encode};
use schema::clock;
use tempfile::TempDir;
use testkit::browser::{Browser, Client, Locator};
use testkit::{TestApp, site};
use tokio::io::{AsyncBufReadExt, BufReader};
use tokio::process::{Child, Command};

/// A checkout form.
const FORM: &str = r#"<form action="/paid"><input type="hidden" name="click_id"><button>Pay</button></form>"#;

/// A shop with the script on its pages, and the browser of one visitor.
struct Shop {
    app: TestApp,
    browser: Browser,
    port: u16,
}

/// A page of the shop: its path and its HTML, in which `TAG` is the tag of the Integration page, `SCRIPT` the script's
/// URL, and `FORM` the form.
type Page = (&'static str, &'static str);

impl Shop {
    async fn open(pages: &'static [Page]) -> Self {
        Self::with_headers("", pages).await
    }

    /// Opens a shop with these headers on each page, each ended by `\r\n`; `DASHBOARD` is the origin of the script.
    async fn with_headers(headers: &str, pages: &'static [Page]) -> Self {
        let app = TestApp::spawn().await;
        let tag = tag(&app).await;
        let script = format!("{}/capture.js", app.dashboard_url);
        let headers = headers.replace("DASHBOARD", &app.dashboard_url) + "Content-Type: text/html\r\n";
        let port = site::serve(move |target| {
            let path = target.split('?').next().unwrap_or_default();
            let Some((_, html)) = pages.iter().find(|page| page.0 == path) else {
                return site::http("404 Not Found", "", "");
            };
            let html = html
                .replace("TAG", &tag)
                .replace("SCRIPT", &script)
                .replace("FORM", FORM);
            site::http("200 OK", &headers, &format!("<!doctype html>{html}"))
        })
        .await;
        let browser = Browser::start().await;
        Self { app, browser, port }
    }

    fn page(&self) -> &Client {
        &self.browser.client
    }

    /// Opens a page of the shop, with query and fragment, and returns the click that the script reports.
    async fn visit(&self, target: &str) -> String {
        self.visit_at("127.0.0.1", target).await
    }

    /// Opens a page under another host name of the shop.
    async fn visit_at(&self, host: &str, target: &str) -> String {
        let url = format!("http://{host}:{}{target}", self.port);
        self.page().goto(&url).await.unwrap();
        self.run("return clickledger.id()").await
    }

    /// Result of a script on the page, as text.
    async fn run(&self, script: &str) -> String {
        let value = self.page().execute(script, Vec::new()).await.unwrap();
        value.as_str().map_or_else(|| value.to_string(), str::to_owned)
    }

    /// Value of a field as the form would send it.
    async fn field(&self, css: &str) -> String {
        let field = self.page().find(Locator::Css(css)).await.unwrap();
        field.prop("value").await.unwrap().unwrap_or_default()
    }

    async fn close(self) {
        self.browser.client.clone().close().await.unwrap();
        // The server would wait for its connections.
        drop(self.browser);
        self.app.finish().await;
    }
}

/// Tag that the Integration page shows to developers.
async fn tag(app: &TestApp) -> String {
    let developer = app.sign_in(&app.scene.advertiser).await;
    let home = developer.get("/integration").await.location().to_owned();
    let page = developer.get(&home).await;
    let (_, rest) = page.html.split_once("<pre>&lt;script ").unwrap();
    let (tag, _) = rest.split_once("</pre>").unwrap();
    // The pages of this file receive the click ID under our own name, the scene's campaign under another.
    let tag = tag.replace("data-parameter=\"id\"", "data-parameter=\"click_id\"");
    format!("<script {}", tag.replace("&lt;", "<").replace("&gt;", ">"))
}

/// Percent-encodes a value for a URL.
fn encoded(value: &str) -> String {
    utf8_percent_encode(value, NON_ALPHANUMERIC).to_string()
}

/// A web server with TLS and a self-signed certificate.
struct Https {
    port: u16,
    _server: Child,
    _folder: TempDir,
}

/// Serves these files over https.
async fn https(files: &[(&str, &str)]) -> Https {
    let folder = tempfile::tempdir().unwrap();
    for (name, content) in files {
        std::fs::write(folder.path().join(name), content).unwrap();
    }
    let openssl = |arguments: &str| {
        Command::new("openssl")
            .args(arguments.split(' '))
            .current_dir(folder.path())
            .stdin(Stdio::null())
            .stdout(Stdio::piped())
            .stderr(Stdio::null())
            .kill_on_drop(true)
            .spawn()
            .expect("openssl is missing; install the package openssl")
    };
    let request = "req -x509 -newkey ec -pkeyopt ec_paramgen_curve:prime256v1 -nodes -subj /CN=shop -keyout key.pem -out cert.pem";
    assert!(openssl(request).wait().await.unwrap().success());
    let mut server = openssl("s_server -WWW -accept 127.0.0.1:0 -key key.pem -cert cert.pem");
    let mut lines = BufReader::new(server.stdout.take().unwrap()).lines();
    let port = loop {
        let line = lines.next_line().await.unwrap().expect("openssl prints its port");
        if let Some((_, port)) = line
            .strip_prefix("ACCEPT ")
            .and_then(|address| address.rsplit_once(':'))
        {
            break port.parse().unwrap();
        }
    };
    // The rest of its output must be read, or it stops when the pipe is full.
    tokio::spawn(async move { while let Ok(Some(_)) = lines.next_line().await {} });
    Https {
        port,
        _server: server,
        _folder: folder,
    }
}

/// Asserts that the time is this many days from now.
fn assert_lasts(days: i64, until_seconds: i64) {
    let until = DateTime::from_timestamp(until_seconds, 0).unwrap();
    let left = until - clock::now();
    // Tolerance for slow machines.
    let off = (left - TimeDelta::days(days)).abs();
    assert!(off < TimeDelta::hours(1), "{left} instead of {days} days");
}

#[tokio::test(flavor = "multi_thread")]
async fn the_tag_of_the_integration_page_stores_the_newest_click_and_fills_the_form() {
    let shop = Shop::open(&[("/", "TAG"), ("/pay", "TAG FORM <input data-clickledger>")]).await;
    let script = shop.app.stranger().get("/capture.js").await;
    assert!(
        script.html.len() < 1024,
        "the page states a size under a kilobyte"
    );
    assert_eq!(script.headers["content-type"], "text/javascript; charset=utf-8");
    assert_eq!(shop.visit("/").await, "", "no click yet");
    for click in ["first", "second", "a;b=c d%ä"] {
        let query = encoded(click);
        assert_eq!(shop.visit(&format!("/?utm=1&click_id={query}")).await, click);
        assert_eq!(shop.visit("/").await, click, "the click is stored");
        assert_eq!(shop.visit("/pay").await, click);
        assert_eq!(shop.field("[name=click_id]").await, click);
        assert_eq!(shop.field("[data-clickledger]").await, click);
    }
    assert_eq!(
        shop.run("return localStorage.length").await,
        "0",
        "the cookie is enough"
    );
    shop.visit("/?click_id=last").await;
    let cookies = shop.page().get_all_cookies().await.unwrap();
    let [cookie] = cookies.as_slice() else {
        panic!("{cookies:?}")
    };
    assert_eq!((cookie.name(), cookie.value()), ("click_id", "last"));
    assert_eq!((cookie.path(), cookie.domain()), (Some("/"), Some("127.0.0.1")));
    assert_eq!(cookie.same_site().unwrap().to_string(), "Lax");
    assert_eq!(
        cookie.secure(),
        Some(false),
        "on http, where other servers keep none"
    );
    assert_lasts(30, cookie.expires_datetime().unwrap().unix_timestamp());
    shop.close().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn fields_are_filled_at_any_time_and_keep_their_value_without_a_click() {
    let shop = Shop::open(&[
        ("/early", "<script src=SCRIPT></script> FORM"),
        (
            "/ready",
            "TAG FORM <script type=module>window.before = document.forms[0].click_id.value</script>",
        ),
        ("/late", "TAG <main></main>"),
        (
            "/own",
            "TAG <input name=click_id value=own><input name=other value=other>",
        ),
    ])
    .await;
    shop.visit("/own").await;
    assert_eq!(shop.field("[name=click_id]").await, "own");
    shop.visit("/early?click_id=clicked").await;
    assert_eq!(
        shop.field("[name=click_id]").await,
        "clicked",
        "the script runs before the form exists"
    );
    shop.visit("/ready").await;
    assert_eq!(
        shop.run("return before").await,
        "clicked",
        "before everything is loaded"
    );
    shop.visit("/own").await;
    assert_eq!(shop.field("[name=click_id]").await, "clicked");
    assert_eq!(shop.field("[name=other]").await, "other");
    shop.visit("/late").await;
    shop.run(&format!("document.querySelector('main').innerHTML = '{FORM}'"))
        .await;
    assert_eq!(
        shop.field("[name=click_id]").await,
        "",
        "the form does not exist yet"
    );
    shop.page()
        .find(Locator::Css("button"))
        .await
        .unwrap()
        .click()
        .await
        .unwrap();
    let paid = format!("http://127.0.0.1:{}/paid?click_id=clicked", shop.port);
    let wait = shop.page().wait().at_most(Duration::from_secs(10));
    wait.for_url(&paid.parse().unwrap()).await.unwrap();
    shop.close().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn a_placeholder_replaces_no_click_id_and_fragments_are_read_too() {
    let shop = Shop::open(&[("/", "TAG")]).await;
    let placeholders = [
        "{click_id}",
        "{{click_id}}",
        "${click_id}",
        "[CLICKID]",
        "<click_id>",
        "#click_id#",
        "%click_id%",
        "$click_id$",
        "REPLACE",
        "",
        &"x".repeat(257),
    ];
    for placeholder in placeholders {
        let placeholder = encoded(placeholder);
        assert_eq!(shop.visit(&format!("/?click_id={placeholder}")).await, "");
    }
    assert!(shop.page().get_all_cookies().await.unwrap().is_empty());
    let longest = "x".repeat(256);
    for (target, click) in [
        ("/?click_id=kept", "kept"),
        ("/?click_id={click_id}", "kept"),
        ("/?click_id=[CLICKID]&click_id=second", "second"),
        ("/?CLICK_ID=other&xclick_id=other", "second"),
        ("/?n=1#click_id=fragment", "fragment"),
        ("/?n=2#top", "fragment"),
        ("/?n=3#/lamps/7?click_id=routed&colour=red", "routed"),
        ("/?click_id=query#click_id=both", "query"),
        (&format!("/?click_id={longest}"), &longest),
    ] {
        assert_eq!(shop.visit(target).await, click, "{target}");
        assert_eq!(shop.visit("/").await, click, "{target}");
    }
    shop.close().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn two_parameters_on_one_domain_are_stored_separately() {
    let shop = Shop::open(&[
        ("/", "<script src=SCRIPT></script>"),
        (
            "/brand",
            "<script src=SCRIPT data-parameter=brand_click data-days=7></script>",
        ),
    ])
    .await;
    let both = "?click_id=ours&brand_click=brands";
    assert_eq!(shop.visit(&format!("/brand{both}")).await, "brands");
    assert_eq!(shop.visit("/").await, "", "the other script's click");
    assert_eq!(shop.visit(&format!("/{both}")).await, "ours");
    assert_eq!(shop.visit("/brand").await, "brands");
    for (name, days) in [("click_id", 30), ("brand_click", 7)] {
        let cookie = shop.page().get_named_cookie(name).await.unwrap();
        assert_lasts(days, cookie.expires_datetime().unwrap().unix_timestamp());
    }
    shop.close().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn a_domain_is_shared_if_the_tag_names_it() {
    let shop = Shop::open(&[
        ("/", "<script src=SCRIPT data-domain=shop.localhost></script>"),
        ("/own", "<script src=SCRIPT data-parameter=own></script>"),
    ])
    .await;
    let (www, pay) = ("www.shop.localhost", "pay.shop.localhost");
    assert_eq!(shop.visit_at(www, "/?click_id=shared").await, "shared");
    assert_eq!(shop.visit_at(pay, "/").await, "shared");
    assert_eq!(shop.visit_at(pay, "/?click_id=newer").await, "newer");
    assert_eq!(shop.visit_at(www, "/").await, "newer");
    assert_eq!(shop.visit_at(www, "/own?own=alone").await, "alone");
    assert_eq!(shop.visit_at(pay, "/own").await, "");
    shop.close().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn without_cookies_the_storage_holds_the_click_and_the_newest_wins() {
    // A browser refuses a cookie for another domain.
    let shop = Shop::open(&[
        ("/", "TAG"),
        (
            "/refused",
            "<script src=SCRIPT data-domain=elsewhere.example data-days=7></script>",
        ),
    ])
    .await;
    assert_eq!(shop.visit("/refused?click_id=stored").await, "stored");
    assert!(shop.page().get_all_cookies().await.unwrap().is_empty());
    assert_eq!(shop.visit("/refused").await, "stored");
    let until = shop
        .run("return Math.floor(parseInt(localStorage.cl_click_id) / 1000)")
        .await;
    assert_lasts(7, until.parse().unwrap());
    assert_eq!(
        shop.visit("/?click_id=cookie").await,
        "cookie",
        "newer than what is stored"
    );
    assert_eq!(shop.visit("/refused").await, "cookie");
    assert_eq!(
        shop.visit("/refused?click_id=newest").await,
        "newest",
        "newer than the cookie"
    );
    assert_eq!(shop.visit("/").await, "newest");
    // Simulates expiry.
    shop.run("localStorage.cl_click_id = localStorage.cl_click_id.replace(/^\\d/, '0')")
        .await;
    assert_eq!(
        shop.visit("/").await,
        "cookie",
        "storage entries expire as cookies do"
    );
    shop.close().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn without_any_storage_the_landing_page_still_has_its_click() {
    let shop = Shop::open(&[
        ("/", "TAG FORM"),
        (
            "/framed",
            "<iframe sandbox='allow-scripts' src='/?click_id=framed'></iframe>",
        ),
        (
            "/refused",
            "<script src=SCRIPT data-domain=elsewhere.example></script>",
        ),
    ])
    .await;
    shop.visit("/").await;
    shop.run("for (let n = 1 << 23; n >= 1; n /= 2) try { localStorage[n] = 'x'.repeat(n) } catch {}")
        .await;
    assert_eq!(shop.visit("/refused?click_id=full").await, "full");
    assert_eq!(shop.visit("/refused").await, "", "the storage is full");
    let framed = format!("http://127.0.0.1:{}/framed", shop.port);
    shop.page().goto(&framed).await.unwrap();
    shop.page().enter_frame(0).await.unwrap();
    let denied = "try { return document.cookie + localStorage.length } catch { return 'denied' }";
    assert_eq!(shop.run(denied).await, "denied");
    assert_eq!(shop.run("return clickledger.id()").await, "framed");
    assert_eq!(shop.field("[name=click_id]").await, "framed");
    shop.close().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn a_page_that_allows_only_the_scripts_origin_can_use_the_script() {
    let strict = "Content-Security-Policy: default-src 'none'; script-src DASHBOARD\r\n\
                  Cross-Origin-Embedder-Policy: require-corp\r\n";
    let shop = Shop::with_headers(strict, &[("/", "TAG FORM")]).await;
    assert_eq!(shop.visit("/?click_id=strict").await, "strict");
    assert_eq!(shop.visit("/").await, "strict");
    assert_eq!(shop.field("[name=click_id]").await, "strict");
    let log = shop.browser.log().await;
    let ours = log
        .iter()
        .map(ToString::to_string)
        .filter(|entry| !entry.contains("favicon"));
    assert_eq!(ours.collect::<Vec<_>>(), Vec::<String>::new());
    shop.close().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn on_https_the_cookie_is_secure() {
    let shop = Shop::open(&[]).await;
    let script = shop.app.stranger().get("/capture.js").await.html;
    let server = https(&[
        ("page.html", "<script src=capture.js></script>"),
        ("capture.js", &script),
    ])
    .await;
    let url = format!("https://127.0.0.1:{}/page.html#click_id=safe", server.port);
    shop.page().goto(&url).await.unwrap();
    assert_eq!(shop.run("return clickledger.id()").await, "safe");
    let cookie = shop.page().get_named_cookie("click_id").await.unwrap();
    assert_eq!((cookie.value(), cookie.secure()), ("safe", Some(true)));
    shop.close().await;
}
