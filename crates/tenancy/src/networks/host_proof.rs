//! Rule of the proof of tracking hosts: the DNS records that prove one, and the network that holds it then. No I/O.

use std::collections::BTreeSet;
use std::net::IpAddr;

use schema::{NetworkId, text_enum};
use serde::{Deserialize, Serialize};

/// Label in front of a host, under which its TXT record is.
const TXT_LABEL: &str = "_clickledger";
/// Start of the value of the TXT record, before the token.
const TXT_START: &str = "clickledger-verify=";

text_enum! {
    /// Record that proved a host.
    pub enum Proof {
        /// TXT record with the token of the network. Final.
        Txt = "txt",
        /// CNAME record that points to this installation. It names no network, so it gives way to a TXT record.
        Cname = "cname",
    }
}

text_enum! {
    /// Result of the check of one kind of record.
    pub enum RecordResult {
        /// The value that is needed.
        Match = "match",
        /// Another value.
        Different = "different",
        /// No such record.
        Missing = "missing",
        /// No answer of the DNS server in time.
        Silent = "silent",
        /// An error of the DNS server.
        Failed = "failed",
        /// Nothing to compare with, because the installation has no such record.
        Unknown = "unknown",
    }
}

/// Answer of DNS about one kind of record.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum Answer {
    /// Values of the records.
    Records(Vec<String>),
    /// No such record.
    Missing,
    /// No answer in time.
    Silent,
    /// Error of the server, or of the way to it.
    Failed(String),
}

impl Answer {
    /// Compares the records; `matches` gets the values, at least one.
    fn result(&self, matches: impl FnOnce(&[String]) -> bool) -> RecordResult {
        match self {
            Self::Records(values) if matches(values) => RecordResult::Match,
            Self::Records(_) => RecordResult::Different,
            Self::Missing => RecordResult::Missing,
            Self::Silent => RecordResult::Silent,
            Self::Failed(_) => RecordResult::Failed,
        }
    }

    /// Values of the records; empty without any.
    #[must_use]
    pub fn values(&self) -> &[String] {
        match self {
            Self::Records(values) => values,
            _ => &[],
        }
    }
}

/// Answers of DNS to a check.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Answers {
    /// TXT records under [`Challenge::txt_name`].
    pub txt: Answer,
    /// CNAME record of the host.
    pub cname: Answer,
    /// IP addresses of the host.
    pub addresses: Answer,
    /// IP addresses of the installation's own tracking host.
    pub own_addresses: Answer,
}

/// Records that prove a host; either of them does.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Challenge {
    /// DNS name of the host, without a port.
    pub name: String,
    /// Name of the TXT record.
    pub txt_name: String,
    /// Value of the TXT record.
    pub txt_value: String,
    /// Target of the CNAME record: the installation's own tracking host. `None` if that has no DNS name.
    pub cname_target: Option<String>,
}

impl Challenge {
    /// Records for a claimed host and its token. `own_host` is the installation's own tracking host.
    #[must_use]
    pub fn new(host: &str, token: &str, own_host: &str) -> Self {
        let (name, own_name) = (name_of(host), name_of(own_host));
        Self {
            txt_name: format!("{TXT_LABEL}.{name}"),
            txt_value: format!("{TXT_START}{token}"),
            cname_target: is_dns_name(own_name).then(|| own_name.to_owned()),
            name: name.to_owned(),
        }
    }

    /// True if records can prove the host: an IP address, or a name without a dot, has none.
    #[must_use]
    pub fn is_possible(&self) -> bool {
        is_dns_name(&self.name)
    }

    /// Result for the TXT record.
    #[must_use]
    pub fn txt(&self, answers: &Answers) -> RecordResult {
        answers
            .txt
            .result(|values| values.iter().any(|value| value.trim() == self.txt_value))
    }

    /// Result for the CNAME record.
    #[must_use]
    pub fn cname(&self, answers: &Answers) -> RecordResult {
        match &self.cname_target {
            Some(target) => answers
                .cname
                .result(|values| values.iter().all(|value| value == target)),
            None => RecordResult::Unknown,
        }
    }

    /// Result for the IP addresses, which prove nothing: a proxy or CDN hides them.
    #[must_use]
    pub fn addresses(&self, answers: &Answers) -> RecordResult {
        let own: BTreeSet<_> = answers.own_addresses.values().iter().collect();
        if own.is_empty() {
            return RecordResult::Unknown;
        }
        answers
            .addresses
            .result(|values| values.iter().any(|value| own.contains(value)))
    }

    /// Proof in the answers, the stronger one first.
    #[must_use]
    pub fn proof(&self, answers: &Answers) -> Option<Proof> {
        if self.txt(answers) == RecordResult::Match {
            Some(Proof::Txt)
        } else if self.cname(answers) == RecordResult::Match {
            Some(Proof::Cname)
        } else {
            None
        }
    }

