//! Tracking hosts on the settings page: the DNS records that prove them, and the button that checks them.

use schema::clock;
use tenancy::host_checks::CheckError;
use tenancy::needs;
use tenancy::networks::{ClaimedHost, HostState, Proof, RecordResult, ServedHosts};

use crate::error::PageError;
use crate::forms::PostedForm;
use crate::page::{Caller, Frame};
use crate::shell::{PageResult, TimeCell, done};

/// Section of the page.
const SECTION: &str = "/settings#hosts";

/// `POST /settings/hosts/check`: checks a host. The section shows the result.
pub(super) async fn check(caller: Caller<needs::ManageNetwork>, form: PostedForm) -> PageResult {
    let (dashboard, network_id, now) = (&caller.request.dashboard, caller.actor.network_id(), clock::now());
    let hosts = &dashboard.hosts;
    let checked = async {
        hosts.count_request(network_id, now)?;
        let author = caller.actor.author();
        hosts
            .check(&dashboard.db, network_id, &author, form.get("host"), now)
            .await
    };
    match checked.await {
        Ok(_) => done(SECTION, "The hosts were checked."),
        Err(CheckError::TooOften(seconds)) => Err(PageError::CheckedTooOften(seconds)),
        Err(CheckError::Db(error)) => Err(error.into()),
        Err(refused) => Err(PageError::Conflict(refused.to_string())),
    }
}

/// Tracking host in the section.
pub(super) struct HostRow {
    pub(super) host: String,
    /// Class of the badge and its label.
    pub(super) badge: (&'static str, &'static str),
    /// State in words.
    pub(super) sentence: String,
    /// Records that prove the host: type, name, value. Empty if it needs no proof, or none is possible.
    pub(super) records: Vec<(&'static str, String, String)>,
    /// Time of the last check.
    pub(super) checked_at: Option<TimeCell>,
    /// Results of the last check: true if as needed, and the result in words.
    pub(super) results: Vec<(bool, String)>,
    /// True if the button can check the host.
    pub(super) is_checkable: bool,
}

impl HostRow {
    pub(super) fn new<P>(claimed: ClaimedHost, frame: &Frame<P>) -> Self {
        let dashboard = &frame.request.dashboard;
        let challenge = claimed.challenge(dashboard.hosts.own_host());
        let is_possible = challenge.is_possible();
        let is_served = dashboard.served_hosts == ServedHosts::All;
        let sentence = match (claimed.state, claimed.proven, claimed.lost_at) {
            (HostState::Lost, _, Some(at)) => format!(
                "Another network proved this host ({}), so it is no longer yours.",
                frame.time(at).full
            ),
            (_, Some((at, Proof::Txt)), _) => format!(
                "Proven by a TXT record ({}). It stays proven when its records change.",
                frame.time(at).full
            ),
            (_, Some((at, Proof::Cname)), _) => format!(
                "Proven by a CNAME record ({}). It stays proven when its records change, unless another network creates \
                 its TXT record; your TXT record makes the proof final.",
                frame.time(at).full
            ),
            _ if !is_possible => "A host that is no DNS name cannot be proven.".to_owned(),
            (HostState::Contested, ..) => {
                "Another network has entered this host too. The first TXT record with the token of one of them decides."
                    .to_owned()
            }
            _ if is_served => {
                "Not proven. It works, but another network that proves the host takes it over.".to_owned()
            }
            _ => "Not proven. Clicks and postbacks of the host are refused until it is; links use the shared host."
                .to_owned(),
        };
        let is_checkable = is_possible && claimed.state != HostState::Lost;
        let is_final = claimed.proven.is_some_and(|(_, proof)| proof == Proof::Txt);
        let mut records = Vec::new();
        let mut results = Vec::new();
        if is_checkable {
            if !is_final {
                records.push(("TXT", challenge.txt_name.clone(), challenge.txt_value.clone()));
            }
            let target = challenge.cname_target.clone();
            if let Some(target) = target.filter(|_| claimed.state == HostState::Claimed) {
                records.push(("CNAME", challenge.name.clone(), target));
            }
            if let Some((_, answers)) = &claimed.checked {
                let found = [
                    challenge.txt(answers),
                    challenge.cname(answers),
                    challenge.addresses(answers),
                ];
                let sentences = challenge.sentences(answers);
                let found = found.map(|result| result == RecordResult::Match);
                results.extend(found.into_iter().zip(sentences));
            }
        }
        Self {
            badge: match claimed.state {
                HostState::Proven => ("ok", "proven"),
                HostState::Claimed => ("pending", "not proven"),
                HostState::Contested => ("pending", "contested"),
                HostState::Lost => ("rejected", "lost"),
            },
            sentence,
            records,
            checked_at: claimed
                .checked
                .filter(|_| is_checkable)
                .map(|(at, _)| frame.time(at)),
            results,
            is_checkable,
            host: claimed.host,
        }
    }
}
