// Sends a postback for a paid order. Run this on your server in a separate thread, because it waits between
// attempts. Retries are safe: each order ID counts once. Keep the token{% if signed %} and the secret{% endif %} out of your repository.
//
// The standard library has no HTTPS client. Add to Cargo.toml:
//   reqwest = { version = "0.13", features = ["blocking", "form"] }
//   serde_json = "1"
{%- if signed %}
//   hmac = "0.13"
//   sha2 = "0.11"
{%- endif %}
use std::process::ExitCode;
use std::thread::sleep;
{%- if signed %}
use std::time::{Duration, SystemTime, UNIX_EPOCH};

use hmac::{Hmac, KeyInit, Mac};
{%- else %}
use std::time::Duration;
{% endif %}
use reqwest::blocking::Client;
use reqwest::redirect::Policy;
{%- if signed %}
use sha2::{Digest, Sha256};
{%- endif %}

const POSTBACK_URL: &str = {{ postback_url }};
const TOKEN: &str = {{ token }};
{%- if signed %}
const SECRET: &str = {{ secret }};
{%- endif %}
const GOAL: &str = {{ goal }};

/// Returns 0 if the order is stored, 1 if the request must be corrected, 2 if it must be sent again later.
/// The amount is a string such as "49.90", never a float.
fn report_order(click_id: &str, order_id: &str, amount: &str, currency: &str) -> reqwest::Result<u8> {
    let client = Client::builder()
        .timeout(Duration::from_secs(10))
        .redirect(Policy::none())
        .build()?;
    let fields = [
        ("click_id", click_id),
        ("goal", GOAL),
        ("order_id", order_id),
        ("amount", amount),
        ("currency", currency),
    ];
    for attempt in 1..=5 {
        if attempt > 1 {
            sleep(Duration::from_secs(1 << (attempt - 2)));
        }
        let (status, text) = match send(&client, &fields) {
            Ok(answer) => answer,
            Err(error) => {
                eprintln!("attempt {attempt}: no response: {error}");
                continue;
            }
        };
        match status {
            200..=299 => {
                println!("{text}");
                return Ok(0);
            }
            408 | 429 | 500.. => eprintln!("attempt {attempt}: {status}"),
            _ => {
                eprintln!("{status} {}", explain(&text));
                return Ok(1);
            }
        }
    }
    Ok(2)
}

fn send(client: &Client, fields: &[(&str, &str)]) -> reqwest::Result<(u16, String)> {
    let request = client.post(POSTBACK_URL).bearer_auth(TOKEN).form(fields);
{%- if signed %}
    let mut request = request.build()?;
    let body = request.body().and_then(|body| body.as_bytes());
    let signature = sign(request.url(), body.unwrap_or_default());
    let signature = signature.parse().expect("a signature is ASCII");
    request.headers_mut().insert("X-Clickledger-Signature", signature);
    let response = client.execute(request)?;
{%- else %}
    let response = request.send()?;
{%- endif %}
    Ok((response.status().as_u16(), response.text()?))
}
{%- if signed %}

/// Returns the value of the signature header: the timestamp and the HMAC of the request.
fn sign(url: &reqwest::Url, body: &[u8]) -> String {
    let time = SystemTime::now()
        .duration_since(UNIX_EPOCH)
        .map_or(0, |since| since.as_secs());
    let target = match url.query() {
        Some(query) => format!("{}?{query}", url.path()),
        None => url.path().to_owned(),
    };
    let digest = Sha256::new()
        .chain_update(target)
        .chain_update("\n")
        .chain_update(body)
        .finalize();
    let mut mac = Hmac::<Sha256>::new_from_slice(SECRET.as_bytes()).expect("HMAC takes keys of any length");
    mac.update(format!("{time}.{}", hex(&digest)).as_bytes());
    format!("t={time},v1={}", hex(&mac.finalize().into_bytes()))
}

fn hex(bytes: &[u8]) -> String {
    bytes.iter().map(|byte| format!("{byte:02x}")).collect()
}
{%- endif %}

/// Returns the reason, message and hint of a rejected postback.
fn explain(text: &str) -> String {
    let answer: serde_json::Value = serde_json::from_str(text).unwrap_or_default();
    let field = |name: &str| answer[name].as_str().unwrap_or_default().to_owned();
    match field("reason") {
        reason if reason.is_empty() => text.to_owned(),
        reason => format!("{reason}: {} {}", field("message"), field("hint")),
    }
}

fn main() -> ExitCode {
    match report_order({{ click_id }}, {{ order_id }}, {{ amount }}, {{ currency }}) {
        Ok(code) => ExitCode::from(code),
        Err(error) => {
            eprintln!("{error}");
            ExitCode::from(2)
        }
    }
}