    /// Results in words: TXT, CNAME, addresses.
    #[must_use]
    pub fn sentences(&self, answers: &Answers) -> [String; 3] {
        let Self { name, txt_name, .. } = self;
        let txt = match self.txt(answers) {
            RecordResult::Match => format!("The TXT record of {txt_name} has the token of this network."),
            RecordResult::Different => format!(
                "The TXT record of {txt_name} has another value: {}.",
                quoted(&answers.txt)
            ),
            other => no_record("TXT", txt_name, other, &answers.txt),
        };
        let target = self.cname_target.as_deref().unwrap_or_default();
        let cname = match self.cname(answers) {
            RecordResult::Match => format!("The CNAME record of {name} points to {target}."),
            RecordResult::Different => format!(
                "The CNAME record of {name} points elsewhere: to {} instead of {target}.",
                answers.cname.values().join(", ")
            ),
            RecordResult::Unknown => {
                "A CNAME record proves nothing here, because this installation has no tracking host with a DNS name."
                    .to_owned()
            }
            other => no_record("CNAME", name, other, &answers.cname),
        };
        let addresses = match self.addresses(answers) {
            RecordResult::Match => format!("{name} points here: it has an IP address of this installation."),
            RecordResult::Different => format!(
                "{name} points elsewhere ({}), which is usual behind a proxy or CDN.",
                answers.addresses.values().join(", ")
            ),
            RecordResult::Unknown => {
                "The IP addresses of this installation are unknown, so those of the host are not compared."
                    .to_owned()
            }
            other => no_record("A or AAAA", name, other, &answers.addresses),
        };
        [txt, cname, addresses]
    }
}

fn no_record(kind: &str, name: &str, result: RecordResult, answer: &Answer) -> String {
    match (result, answer) {
        (RecordResult::Silent, _) => {
            format!("The DNS server did not answer in time about the {kind} record of {name}.")
        }
        (_, Answer::Failed(reason)) => {
            format!("The DNS server could not answer about the {kind} record of {name}: {reason}.")
        }
        _ => format!("{name} has no {kind} record."),
    }
}

fn quoted(answer: &Answer) -> String {
    let values = answer.values().iter().map(|value| format!("“{value}”"));
    values.collect::<Vec<_>>().join(", ")
}

fn is_dns_name(name: &str) -> bool {
    name.contains('.') && name.parse::<IpAddr>().is_err()
}

/// DNS name of a host, without its port.
#[must_use]
pub fn name_of(host: &str) -> &str {
    let name = host.rsplit_once(':').map_or(host, |(name, _)| name);
    name.trim_matches(['[', ']'])
}

/// Network that holds a host, and its proof.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) struct Holder {
    /// Network.
    pub(super) network_id: NetworkId,
    /// Proof; `None` for a mere claim.
    pub(super) proof: Option<Proof>,
    /// True if another network has claimed the host too.
    pub(super) is_contested: bool,
}

/// Effect of a check on a host.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Effect {
    /// None.
    Unchanged,
    /// The network, which holds the host, has proven it.
    Proven(Proof),
    /// The network has proven a host that this other network holds, and takes it over.
    TakenOver(NetworkId),
    /// Another network has proven the host for good: the claim ends.
    Lost,
}

