//! `clickledger listen`: follows the verdicts of a network, and forwards the requests to a local URL.

use std::time::{Duration, Instant};

use data_encoding::BASE64;
use hyper::Method;
use hyper::header::{CONTENT_TYPE, HeaderName, HeaderValue};
use serde_json::{Value, json};
use tokio::time::{sleep, sleep_until, timeout};
use tokio_rustls::rustls::RootCertStore;
use url::Url;

use super::{authorities, connect, plain, postbacks, text};
use crate::client::{Client, Failure, exchange, request};
use crate::commands::{CommandError, stop_signal};
use crate::config::client::ListenOptions;
use crate::output::Output;

/// Time between two requests for the end of the feed.
const POLL_INTERVAL: Duration = Duration::from_secs(1);
/// Longest wait before a server that failed is asked again.
const MAX_BACKOFF: Duration = Duration::from_secs(30);
/// Longest wait for the response of the local URL.
const FORWARD_TIMEOUT: Duration = Duration::from_secs(10);
/// Most postbacks of a page of the feed.
const PAGE_SIZE: &str = "100";

/// Prints each verdict from now on, until the user stops the command.
pub(super) async fn listen(options: &ListenOptions, output: Output) -> Result<(), CommandError> {
    let client = connect(&options.connection)?;
    let mut filter = postbacks::filter_of(&client, &options.postbacks).await?;
    filter.push(("limit", PAGE_SIZE.to_owned()));
    if options.forward.is_some() {
        filter.push(("requests", "true".to_owned()));
    }
    let forwarder = match &options.forward {
        Some(url) => Some(Forwarder {
            url: url.clone(),
            authorities: authorities(&options.connection)?,
        }),
        None => None,
    };
    tokio::select! {
        ended = follow(&client, &filter, forwarder.as_ref(), options.count, output) => ended,
        () = stop_signal()? => Ok(()),
    }
}

