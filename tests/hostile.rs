//! Hostile requests to the tracking host: malformed, oversized, slow, and 2,000 idle connections.
#![expect(clippy::unwrap_used, reason = "a test stops at the first unexpected result")]

use std::time::Duration;

use testkit::TestApp;
use tokio::io::{AsyncReadExt, AsyncWriteExt};
use tokio::net::TcpStream;
use tokio::time::timeout;

/// Longer than any timeout for a client.
const BEYOND_ANY_TIMEOUT: Duration = Duration::from_secs(25);

fn address(app: &TestApp) -> String {
    app.tracking_url.strip_prefix("http://").unwrap().to_owned()
}

/// Sends bytes and reads until the server closes; returns the status, or 0 if nothing was received.
async fn send(app: &TestApp, request: &[u8]) -> u16 {
    let mut stream = TcpStream::connect(address(app)).await.unwrap();
    // The server may refuse the request before all of it is sent.
    let _ = stream.write_all(request).await;
    let mut answer = Vec::new();
    let _ = timeout(BEYOND_ANY_TIMEOUT, stream.read_to_end(&mut answer))
        .await
        .unwrap();
    let text = String::from_utf8_lossy(&answer);
    text.split(' ')
        .nth(1)
        .and_then(|status| status.parse().ok())
        .unwrap_or(0)
}

fn get(target: &[u8], host: &str, headers: &[&[u8]]) -> Vec<u8> {
    let mut request = [
        b"GET ",
        target,
        b" HTTP/1.1\r\nConnection: close\r\nHost: ",
        host.as_bytes(),
        b"\r\n",
    ]
    .concat();
    for header in headers {
        request.extend_from_slice(header);
        request.extend_from_slice(b"\r\n");
    }
    request.extend_from_slice(b"\r\n");
    request
}

