//! `clickledger health`: health check of a node, for containers and scripts.

use std::net::{IpAddr, Ipv4Addr, Ipv6Addr, SocketAddr};
use std::time::Duration;

use serde_json::{Value, json};
use url::Url;

use super::CommandError;
use crate::config::HealthOptions;
use crate::download::download;
use crate::output::Output;

/// Longest wait for the response.
const HEALTH_TIMEOUT: Duration = Duration::from_secs(5);
/// Largest response, in bytes.
const MAX_RESPONSE_BYTES: usize = 1_000_000;

/// Requests `/health/ready` of a node's tracking listener and prints one sentence.
///
/// # Errors
/// Returns an error if the node does not accept clicks and postbacks, or does not answer.
pub async fn health(options: HealthOptions, output: Output) -> Result<(), CommandError> {
    let address = reachable(options.tracking_listen);
    let url = Url::parse(&format!("http://{address}/health/ready"))?;
    let response = tokio::time::timeout(HEALTH_TIMEOUT, download(&url, MAX_RESPONSE_BYTES)).await;
    let body = response
        .map_err(|_| format!("no response from {address} within {} s", HEALTH_TIMEOUT.as_secs()))?
        .map_err(|error| format!("the node at {address} is not ready: {error}"))?;
    let names = alarms(&body);
    let healthy = json!({ "address": address.to_string(), "ready": true, "alarms": names });
    Ok(output.print(sentence(address, &names), &healthy)?)
}

/// Address under which a listener of this machine is reached: loopback for a listener on all addresses.
fn reachable(listener: SocketAddr) -> SocketAddr {
    let ip = match listener.ip() {
        IpAddr::V4(ip) if ip.is_unspecified() => Ipv4Addr::LOCALHOST.into(),
        IpAddr::V6(ip) if ip.is_unspecified() => Ipv6Addr::LOCALHOST.into(),
        ip => ip,
    };
    SocketAddr::new(ip, listener.port())
}

/// Names of the alarms that fire.
fn alarms(body: &str) -> Vec<String> {
    let health: Value = serde_json::from_str(body).unwrap_or_default();
    let alarms = health.get("alarms").and_then(Value::as_array);
    let names = alarms
        .into_iter()
        .flatten()
        .filter_map(|alarm| alarm.get("name")?.as_str());
    names.map(str::to_owned).collect()
}

/// Result of a successful check, with the names of the alarms that fire.
fn sentence(address: SocketAddr, names: &[String]) -> String {
    if names.is_empty() {
        format!("The node at {address} accepts clicks and postbacks.")
    } else {
        format!(
            "The node at {address} accepts clicks and postbacks. Alarms: {}.",
            names.join(", ")
        )
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_listener_on_all_addresses_is_reached_through_loopback() {
        for (listener, expected) in [
            ("0.0.0.0:8081", "127.0.0.1:8081"),
            ("[::]:8081", "[::1]:8081"),
            ("10.1.2.3:80", "10.1.2.3:80"),
        ] {
            assert_eq!(reachable(listener.parse().unwrap()).to_string(), expected);
        }
    }

    #[test]
    fn the_sentence_names_the_alarms() {
        let address = "127.0.0.1:8081".parse().unwrap();
        assert_eq!(
            sentence(address, &alarms(r#"{"ready":true,"alarms":[]}"#)),
            "The node at 127.0.0.1:8081 accepts clicks and postbacks."
        );
        let late = r#"{"ready":true,"alarms":[{"name":"journal_late","text":"…"}]}"#;
        assert!(sentence(address, &alarms(late)).ends_with("Alarms: journal_late."));
    }
}