async fn follow(
    client: &Client,
    filter: &[(&'static str, String)],
    forwarder: Option<&Forwarder>,
    count: Option<u64>,
    output: Output,
) -> Result<(), CommandError> {
    let mut position = end(client, filter).await?;
    eprintln!("clickledger: listening to {} (Ctrl-C stops)", client.page(""));
    let (mut printed, mut backoff) = (0, POLL_INTERVAL);
    loop {
        let next_poll = Instant::now() + POLL_INTERVAL;
        let page = match page(client, filter, Some(&position)).await {
            Ok(page) => page,
            Err(failure) if is_temporary(&failure) => {
                eprintln!("clickledger: {failure} Trying again in {} s.", backoff.as_secs());
                sleep(backoff).await;
                backoff = (backoff * 2).min(MAX_BACKOFF);
                continue;
            }
            Err(failure) if failure.fields.contains_key("after") => {
                // The database was restored from a backup, without the verdicts up to the position.
                eprintln!("clickledger: {failure}");
                position = end(client, filter).await?;
                continue;
            }
            Err(failure) => return Err(failure.into()),
        };
        backoff = POLL_INTERVAL;
        for item in page["items"].as_array().into_iter().flatten() {
            let forwarded = match forwarder {
                Some(forwarder) => Some(forwarder.forward(item).await),
                None => None,
            };
            print(item, forwarded.as_ref(), output)?;
            printed += 1;
            if count == Some(printed) {
                return Ok(());
            }
        }
        position = text(&page["next"]);
        if page["has_more"] != true {
            sleep_until(next_poll.into()).await;
        }
    }
}

/// Present end of the feed.
async fn end(client: &Client, filter: &[(&'static str, String)]) -> Result<String, Failure> {
    Ok(text(&page(client, filter, None).await?["next"]))
}

async fn page(
    client: &Client,
    filter: &[(&'static str, String)],
    after: Option<&str>,
) -> Result<Value, Failure> {
    let mut query: Vec<(&str, &str)> = filter
        .iter()
        .map(|(name, value)| (*name, value.as_str()))
        .collect();
    query.extend(after.map(|after| ("after", after)));
    client.get("postbacks/feed", &query).await
}

/// True if the same request may succeed later: the server restarts, or is overloaded.
fn is_temporary(failure: &Failure) -> bool {
    let codes = [
        "unreachable",
        "timeout",
        "broken_response",
        "rate_limited",
        "unavailable",
        "internal",
    ];
    codes.contains(&failure.code.as_str())
}

fn print(item: &Value, forwarded: Option<&Forwarded>, output: Output) -> Result<(), CommandError> {
    let mut described = item.clone();
    if let Some(members) = described.as_object_mut() {
        members.remove("request");
        if let Some(forwarded) = forwarded {
            members.insert("forwarded".to_owned(), forwarded.to_json());
        }
    }
    let mut lines = line(item);
    if let Some(forwarded) = forwarded {
        lines.push_str(&format!("\n    {}", forwarded.sentence()));
    }
    Ok(output.print(lines, &described)?)
}

/// Postback in a line: time, status, reason, advertiser, order, amount, receipt, and the message unless it was accepted.
pub(super) fn line(item: &Value) -> String {
    let at = match &item["decided_at"] {
        Value::Null => text(&item["received_at"]),
        decided => text(decided),
    };
    let at = at.get(..19).unwrap_or(&at).replace('T', " ");
    let status = plain(&item["status"]);
    let mut parts = vec![
        at,
        format!("{status:<9}"),
        format!("{:<20}", plain(&item["reason"])),
    ];
    let advertiser = plain(&item["advertiser_name"]);
    parts.extend(Some(advertiser).filter(|name| !name.is_empty()));
    if !item["order_id"].is_null() {
        parts.push(format!("order {}", plain(&item["order_id"])));
    }
    if !item["amount"].is_null() {
        parts.push(
            format!("{} {}", plain(&item["amount"]), plain(&item["currency"]))
                .trim_end()
                .to_owned(),
        );
    }
    parts.push(plain(&item["id"]));
    parts.extend((item["is_test"] == true).then(|| "test".to_owned()));
    if status != "accepted" {
        parts.push(plain(&item["message"]));
    }
    parts.join("  ")
}

/// Sender of stored requests to a local URL.
struct Forwarder {
    url: Url,
    authorities: RootCertStore,
}

/// Result of a forwarded request.
struct Forwarded {
    method: String,
    url: String,
    /// Status of the response, or the reason why none arrived.
    status: Result<u16, String>,
    took: Duration,
}

impl Forwarded {
    fn sentence(&self) -> String {
        let Self {
            method, url, took, ..
        } = self;
        match &self.status {
            Ok(status) => format!("→ {method} {url} answered {status} in {} ms", took.as_millis()),
            Err(error) => format!("→ {method} {url} failed: {error}"),
        }
    }

    fn to_json(&self) -> Value {
        json!({
            "method": self.method,
            "url": self.url,
            "status": self.status.as_ref().ok(),
            "error": self.status.as_ref().err(),
        })
    }
}

impl Forwarder {
    /// Sends the request of a postback as it is stored. A failure is a result: the next postback may succeed.
    async fn forward(&self, item: &Value) -> Forwarded {
        let stored = &item["request"];
        let url = forwarded_to(&self.url, &text(&stored["target"]));
        let method = text(&stored["method"]);
        let begun = Instant::now();
        let sending = timeout(FORWARD_TIMEOUT, self.send(item, &method, &url)).await;
        let status =
            sending.unwrap_or_else(|_| Err(format!("no response within {} s", FORWARD_TIMEOUT.as_secs())));
        Forwarded {
            method,
            url: url.to_string(),
            status,
            took: begun.elapsed(),
        }
    }

    async fn send(&self, item: &Value, method: &str, url: &Url) -> Result<u16, String> {
        let stored = &item["request"];
        let invalid = |error: &dyn std::fmt::Display| error.to_string();
        let method: Method = method.parse().map_err(|error| invalid(&error))?;
        let body = BASE64.decode(text(&stored["body_base64"]).as_bytes());
        let body = body.map_err(|error| invalid(&error))?;
        let mut request = request(method, url, body).map_err(|failure| failure.message)?;
        let headers = [
            (CONTENT_TYPE, text(&stored["content_type"])),
            (
                HeaderName::from_static("x-clickledger-postback"),
                text(&item["id"]),
            ),
            (
                HeaderName::from_static("x-clickledger-status"),
                text(&item["status"]),
            ),
            (
                HeaderName::from_static("x-clickledger-reason"),
                text(&item["reason"]),
            ),
        ];
        for (name, value) in headers.into_iter().filter(|(_, value)| !value.is_empty()) {
            let value = HeaderValue::from_str(&value).map_err(|error| invalid(&error))?;
            request.headers_mut().insert(name, value);
        }
        let answer = exchange(url, request, self.authorities.clone()).await;
        let answer = answer.map_err(|failure| failure.message)?;
        Ok(answer.status().as_u16())
    }
}

/// URL of a forwarded request: the given path, or that of the request if none was given, with the query of the request.
fn forwarded_to(to: &Url, target: &str) -> Url {
    let (path, query) = match target.split_once('?') {
        Some((path, query)) => (path, Some(query)),
        None => (target, None),
    };
    let mut url = to.clone();
    if to.path() == "/" {
        url.set_path(path);
    }
    match (to.query(), query) {
        (Some(own), Some(query)) => url.set_query(Some(&format!("{own}&{query}"))),
        (None, Some(query)) => url.set_query(Some(query)),
        (_, None) => {}
    }
    url
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_request_keeps_its_path_unless_the_local_url_has_one() {
        let to = |local: &str, target: &str| forwarded_to(&Url::parse(local).unwrap(), target).to_string();
        let target = "/postback?order_id=A%2F1&amount=2";
        assert_eq!(
            to("http://127.0.0.1:4000", target),
            "http://127.0.0.1:4000/postback?order_id=A%2F1&amount=2"
        );
        assert_eq!(
            to("http://127.0.0.1:4000/hook", target),
            "http://127.0.0.1:4000/hook?order_id=A%2F1&amount=2"
        );
        assert_eq!(
            to("http://127.0.0.1:4000/hook?k=1", target),
            "http://127.0.0.1:4000/hook?k=1&order_id=A%2F1&amount=2"
        );
        assert_eq!(
            to("http://127.0.0.1:4000/hook?k=1", "/postback"),
            "http://127.0.0.1:4000/hook?k=1"
        );
    }

    #[test]
    fn a_line_has_what_was_sent_and_the_message_of_what_was_not_accepted() {
        let mut item = json!({
            "id": "pb_1", "received_at": "2026-11-30T13:31:53.123Z", "decided_at": null, "status": "accepted",
            "reason": "accepted", "message": "The conversion was recorded.", "advertiser_name": "Nova Shoes",
            "order_id": "A-1", "amount": "49.90", "currency": null, "is_test": false,
        });
        assert_eq!(
            line(&item),
            "2026-11-30 13:31:53  accepted   accepted              Nova Shoes  order A-1  49.90  pb_1"
        );
        item["status"] = json!("rejected");
        item["is_test"] = json!(true);
        item["decided_at"] = json!("2026-12-01T00:00:00Z");
        let line = line(&item);
        assert!(line.starts_with("2026-12-01 00:00:00  rejected"), "{line}");
        assert!(
            line.ends_with("pb_1  test  The conversion was recorded."),
            "{line}"
        );
    }
}
