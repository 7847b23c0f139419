//! URL templates of the URL builder: visibility, refused URLs, and removal of secrets.

use reqwest::{Method, StatusCode};
use serde_json::json;
use testkit::people::see_other;
use testkit::{Member, Page, TestApp};

const TOOLS: &str = "/tools/postback";

/// Saves a template on the page.
async fn save(member: &Member, name: &str, direction: &str, url: &str) -> Page {
    let fields = [("name", name), ("direction", direction), ("url", url)];
    member
        .submit("/tools/templates/new", "/tools/templates", &fields)
        .await
}

/// Pages of the templates shown to the user, in order.
fn pages(tools: &Page) -> Vec<String> {
    let forms = tools.html.split("action=\"/tools/templates/").skip(1);
    let ids = forms.filter_map(|rest| rest.split('/').next());
    ids.map(|id| format!("/tools/templates/{id}")).collect()
}

#[tokio::test(flavor = "multi_thread")]
async fn a_template_starts_from_a_known_system_and_is_changed_and_removed() {
    let app = TestApp::spawn().await;
    let affiliate = app.sign_in(&app.scene.affiliate).await;
    let tools = affiliate.get("/tools/postback?tracker=keitaro").await;
    let begin = "/tools/templates/new?tracker=keitaro";
    assert!(tools.html.contains(begin) && tools.html.contains("data-copy=\"outgoing-url\""));
    let form = affiliate.get(begin).await.html;
    assert!(
        form.contains("value=\"Keitaro\"") && form.contains("value=\"outbound\" selected"),
        "{form}"
    );
    assert!(
        form.contains("your-tracker.example/postback?subid={aff_click_id}"),
        "{form}"
    );
    let form = affiliate.get("/tools/templates/new?system=affise").await.html;
    assert!(
        form.contains("value=\"Affise\"") && form.contains("click_id={sub1}"),
        "{form}"
    );
    let own = "https://mine.example/k?cid={aff_click_id}&p={payout}&sub={sub3}";
    assert_eq!(
        see_other(&save(&affiliate, "Mine", "outbound", own).await),
        "/tools/postback#own"
    );
    let tools = affiliate.get(TOOLS).await;
    let shown = |text: &str| tools.html.contains(&text.replace('&', "&#38;"));
    assert!(
        shown(own) && shown("cid=k7f2q9&p=12.50&sub=banner%203"),
        "{}",
        tools.html
    );
    assert!(tools.html.contains("data-copy=\"own-1\""));
    let [page] = pages(&tools).try_into().unwrap();
    let changed = [
        ("name", "Other"),
        ("direction", "outbound"),
        ("url", "https://other.example/{sub1}"),
    ];
    assert_eq!(
        see_other(&affiliate.submit(&page, &page, &changed).await),
        "/tools/postback#own"
    );
    let tools = affiliate.get(TOOLS).await;
    assert!(tools.html.contains("https://other.example/newsletter") && !tools.html.contains("mine.example"));
    let removed = affiliate.submit(TOOLS, &format!("{page}/remove"), &[]).await;
    assert_eq!(see_other(&removed), "/tools/postback#own");
    assert!(pages(&affiliate.get(TOOLS).await).is_empty());
    let log = "SELECT string_agg(action || ' ' || object_name, ', ' ORDER BY id) FROM audit_log
               WHERE action LIKE 'url_template.%' AND via = 'page'";
    assert_eq!(
        app.text(log).await,
        "url_template.create Mine, url_template.update Other, url_template.remove Other"
    );
    app.finish().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn each_party_sees_its_templates_and_the_network_sees_all() {
    let app = TestApp::spawn().await;
    let owner = app.sign_in(&app.scene.owner).await;
    let affiliate = app.sign_in(&app.scene.affiliate).await;
    let advertiser = app.sign_in(&app.scene.advertiser).await;
    let inbound = "https://trk.example/postback?click_id=#s1#&order_id=#tid#";
    for member in [&affiliate, &advertiser] {
        let _ = see_other(&save(member, "Same name", "inbound", inbound).await);
    }
    let of_network = format!("/tools/templates/{}", app.scene.url_template_id);
    let [of_affiliate] = pages(&affiliate.get(TOOLS).await).try_into().unwrap();
    let [of_advertiser] = pages(&advertiser.get(TOOLS).await).try_into().unwrap();
    let tools = owner.get(TOOLS).await;
    assert_eq!(
        pages(&tools),
        [of_network.clone(), of_advertiser.clone(), of_affiliate.clone()]
    );
    assert!(
        tools.html.contains("they call us · Orbit Blog") && tools.html.contains("they call us · Orbit Shop")
    );
    assert!(owner.get(&of_affiliate).await.html.contains("Same name"));
    let absent = affiliate.get("/tools/templates/tpl_0000080").await;
    assert_eq!(absent.status, StatusCode::NOT_FOUND);
    for other in [&of_network, &of_advertiser] {
        assert_eq!(
            affiliate.get(other).await.html,
            absent.html,
            "equal to a template that does not exist"
        );
        let removed = affiliate.submit(TOOLS, &format!("{other}/remove"), &[]).await;
        assert_eq!(removed.status, StatusCode::NOT_FOUND);
        assert_eq!(owner.get(other).await.status, StatusCode::OK);
    }
    let program = app.program(&app.scene.affiliate).await;
    let listed = program.get("/url-templates").await;
    assert_eq!(listed.json["items"].as_array().map(Vec::len), Some(1));
    assert_eq!(
        listed.json["items"][0]["affiliate"],
        app.scene.affiliate_id.to_string()
    );
    let absent = program.get("/url-templates/tpl_0000080").await;
    let other = format!("/url-templates/{}", app.scene.url_template_id);
    for answer in [
        program.get(&other).await,
        program.patch(&other, &json!({"name": "x"})).await,
        program.delete(&other).await,
    ] {
        assert_eq!(
            (answer.status, answer.get("code")),
            (StatusCode::NOT_FOUND, absent.get("code"))
        );
    }
    let analyst = app.sign_in(app.scene.person(tenancy::RoleKind::Analyst)).await;
    let tools = analyst.get(TOOLS).await.html;
    assert!(tools.contains("they call us · Orbit Blog") && !tools.contains("/tools/templates/new"));
    app.finish().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn an_invalid_url_is_refused_with_its_offset_and_no_secret_is_stored() {
    let app = TestApp::spawn().await;
    let owner = app.sign_in(&app.scene.owner).await;
    for (direction, url, message) in [
        (
            "outbound",
            "https://t.example/?a={payout}&b={nothing}",
            "At 32: {nothing} is not a macro.",
        ),
        (
            "outbound",
            "https://{sub1}.example/",
            "At 8: a macro is not allowed in the host.",
        ),
        (
            "outbound",
            "t.example/?a={payout}",
            "The URL must begin with https:// and a host.",
        ),
        (
            "inbound",
            "/postback?click_id={a}",
            "The URL must begin with https:// and a host.",
        ),
        (
            "inbound",
            "https://t.example/postback?colour={a}",
            "The query has none of our parameters",
        ),
        (
            "inbound",
            "https://a:b@t.example/postback?click_id={a}",
            "they are secrets",
        ),
        (
            "sideways",
            "https://t.example/",
            "is not one of inbound, outbound",
        ),
    ] {
        let refused = save(&owner, "Own", direction, url).await;
        assert_eq!(refused.status, StatusCode::UNPROCESSABLE_ENTITY, "{url}");
        assert!(refused.html.contains(message), "{url}: {}", refused.html);
        assert!(
            refused.html.contains(&url.replace('&', "&#38;")),
            "the input is kept: {url}"
        );
    }
    let secret = "t0ps3cr3t";
    let url = format!("https://t.example/postback?click_id=[[c1]]&token={secret}&api_key={secret}");
    let _ = see_other(&save(&owner, "Own", "inbound", &url).await);
    let tools = owner.get(TOOLS).await.html;
    assert!(
        tools.contains("click_id=[[c1]]&#38;token=YOUR_TOKEN&#38;api_key=YOUR_TOKEN"),
        "{tools}"
    );
    assert!(
        tools.contains("This URL needs a secret in <code>token, api_key</code>"),
        "{tools}"
    );
    let kept = format!(
        "SELECT count(*) FROM url_templates t, audit_log a WHERE t.url LIKE '%{secret}%' OR a.after::text LIKE '%{secret}%'"
    );
    assert_eq!(app.count(&kept).await, 0);
    let again = save(
        &owner,
        "Own",
        "inbound",
        "https://t.example/postback?click_id={a}",
    )
    .await;
    assert_eq!(again.status, StatusCode::UNPROCESSABLE_ENTITY);
    assert!(
        again.html.contains("You already have a template with this name"),
        "{}",
        again.html
    );
    let _ = see_other(&save(&owner, "Own", "outbound", "https://t.example/?a={payout}").await);
    app.finish().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn an_api_client_saves_each_template_once_and_no_more_than_the_maximum() {
    let app = TestApp::spawn().await;
    let program = app.program(&app.scene.affiliate).await;
    let template = |name: &str| json!({"name": name, "direction": "outbound", "url": "https://t.example/?c={aff_click_id}"});
    let headers = [("Idempotency-Key", "first")];
    let mut made = Vec::new();
    for _ in 0..2 {
        let answer = program
            .json(Method::POST, "/url-templates", &headers, &template("1"))
            .await;
        assert_eq!(answer.status, StatusCode::CREATED, "{}", answer.text);
        made.push(answer.get("id").to_owned());
    }
    assert_eq!(made[0], made[1]);
    let path = format!("/url-templates/{}", made[0]);
    let shown = program.get(&path).await;
    assert_eq!(shown.get("preview"), "https://t.example/?c=k7f2q9");
    assert_eq!(shown.json["secrets"], json!([]));
    let wrong = program
        .patch(&path, &json!({"url": "https://t.example/?c={cid}"}))
        .await;
    assert_eq!(wrong.json["fields"]["url"], "At 21: {cid} is not a macro.");
    let changed = program
        .patch(
            &path,
            &json!({"direction": "inbound", "url": "https://t.example/postback?coupon=%c%"}),
        )
        .await;
    assert_eq!(
        changed.get("preview"),
        "https://t.example/postback?coupon=SPRING%2020"
    );
    for number in 2..=20 {
        let answer = program
            .post("/url-templates", &template(&number.to_string()))
            .await;
        assert_eq!(answer.status, StatusCode::CREATED, "{}", answer.text);
    }
    let refused = program.post("/url-templates", &template("21")).await;
    assert_eq!(refused.status, StatusCode::CONFLICT, "{}", refused.text);
    assert_eq!(
        refused.get("message"),
        "You have 20 URL templates, the maximum. Remove one first."
    );
    let first = program.get("/url-templates?limit=15").await;
    let rest = program
        .get(&format!("/url-templates?after={}", first.get("next")))
        .await;
    assert_eq!(rest.json["items"].as_array().map(Vec::len), Some(5));
    assert_eq!(program.delete(&path).await.status, StatusCode::NO_CONTENT);
    assert_eq!(program.get(&path).await.status, StatusCode::NOT_FOUND);
    assert_eq!(
        program.post("/url-templates", &template("21")).await.status,
        StatusCode::CREATED
    );
    app.finish().await;
}
