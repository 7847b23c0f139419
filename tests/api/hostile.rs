//! Malformed bodies and requests: each is refused with a documented error, never with a server error.

use reqwest::{Method, StatusCode};
use serde_json::{Value, json};
use testkit::TestApp;
use tokio::io::{AsyncReadExt, AsyncWriteExt};
use tokio::net::TcpStream;

/// Bodies for `POST /affiliates`, with the expected status of each.
fn bodies() -> Vec<(&'static str, Vec<u8>, u16)> {
    let long = |text: &str, times: usize| text.repeat(times).into_bytes();
    let with = |field: &str| format!("{{\"name\":\"Nova\",{field}}}").into_bytes();
    vec![
        ("nothing", vec![], 400),
        ("white space", b" \n".to_vec(), 400),
        ("null", b"null".to_vec(), 400),
        ("a list", b"[]".to_vec(), 400),
        ("a list of fields", b"[\"Nova\"]".to_vec(), 400),
        ("a text", b"\"x\"".to_vec(), 400),
        ("a number", b"1".to_vec(), 400),
        ("half", b"{\"name\":".to_vec(), 400),
        ("trailing garbage", b"{\"name\":\"Nova\"}x".to_vec(), 400),
        (
            "two of them",
            b"{\"name\":\"Nova\"}{\"name\":\"Nova\"}".to_vec(),
            400,
        ),
        ("a comma too many", b"{\"name\":\"Nova\",}".to_vec(), 400),
        ("comments", b"{/* */\"name\":\"Nova\"}".to_vec(), 400),
        ("single quotes", b"{'name':'Nova'}".to_vec(), 400),
        (
            "a byte order mark",
            b"\xef\xbb\xbf{\"name\":\"Nova\"}".to_vec(),
            400,
        ),
        (
            "UTF-16",
            "{\"name\":\"Nova\"}"
                .encode_utf16()
                .flat_map(u16::to_le_bytes)
                .collect(),
            400,
        ),
        ("no UTF-8", b"{\"name\":\"No\xffva\"}".to_vec(), 400),
        ("an overlong slash", b"{\"name\":\"No\xc0\xafva\"}".to_vec(), 400),
        ("half a surrogate", b"{\"name\":\"\\ud800\"}".to_vec(), 400),
        ("a NUL byte", b"{\"name\":\"No\0va\"}".to_vec(), 400),
        ("an escaped NUL", b"{\"name\":\"No\\u0000va\"}".to_vec(), 422),
        (
            "an escaped NUL in a name",
            b"{\"na\\u0000me\":\"Nova\"}".to_vec(),
            422,
        ),
        ("a control character", b"{\"name\":\"No\\u0007va\"}".to_vec(), 422),
        ("deep lists", [long("[", 30_000), long("]", 30_000)].concat(), 400),
        (
            "deep in a field",
            [b"{\"name\":".to_vec(), long("[", 60_000)].concat(),
            400,
        ),
        ("deep objects", long("{\"name\":", 8_000), 400),
        (
            "deep in an unknown field",
            with(&format!("\"x\":{}{}", "[".repeat(30_000), "]".repeat(30_000))),
            400,
        ),
        ("a hundred thousand brackets", long("[", 100_000), 413),
        (
            "ten megabytes",
            with(&format!("\"notes\":\"{}\"", "x".repeat(10 << 20))),
            413,
        ),
        ("one byte too many", long(" ", 64 * 1024 + 1), 413),
        ("an unknown field", with("\"colour\":\"red\""), 400),
        ("a field twice", with("\"name\":\"Other\""), 400),
        ("a prototype", with("\"__proto__\":{\"status\":\"active\"}"), 400),
        ("an id", with("\"id\":\"aff_0000010\""), 400),
        ("a network", with("\"network_id\":1"), 400),
        ("a number for a text", b"{\"name\":1}".to_vec(), 400),
        ("a text for a list", with("\"tags\":\"a\""), 400),
        ("a huge number", with("\"external_id\":1e999999"), 400),
        (
            "a huge whole number",
            with(&format!("\"external_id\":{}", "9".repeat(10_000))),
            400,
        ),
        ("not a number", with("\"external_id\":NaN"), 400),
        ("null for a text", b"{\"name\":null}".to_vec(), 400),
        ("no name", b"{}".to_vec(), 400),
        ("an empty name", b"{\"name\":\"\"}".to_vec(), 422),
        (
            "a blank name",
            "{\"name\":\" \u{a0}\u{2003} \"}".as_bytes().to_vec(),
            422,
        ),
        ("a long name", with("").len().to_string().into_bytes(), 400),
        (
            "a name beyond the limit",
            format!("{{\"name\":\"{}\"}}", "x".repeat(121)).into_bytes(),
            422,
        ),
        (
            "notes beyond the limit",
            with(&format!("\"notes\":\"{}\"", "x".repeat(4001))),
            422,
        ),
        (
            "too many tags",
            with(&format!("\"tags\":{}", json!(vec!["a"; 21]))),
            422,
        ),
        ("two tags in one", with("\"tags\":[\"a,b\"]"), 422),
        ("two tags in one of a file", with("\"tags\":[\"a;b\"]"), 422),
        ("an unknown status", with("\"status\":\"Active\""), 422),
        ("an unknown group", with("\"group\":\"grp_0000010\""), 422),
        ("no id of a group", with("\"group\":\"1\""), 422),
        ("an empty external id", with("\"external_id\":\"\""), 422),
    ]
}