/// Effect of the proof that a network has found, by the network that holds the host.
///
/// A CNAME record names no network. So it proves a host only to the one network that has claimed it; where two have, only
/// the TXT record with the token of one of them decides.
pub(super) fn effect(network_id: NetworkId, holder: Holder, found: Option<Proof>) -> Effect {
    if holder.network_id != network_id {
        return match (holder.proof, found) {
            (Some(Proof::Txt), _) => Effect::Lost,
            (_, Some(Proof::Txt)) => Effect::TakenOver(holder.network_id),
            _ => Effect::Unchanged,
        };
    }
    match (holder.proof, found) {
        (Some(Proof::Cname) | None, Some(Proof::Txt)) => Effect::Proven(Proof::Txt),
        (None, Some(Proof::Cname)) if !holder.is_contested => Effect::Proven(Proof::Cname),
        _ => Effect::Unchanged,
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const OWN: &str = "trk.example.com:8443";

    fn challenge() -> Challenge {
        Challenge::new("go.nova.example:8443", "token", OWN)
    }

    fn records(values: &[&str]) -> Answer {
        Answer::Records(values.iter().map(|value| (*value).to_owned()).collect())
    }

    fn answers(txt: Answer, cname: Answer) -> Answers {
        Answers {
            txt,
            cname,
            addresses: Answer::Missing,
            own_addresses: records(&["192.0.2.1", "2001:db8::1"]),
        }
    }

    #[test]
    fn records_are_named_without_the_port() {
        let challenge = challenge();
        assert_eq!(challenge.txt_name, "_clickledger.go.nova.example");
        assert_eq!(challenge.txt_value, "clickledger-verify=token");
        assert_eq!(challenge.cname_target.as_deref(), Some("trk.example.com"));
        assert!(challenge.is_possible());
        for own in ["127.0.0.1:8081", "localhost:8081", "[::1]:80", "::1"] {
            assert_eq!(
                Challenge::new("go.nova.example", "t", own).cname_target,
                None,
                "{own}"
            );
            assert!(!Challenge::new(own, "t", OWN).is_possible(), "{own}");
        }
    }

    #[test]
    fn either_record_proves_a_host_and_the_token_comes_first() {
        let right = records(&["v=spf1 -all", " clickledger-verify=token "]);
        let there = records(&["trk.example.com"]);
        for (txt, cname, proof) in [
            (right.clone(), Answer::Missing, Some(Proof::Txt)),
            (right, there.clone(), Some(Proof::Txt)),
            (Answer::Silent, there.clone(), Some(Proof::Cname)),
            (records(&["clickledger-verify=other"]), there, Some(Proof::Cname)),
            (
                records(&["clickledger-verify=token2"]),
                records(&["xtrk.example.com"]),
                None,
            ),
            (records(&["token"]), Answer::Missing, None),
            (Answer::Silent, Answer::Failed("SERVFAIL".to_owned()), None),
        ] {
            let answers = answers(txt, cname);
            assert_eq!(challenge().proof(&answers), proof, "{answers:?}");
        }
    }

    #[test]
    fn an_installation_without_a_dns_name_takes_no_cname() {
        let challenge = Challenge::new("go.nova.example", "token", "127.0.0.1:8081");
        let answers = answers(Answer::Missing, records(&["127.0.0.1"]));
        assert_eq!(challenge.proof(&answers), None);
        assert_eq!(challenge.cname(&answers), RecordResult::Unknown);
    }

    #[test]
    fn addresses_are_compared_with_those_of_the_installation() {
        let with = |addresses: &[&str], own: &[&str]| {
            let answers = Answers {
                addresses: records(addresses),
                own_addresses: records(own),
                ..answers(Answer::Missing, Answer::Missing)
            };
            challenge().addresses(&answers)
        };
        assert_eq!(
            with(&["192.0.2.1"], &["192.0.2.1", "192.0.2.2"]),
            RecordResult::Match
        );
        assert_eq!(with(&["198.51.100.7"], &["192.0.2.1"]), RecordResult::Different);
        assert_eq!(with(&["198.51.100.7"], &[]), RecordResult::Unknown);
    }

    #[test]
    fn every_result_has_its_sentence() {
        let check = |txt: Answer, cname: Answer| {
            let [txt, cname, _] = challenge().sentences(&answers(txt, cname));
            (txt, cname)
        };
        let (txt, cname) = check(records(&["a", "b"]), records(&["cdn.example"]));
        assert_eq!(
            txt,
            "The TXT record of _clickledger.go.nova.example has another value: “a”, “b”."
        );
        assert_eq!(
            cname,
            "The CNAME record of go.nova.example points elsewhere: to cdn.example instead of trk.example.com."
        );
        let (txt, cname) = check(Answer::Silent, Answer::Failed("SERVFAIL".to_owned()));
        assert_eq!(
            txt,
            "The DNS server did not answer in time about the TXT record of _clickledger.go.nova.example."
        );
        assert_eq!(
            cname,
            "The DNS server could not answer about the CNAME record of go.nova.example: SERVFAIL."
        );
        let (txt, cname) = check(Answer::Missing, Answer::Missing);
        assert_eq!(txt, "_clickledger.go.nova.example has no TXT record.");
        assert_eq!(cname, "go.nova.example has no CNAME record.");
    }

    #[test]
    fn a_token_beats_claims_and_cnames_and_is_final() {
        use Effect::{Lost, Proven, TakenOver, Unchanged};
        const ME: NetworkId = NetworkId(1);
        const OTHER: NetworkId = NetworkId(2);
        let (txt, cname) = (Some(Proof::Txt), Some(Proof::Cname));
        for (network_id, proof, is_contested, found, expected) in [
            (ME, None, false, None, Unchanged),
            (ME, None, false, txt, Proven(Proof::Txt)),
            (ME, None, true, txt, Proven(Proof::Txt)),
            (ME, None, false, cname, Proven(Proof::Cname)),
            (ME, None, true, cname, Unchanged),
            (ME, cname, true, txt, Proven(Proof::Txt)),
            (ME, cname, false, cname, Unchanged),
            (ME, cname, false, None, Unchanged),
            (ME, txt, false, None, Unchanged),
            (ME, txt, false, cname, Unchanged),
            (OTHER, None, true, None, Unchanged),
            (OTHER, None, true, cname, Unchanged),
            (OTHER, None, true, txt, TakenOver(OTHER)),
            (OTHER, cname, true, cname, Unchanged),
            (OTHER, cname, true, txt, TakenOver(OTHER)),
            (OTHER, txt, true, txt, Lost),
            (OTHER, txt, true, None, Lost),
        ] {
            let holder = Holder {
                network_id,
                proof,
                is_contested,
            };
            assert_eq!(effect(ME, holder, found), expected, "{holder:?} {found:?}");
        }
    }
}
