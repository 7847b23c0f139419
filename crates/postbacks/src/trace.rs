//! The trace of a decision: the checks from a postback to its verdict, in order, with their results.

use data_encoding::BASE64_NOPAD;
use serde::{Deserialize, Serialize};
use tenancy::{Actor, Permission};

/// Result of a check.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
pub enum CheckResult {
    /// Passed.
    #[serde(rename = "+")]
    Passed,
    /// Failed, but the integration only monitors.
    #[serde(rename = "!")]
    Tolerated,
    /// Recorded; it decides nothing.
    #[serde(rename = "~")]
    Noted,
}

/// Checks that show commissions.
const ABOUT_COMMISSION: [&str; 5] = ["terms", "money", "margin", "tier", "cap"];
/// Checks for users of the network only.
const OF_THE_NETWORK: [&str; 2] = ["paused", "review"];

/// Check of values that are not used.
const UNUSED: &str = "unused";

/// Check of a decision: its name, its result, and the result in words with the values checked.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Step(pub String, pub CheckResult, pub String);

/// Texts that traces have in common. Stored traces refer to its bytes: it must never change; another one gets another
/// number.
const DICTIONARY: &[u8] = include_bytes!("trace/dictionary_1.txt");
/// Number of the dictionary, the first character of a stored trace.
const DICTIONARY_NUMBER: char = '1';
/// Maximum length of a trace in JSON, in bytes. Its words contain values of a postback, which are limited.
const MAX_JSON: usize = 1024 * 1024;

/// Checks of one decision, in JSON an array of `[check, result, words]`.
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(transparent)]
pub struct Trace(Vec<Step>);

impl Step {
    /// True if an actor who may see the postback may see this check: commissions need a permission, and the checks of the
    /// network need a role in the whole network.
    #[must_use]
    pub fn is_for(&self, actor: &Actor) -> bool {
        let is = |steps: &[&str]| steps.contains(&self.0.as_str());
        (!is(&ABOUT_COMMISSION) || actor.may(Permission::SeeCommission))
            && (!is(&OF_THE_NETWORK) || actor.scope().is_staff())
    }
}

impl Trace {
    pub(crate) fn pass(&mut self, check: &str, words: impl Into<String>) {
        self.add(check, CheckResult::Passed, words);
    }

    pub(crate) fn note(&mut self, check: &str, words: impl Into<String>) {
        self.add(check, CheckResult::Noted, words);
    }

    /// Notes a value that was understood and is not used, with the reason; the sender reads it in the answer.
    pub(crate) fn unused(&mut self, name: &str, words: impl Into<String>) {
        self.add(UNUSED, CheckResult::Noted, format!("{name}: {}", words.into()));
    }

    /// Values that were understood and are not used, each with the reason.
    pub(crate) fn unused_values(&self) -> Vec<String> {
        let unused = self.0.iter().filter(|Step(check, ..)| check == UNUSED);
        unused.map(|Step(_, _, words)| words.clone()).collect()
    }

    pub(crate) fn add(&mut self, check: &str, result: CheckResult, words: impl Into<String>) {
        self.0.push(Step(check.to_owned(), result, words.into()));
    }

    /// Checks, in order.
    #[must_use]
    pub fn steps(&self) -> &[Step] {
        &self.0
    }

    /// Text to store: the number of the dictionary, and in base64 the JSON as an LZ4 block compressed with it. A trace of 470
    /// bytes takes 160.
    #[must_use]
    pub fn to_text(&self) -> String {
        #[expect(clippy::expect_used, reason = "strings always serialize")]
        let json = serde_json::to_vec(self).expect("strings serialize");
        let block = lz4_flex::block::compress_prepend_size_with_dict(&json, DICTIONARY);
        let mut text = String::from(DICTIONARY_NUMBER);
        BASE64_NOPAD.encode_append(&block, &mut text);
        text
    }

    /// Trace of a stored text, also of plain JSON, as releases before 2026-12-01 stored it; `None` if it is none.
    #[must_use]
    pub fn from_text(text: &str) -> Option<Self> {
        let Some(block) = text.strip_prefix(DICTIONARY_NUMBER) else {
            return serde_json::from_str(text).ok();
        };
        let block = BASE64_NOPAD.decode(block.as_bytes()).ok()?;
        let (length, block) = lz4_flex::block::uncompressed_size(&block).ok()?;
        if length > MAX_JSON {
            return None;
        }
        let json = lz4_flex::block::decompress_with_dict(block, length, DICTIONARY).ok()?;
        serde_json::from_slice(&json).ok()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn usual() -> Trace {
        let mut trace = Trace::default();
        trace.pass("dialect", "Clickledger");
        trace.add("token", CheckResult::Tolerated, "no token");
        trace.pass(
            "click",
            "genuine, 27 days old, through link lnk_9wnr88r of aff_6jhqk30",
        );
        trace.note("amount", "none was sent; the goal's default is used");
        trace
    }

    #[test]
    fn a_trace_reads_back() {
        let text = usual().to_text();
        assert_eq!(Trace::from_text(&text), Some(usual()));
        let json = serde_json::to_string(&usual()).unwrap();
        assert!(text.len() * 2 < json.len(), "{} of {}", text.len(), json.len());
        assert_eq!(Trace::from_text(&json), Some(usual()));
        for long in ["", "\u{7f}ö", &"x\n".repeat(40_000)] {
            let mut trace = Trace::default();
            trace.pass("goal", long);
            assert_eq!(Trace::from_text(&trace.to_text()), Some(trace));
        }
    }

    #[test]
    fn a_damaged_trace_is_none() {
        let text = usual().to_text();
        for end in 0..text.len() {
            assert_eq!(Trace::from_text(&text[..end]), None, "first {end} characters");
        }
        let huge = BASE64_NOPAD.encode(&[0xff, 0xff, 0xff, 0xff, 0]);
        assert_eq!(Trace::from_text(&format!("{DICTIONARY_NUMBER}{huge}")), None);
        assert_eq!(Trace::from_text("nonsense"), None);
    }

    /// Traces in databases refer to the bytes of the dictionary.
    #[test]
    fn the_dictionary_never_changes() {
        use sha2::{Digest as _, Sha256};
        let digest = data_encoding::HEXLOWER.encode(&Sha256::digest(DICTIONARY));
        assert_eq!(
            digest,
            "585bc5cd5fd1be18033c6b5bbdc15bf158a0f04c1fa873bf541142b580274630"
        );
    }
}
