//! Tracking hosts of the network: the DNS records that prove them, and their check.

use actix_web::web::{Data, Json};
use chrono::{DateTime, Utc};
use schema::clock;
use serde::{Deserialize, Serialize};
use tenancy::host_checks::CheckError;
use tenancy::needs;
use tenancy::networks::{Answer, Answers, Challenge, ClaimedHost, RecordResult};
use utoipa::ToSchema;

use super::Answer as ResponseOf;
use crate::auth::Allowed;
use crate::error::ApiError;
use crate::extract::Body;
use crate::schemas;
use crate::state::Api;

/// A tracking host that the network has entered.
#[derive(Serialize, ToSchema)]
pub(crate) struct TrackingHost {
    #[schema(value_type = schemas::Host)]
    host: String,
    /// `claimed` and `contested` hosts are not proven; a contested one has been entered by another network too, and only a
    /// TXT record proves it. A `lost` host is no longer one of `tracking_hosts`: another network has proven it.
    #[schema(value_type = schemas::HostState)]
    state: &'static str,
    claimed_at: DateTime<Utc>,
    /// Time of the proof; null without one. A host stays proven when its records change later.
    #[schema(required)]
    proven_at: Option<DateTime<Utc>>,
    /// Record that proved it; null without proof.
    #[schema(required, value_type = Option<schemas::HostProof>)]
    proven_by: Option<&'static str>,
    /// Time of the loss; null for a host that is not lost.
    #[schema(required)]
    lost_at: Option<DateTime<Utc>>,
    /// Name of the TXT record that proves the host; null if the host is no DNS name, so that no record can prove it.
    #[schema(required, value_type = Option<schemas::Text>)]
    txt_name: Option<String>,
    /// Value of the TXT record; null like its name.
    #[schema(required, value_type = Option<schemas::Text>)]
    txt_value: Option<String>,
    /// Target of the CNAME record that proves the host instead; null if the host or this installation has no DNS name.
    #[schema(required, value_type = Option<schemas::Text>)]
    cname_target: Option<String>,
    /// Result of the last check; null before the first.
    #[schema(required)]
    check: Option<HostCheck>,
}

/// The result of the last check of a tracking host.
#[derive(Serialize, ToSchema)]
pub(crate) struct HostCheck {
    at: DateTime<Utc>,
    txt: RecordCheck,
    cname: RecordCheck,
    /// IP addresses of the host, compared with those of this installation. They prove nothing: a proxy or CDN hides them.
    addresses: RecordCheck,
}

/// The result for one kind of DNS record.
#[derive(Serialize, ToSchema)]
pub(crate) struct RecordCheck {
    /// `silent`: the DNS server did not answer in time. `failed`: it answered with an error. `unknown`: this installation has
    /// nothing to compare with.
    #[schema(value_type = schemas::RecordResult)]
    result: &'static str,
    /// Values that were found.
    #[schema(value_type = Vec<schemas::Text>)]
    values: Vec<String>,
    /// Result for people; its wording may change.
    #[schema(value_type = schemas::Text)]
    message: String,
}

impl RecordCheck {
    fn new(result: RecordResult, answer: &Answer, message: String) -> Self {
        Self {
            result: result.as_str(),
            values: answer.values().to_vec(),
            message,
        }
    }
}

impl HostCheck {
    fn new(at: DateTime<Utc>, challenge: &Challenge, answers: &Answers) -> Self {
        let [txt, cname, addresses] = challenge.sentences(answers);
        Self {
            at,
            txt: RecordCheck::new(challenge.txt(answers), &answers.txt, txt),
            cname: RecordCheck::new(challenge.cname(answers), &answers.cname, cname),
            addresses: RecordCheck::new(challenge.addresses(answers), &answers.addresses, addresses),
        }
    }
}

impl TrackingHost {
    pub(super) fn new(claimed: ClaimedHost, api: &Api) -> Self {
        let challenge = claimed.challenge(api.hosts.own_host());
        let is_possible = challenge.is_possible();
        let check = claimed
            .checked
            .map(|(at, answers)| HostCheck::new(at, &challenge, &answers));
        Self {
            host: claimed.host,
            state: claimed.state.as_str(),
            claimed_at: claimed.claimed_at,
            proven_at: claimed.proven.map(|(at, _)| at),
            proven_by: claimed.proven.map(|(_, proof)| proof.as_str()),
            lost_at: claimed.lost_at,
            txt_name: is_possible.then_some(challenge.txt_name),
            txt_value: is_possible.then_some(challenge.txt_value),
            cname_target: challenge.cname_target.filter(|_| is_possible),
            check,
        }
    }
}

/// A host to check.
#[derive(Deserialize, ToSchema)]
#[serde(deny_unknown_fields)]
pub(crate) struct HostToCheck {
    /// One of the `tracking_hosts` of the network.
    #[schema(value_type = schemas::Host)]
    host: String,
}

/// Check a tracking host
///
/// Looks up the DNS records that prove the host, for three seconds at most, and applies the result: a host that is proven
/// belongs to the network, also if another network had entered it first. The response is 200 whatever the result is. At most
/// ten checks per minute.
#[utoipa::path(
    post, path = "/network/tracking-hosts/check", tag = "Network",
    request_body = HostToCheck,
    responses((status = 200, body = TrackingHost))
)]
pub(crate) async fn check(
    access: Allowed<needs::ManageNetwork>,
    api: Data<Api>,
    body: Body<HostToCheck>,
) -> ResponseOf<TrackingHost> {
    let (network_id, now) = (access.network_id(), clock::now());
    let checked = async {
        api.hosts.count_request(network_id, now)?;
        let author = access.author();
        api.hosts
            .check(&api.db, network_id, &author, &body.value.host, now)
            .await
    };
    match checked.await {
        Ok(claimed) => Ok(Json(TrackingHost::new(claimed, &api))),
        Err(CheckError::TooOften(retry_after)) => Err(ApiError::RateLimited { retry_after }),
        Err(CheckError::Db(error)) => Err(error.into()),
        Err(refused) => Err(ApiError::field("host", refused.to_string())),
    }
}