#[tokio::test(flavor = "multi_thread")]
async fn every_malformed_body_gets_a_specific_error() {
    let app = TestApp::spawn().await;
    let program = app.program(&app.scene.owner).await;
    let before = app.count("SELECT count(*) FROM affiliates").await;
    let headers = [("Content-Type", "application/json")];
    let path = format!("/affiliates/{}", app.scene.affiliate_id);
    for (what, body, status) in bodies() {
        let response = program
            .call(Method::POST, "/affiliates", &headers, body.clone())
            .await;
        assert_eq!(response.status.as_u16(), status, "{what}: {}", response.text);
        assert!(
            response.text.len() < 2_000,
            "{what}: an answer of {} bytes",
            response.text.len()
        );
        let response = program.call(Method::PATCH, &path, &headers, body).await;
        let nothing_to_do = what == "no name";
        assert!(
            response.status.is_client_error() || nothing_to_do,
            "{what}: {} {}",
            response.status,
            response.text
        );
    }
    assert_eq!(app.count("SELECT count(*) FROM affiliates").await, before);
    assert_eq!(program.get(&path).await.json["name"], json!("Orbit Blog"));
    app.finish().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn a_body_of_another_content_type_is_refused() {
    let app = TestApp::spawn().await;
    let program = app.program(&app.scene.owner).await;
    let body = json!({ "name": "Nova" }).to_string();
    for kind in [
        "",
        "text/plain",
        "text/json",
        "application/x-www-form-urlencoded",
        "multipart/form-data",
        "application/xml",
        "nonsense",
    ] {
        let headers = [("Content-Type", kind)];
        let response = program
            .call(Method::POST, "/affiliates", &headers, body.clone())
            .await;
        assert_eq!(
            response.status,
            StatusCode::UNSUPPORTED_MEDIA_TYPE,
            "{kind:?}: {}",
            response.text
        );
    }
    let none = program.call(Method::POST, "/affiliates", &[], body.clone()).await;
    assert_eq!(none.status, StatusCode::UNSUPPORTED_MEDIA_TYPE);
    for kind in [
        "application/json",
        "application/json; charset=utf-8",
        "APPLICATION/JSON",
    ] {
        let response = program
            .call(
                Method::POST,
                "/affiliates",
                &[("Content-Type", kind)],
                body.clone(),
            )
            .await;
        assert_eq!(
            response.status,
            StatusCode::CREATED,
            "{kind:?}: {}",
            response.text
        );
    }
    // A compressed body is not decompressed: its bytes are not JSON.
    let headers = [("Content-Type", "application/json"), ("Content-Encoding", "gzip")];
    let response = program
        .call(
            Method::POST,
            "/affiliates",
            &headers,
            vec![0x1f, 0x8b, 8, 0, 0, 0, 0, 0],
        )
        .await;
    assert_eq!(response.status, StatusCode::BAD_REQUEST);
    app.finish().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn unknown_paths_and_methods_get_the_same_error() {
    let app = TestApp::spawn().await;
    let program = app.program(&app.scene.owner).await;
    let deep = format!("/affiliates/{}", "x".repeat(4_000));
    for path in [
        "/nothing",
        "/affiliates/",
        "/affiliates/aff_0000010",
        "/affiliates/1",
        "/affiliates/%00",
        "/affiliates/%ff",
        "/affiliates/%2e%2e%2fmembers",
        "/affiliates/' OR 1=1 --",
        "//affiliates",
        "/Affiliates",
        "/affiliates/import/x",
        deep.as_str(),
    ] {
        let response = program.get(path).await;
        assert_eq!(
            (response.status, response.get("code")),
            (StatusCode::NOT_FOUND, "not_found"),
            "{path}: {}",
            response.text
        );
    }
    for (method, path, allow) in [
        ("DELETE", "/affiliates", "GET, POST, HEAD"),
        ("PUT", "/me", "GET, HEAD"),
        ("GET", "/tokens", "POST"),
        ("TRACE", "/me", "GET, HEAD"),
        ("OPTIONS", "/me", "GET, HEAD"),
        ("NONSENSE", "/me", "GET, HEAD"),
        ("GET", "/affiliates/import", "POST"),
    ] {
        let response = program.call(method.parse().unwrap(), path, &[], "").await;
        assert_eq!(response.status, StatusCode::METHOD_NOT_ALLOWED, "{method} {path}");
        assert_eq!(response.headers["allow"], allow, "{method} {path}");
    }
    let head = program.call(Method::HEAD, "/me", &[], "").await;
    assert_eq!((head.status, head.text.as_str()), (StatusCode::OK, ""));
    app.finish().await;
}

/// Sends bytes and returns the start of the response.
async fn raw(address: &str, request: Vec<u8>) -> String {
    let mut stream = TcpStream::connect(address).await.unwrap();
    // The server may respond and close the connection before the whole request is sent.
    let _ = stream.write_all(&request).await;
    let mut answer = Vec::new();
    let read = async {
        let mut part = [0; 4096];
        while let Ok(count @ 1..) = stream.read(&mut part).await {
            answer.extend_from_slice(&part[..count]);
            if answer.len() > 64 {
                break;
            }
        }
    };
    let _ = tokio::time::timeout(std::time::Duration::from_secs(5), read).await;
    String::from_utf8_lossy(&answer).into_owned()
}

#[tokio::test(flavor = "multi_thread")]
async fn malformed_requests_are_refused_and_the_server_keeps_running() {
    let app = TestApp::spawn().await;
    let program = app.program(&app.scene.owner).await;
    let (key, address) = (
        &program.credential,
        app.dashboard_url.strip_prefix("http://").unwrap(),
    );
    let get = |head: &str| format!("GET /api/v1/me HTTP/1.1\r\nHost: x\r\n{head}\r\n").into_bytes();
    let post = |head: &str, body: &str| {
        let auth = format!("Authorization: Bearer {key}\r\nContent-Type: application/json\r\n");
        format!("POST /api/v1/affiliates HTTP/1.1\r\nHost: x\r\n{auth}{head}\r\n{body}").into_bytes()
    };
    let megabyte = "x".repeat(1 << 20);
    for (what, request) in [
        (
            "a header of a megabyte",
            get(&format!("Authorization: Bearer {megabyte}\r\n")),
        ),
        ("a key of a megabyte", get(&format!("X-{megabyte}: 1\r\n"))),
        ("a thousand headers", get(&"X-Many: 1\r\n".repeat(1_000))),
        ("a header with a NUL", get("Authorization: Bearer a\0b\r\n")),
        (
            "a header that is no ASCII",
            get("Authorization: Bearer \u{fc}\r\n"),
        ),
        ("a header without a name", get(": x\r\n")),
        (
            "a path of a megabyte",
            format!("GET /api/v1/{megabyte} HTTP/1.1\r\nHost: x\r\n\r\n").into_bytes(),
        ),
        (
            "another protocol",
            b"\x16\x03\x01\x02\x00\x01\x00\x01\xfc\x03\x03\r\n\r\n".to_vec(),
        ),
        (
            "two lengths",
            post(
                "Content-Length: 2\r\nContent-Length: 15\r\n",
                "{\"name\":\"Nova\"}",
            ),
        ),
        (
            "a length and chunks",
            post("Content-Length: 4\r\nTransfer-Encoding: chunked\r\n", "0\r\n\r\n"),
        ),
        ("a negative length", post("Content-Length: -1\r\n", "{}")),
        (
            "a length beyond numbers",
            post("Content-Length: 99999999999999999999\r\n", "{}"),
        ),
        (
            "a chunk that is none",
            post("Transfer-Encoding: chunked\r\n", "zz\r\n{}\r\n0\r\n\r\n"),
        ),
        (
            "a chunk beyond numbers",
            post("Transfer-Encoding: chunked\r\n", "ffffffffffffffffff\r\n{}\r\n"),
        ),
        (
            "a long body that was only announced",
            post("Content-Length: 10000000\r\n", &"x".repeat(200_000)),
        ),
    ] {
        let answer = raw(address, request).await;
        assert!(
            answer.starts_with("HTTP/1.1 4") || answer.is_empty(),
            "{what}: {answer:.200}"
        );
        assert_eq!(program.get("/me").await.status, StatusCode::OK, "{what}");
    }
    assert_eq!(
        app.count("SELECT count(*) FROM affiliates WHERE name = 'Nova'")
            .await,
        0
    );
    app.finish().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn responses_reveal_no_more_than_necessary() {
    let app = TestApp::spawn().await;
    let program = app.program(&app.scene.owner).await;
    let script = json!({ "<script>alert(1)</script>": 1 });
    let response = program.post("/affiliates", &script).await;
    assert_eq!(
        (response.status, &response.headers["content-type"]),
        (StatusCode::BAD_REQUEST, &"application/json".parse().unwrap())
    );
    let path = "/affiliates?%3Cscript%3E=1";
    assert_eq!(
        program.get(path).await.headers["x-content-type-options"],
        "nosniff"
    );
    // Pages of other origins must not read responses, so no CORS headers are sent.
    let headers = [
        ("Origin", "https://evil.example"),
        ("Access-Control-Request-Method", "POST"),
    ];
    for method in [Method::GET, Method::OPTIONS] {
        let answer = program.call(method, "/me", &headers, "").await;
        assert!(
            !answer
                .headers
                .keys()
                .any(|name| name.as_str().starts_with("access-control"))
        );
        assert!(!answer.headers.contains_key("server") && !answer.headers.contains_key("set-cookie"));
    }
    // A session cookie does not authenticate API requests, which prevents cross-site request forgery.
    let signed_in = app
        .stranger()
        .try_sign_in(&app.scene.owner.email, &app.scene.owner.password)
        .await;
    let cookie = signed_in.headers["set-cookie"]
        .to_str()
        .unwrap()
        .split(';')
        .next()
        .unwrap()
        .to_owned();
    let stranger = program.with("");
    let answer = stranger
        .call(Method::GET, "/me", &[("Cookie", &cookie)], "")
        .await;
    assert_eq!(answer.status, StatusCode::UNAUTHORIZED);
    let document = stranger.get("/openapi.json").await;
    assert_eq!(
        (document.status, &document.json["openapi"]),
        (StatusCode::OK, &Value::from("3.1.0"))
    );
    app.finish().await;
}