#[tokio::test(flavor = "multi_thread")]
async fn any_bytes_get_a_defined_response_and_do_no_harm() {
    let app = TestApp::spawn().await;
    let (host, alias) = (address(&app), app.scene.alias.clone());
    let link = |query: &[u8]| [b"/", alias.as_bytes(), b"?", query].concat();
    let long = |length: usize| [b"sub1=".to_vec(), vec![b'a'; length]].concat();
    let many: Vec<Vec<u8>> = (0..200).map(|n| format!("X-{n}: 1").into_bytes()).collect();
    let many: Vec<&[u8]> = many.iter().map(Vec::as_slice).collect();
    let huge = [b"X-Huge: ".to_vec(), vec![b'a'; 200 * 1024]].concat();
    let odd_agent = [b"User-Agent: \xff\xfe\x80 ".to_vec(), vec![b'x'; 8 * 1024]].concat();
    let cases: Vec<(Vec<u8>, &[u16])> = vec![
        (get(&link(b"sub1=%00"), &host, &[]), &[302]),
        (get(&link(b"sub1=%FF"), &host, &[]), &[302]),
        (get(&link(b"sub1=%C0%80"), &host, &[]), &[302]),
        (get(&link(b"sub1=%ED%A0%80"), &host, &[]), &[302]),
        (get(&link(b"sub1=%zz"), &host, &[]), &[302]),
        (get(&link(b"sub1=\xff"), &host, &[]), &[302]),
        (get(&link(b"sub1=a b\"<c>\t"), &host, &[]), &[302]),
        (
            get(
                &link(b"sub1='; DROP TABLE clicks;--&sub2=<script>&sub3=%0d%0aX:1"),
                &host,
                &[],
            ),
            &[302, 400],
        ),
        (
            get(
                &link(b"sub1=%27%3B%20DROP%20TABLE%20clicks--&sub3=%0d%0aX:1"),
                &host,
                &[],
            ),
            &[302],
        ),
        (get(&link(&long(4 * 1024)), &host, &[]), &[302]),
        (get(&link(&long(9 * 1024)), &host, &[]), &[414]),
        (get(&link(&long(300 * 1024)), &host, &[]), &[414, 431]),
        (get(b"/%00", &host, &[]), &[404]),
        (get(b"/%ff%fe", &host, &[]), &[404]),
        (get(b"/../../etc/passwd", &host, &[]), &[404]),
        (get(b"//evil.example/x", &host, &[]), &[404]),
        (get(b"/\xff", &host, &[]), &[400, 404]),
        (
            get(&link(b"sub1=odd"), &host, &[b"Referer: \xff\xfe\x00bad"]),
            &[302, 400],
        ),
        (
            get(&link(b"sub1=odd"), &host, &[b"Referer: \xff\xfe", &odd_agent]),
            &[302],
        ),
        (
            get(&link(b"sub1=odd"), &host, &[b"X-Forwarded-For: \xff, ,,, 1.2.3"]),
            &[302],
        ),
        (get(&link(b"sub1=odd"), &host, &many), &[400, 431]),
        (get(&link(b"sub1=odd"), &host, &[&huge]), &[400, 431]),
        (get(&link(b""), "unknown.example", &[]), &[404]),
        (get(&link(b""), "\u{fffd}", &[]), &[400, 404]),
        (get(b"/postback?click_id=%00", &host, &[]), &[400]),
        (b"\x16\x03\x01\x02\x00\x01\x00".to_vec(), &[400, 0]),
        (b"GET /\r\n\r\n".to_vec(), &[400]),
    ];
    for (request, allowed) in cases {
        let status = send(&app, &request).await;
        let shown: String = String::from_utf8_lossy(&request).chars().take(80).collect();
        assert!(
            allowed.contains(&status),
            "{status} instead of {allowed:?} for {shown:?}"
        );
    }
    assert_eq!(app.count("SELECT count(*) FROM quarantine").await, 0);
    app.finish().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn slow_clients_are_cut_off_and_2000_idle_connections_block_no_others() {
    let app = TestApp::spawn().await;
    let (address, alias) = (address(&app), app.scene.alias.clone());
    let mut silent = Vec::new();
    for _ in 0..2_000 {
        silent.push(TcpStream::connect(&address).await.unwrap());
    }
    let slow = [
        // The first request's headers, the second's on the same connection, and a body.
        format!("GET /{alias} HTTP/1.1\r\nHost: {address}\r\nX-"),
        format!(
            "GET /{alias} HTTP/1.1\r\nHost: {address}\r\n\r\nGET /{alias} HTTP/1.1\r\nHost: {address}\r\nX-"
        ),
        format!(
            "POST /postback HTTP/1.1\r\nHost: {address}\r\nContent-Type: application/json\r\nContent-Length: 100\r\n\r\n{{"
        ),
    ];
    let cut_off = slow.map(|beginning| {
        let address = address.clone();
        tokio::spawn(async move {
            let mut stream = TcpStream::connect(address).await.unwrap();
            stream.write_all(beginning.as_bytes()).await.unwrap();
            let (mut reading, mut writing) = stream.into_split();
            // One more byte every second: never idle, never complete.
            let drip = tokio::spawn(async move {
                while writing.write_all(b"a").await.is_ok() {
                    tokio::time::sleep(Duration::from_secs(1)).await;
                }
            });
            let mut answer = Vec::new();
            let ended = timeout(BEYOND_ANY_TIMEOUT, reading.read_to_end(&mut answer)).await;
            drip.abort();
            (ended.is_ok(), String::from_utf8_lossy(&answer).into_owned())
        })
    });
    // Meanwhile, other visitors are served.
    let mut served = 0;
    while !cut_off.iter().all(tokio::task::JoinHandle::is_finished) {
        app.visitor().click("").await;
        served += 1;
        tokio::time::sleep(Duration::from_millis(50)).await;
    }
    assert!(served > 10, "only {served} were served meanwhile");
    for (part, cut) in ["headers", "second headers", "body"].iter().zip(cut_off) {
        let (ended, answer) = cut.await.unwrap();
        assert!(
            ended,
            "slow {part}: the connection was still open, after {answer:?}"
        );
    }
    drop(silent);
    app.finish().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn raw_bytes_in_a_target_are_read_as_if_percent_encoded() {
    let app = TestApp::spawn().await;
    let (host, alias) = (address(&app), app.scene.alias.clone());
    let click = app.visitor().click("").await.id;
    // The same as browsers, shops and scripts send them: Latin-1, UTF-8, spaces, quotes.
    let visit = get(
        format!("/{alias}?sub1=caf\u{e9} noir&sub2=\"x\"").as_bytes(),
        &host,
        &[],
    );
    assert_eq!(send(&app, &visit).await, 302);
    let token = &app.scene.token;
    let order = |order: &[u8]| {
        let start = format!("/postback?click_id={click}&goal=sale&amount=10&token={token}&order_id=");
        get(&[start.as_bytes(), order].concat(), &host, &[])
    };
    assert_eq!(send(&app, &order(b"No 1 <\xc3\xbc>")).await, 200);
    assert_eq!(send(&app, &order(b"2&title=caf\xe9 \"x\"")).await, 200);
    // Two on one connection, and a form whose body is passed through.
    let mut stream = TcpStream::connect(&host).await.unwrap();
    let first = order(b"3 a");
    let first = String::from_utf8_lossy(&first).replace("Connection: close\r\n", "");
    let body = format!("click_id={click}&goal=sale&amount=10&token={token}&order_id=4 \u{fc}");
    let form = format!(
        "POST /postback?note=\u{fc} HTTP/1.1\r\nHost: {host}\r\nConnection: close\r\n\
         Content-Type: application/x-www-form-urlencoded\r\nContent-Length: {}\r\n\r\n{body}",
        body.len()
    );
    stream.write_all((first + &form).as_bytes()).await.unwrap();
    let mut answers = String::new();
    stream.read_to_string(&mut answers).await.unwrap();
    assert_eq!(answers.matches("HTTP/1.1 200").count(), 2, "{answers}");
    app.settled().await;
    let subs = "SELECT concat_ws(', ', sub1, sub2) FROM clicks WHERE sub1 IS NOT NULL";
    assert_eq!(app.text(subs).await, "caf\u{e9} noir, \"x\"");
    let orders = "SELECT string_agg(order_id, ', ' ORDER BY order_id) FROM conversions";
    assert_eq!(app.text(orders).await, "2, 3 a, 4 \u{fc}, No 1 <\u{fc}>");
    app.finish().await;
}
