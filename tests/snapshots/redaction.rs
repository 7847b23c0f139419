//! Replacement of what differs in every run: ids, secrets, addresses of the test server, times. Each pattern is the exact
//! shape of what it replaces, so a value of another shape stays in the snapshot and fails it.

use std::sync::LazyLock;

use regex::Regex;
use testkit::TestApp;

/// Crockford base32 in lower case.
const B: &str = "[0-9abcdefghjkmnpqrstvwxyz]";

/// Patterns with what they become, in order.
static SHAPES: LazyLock<Vec<(Regex, &'static str)>> = LazyLock::new(|| {
    [secrets(), ids(), times()]
        .concat()
        .into_iter()
        .map(|(pattern, name)| (Regex::new(&pattern).unwrap(), name))
        .collect()
});

type Shapes = Vec<(String, &'static str)>;

fn secrets() -> Shapes {
    vec![
        // Signed form tokens and API tokens.
        (
            r"\beyJ[0-9A-Za-z_-]{10,}\.[0-9A-Za-z_-]{10,}\.[0-9A-Za-z_-]{43,}".to_owned(),
            "[jwt]",
        ),
        (format!("clk_key_{B}{{40,}}"), "[api key]"),
        (
            format!("\"secret\": \"(?:{B}{{48}}|{B}{{32}})\""),
            r#""secret": "[secret]""#,
        ),
        // Token that proves a tracking host.
        (
            format!("clickledger-verify={B}{{32}}"),
            "clickledger-verify=[token]",
        ),
        // Tokens in links: 256 bits, with or without a network before them.
        (format!(r"\b(?:{B}{{52}}|{B}{{58}})\b"), "[one-time token]"),
        // Tokens in links that stop a mail: three ids and 128 bits.
        (
            format!(r"/report-mails/{B}{{45}}\b"),
            "/report-mails/[stop token]",
        ),
        // The last characters of a secret: in a cell, in JSON, and in JSON in CSV.
        (format!(r#"(<(?:code|td class="mono")>){B}{{4}}<"#), "$1[tail]<"),
        (format!(r#"((?:hint|ends_in)"+: ?"+){B}{{4}}""#), r#"$1[tail]""#),
        // Second factor: picture, secret, and its sealed form.
        (
            r"data:image/svg\+xml;base64,[0-9A-Za-z+/=]+".to_owned(),
            "[picture]",
        ),
        (r"(?:[A-Z2-7]{4} ){7}[A-Z2-7]{4}".to_owned(), "[secret]"),
        (
            format!(r#"(name="enrolment" value="){B}{{60,}}""#),
            r#"$1[sealed]""#,
        ),
    ]
}

fn ids() -> Shapes {
    let numbered =
        "net|prs|mbr|ses|inv|key|adv|aff|grp|app|int|cmp|goal|lnk|lp|cap|rule|tpl|view|rml|shr|rfl|dst";
    vec![
        (format!(r"\b0{B}{{43}}\b"), "[click]"),
        // 128 bits and 31 bits leave few characters for the first and the last place.
        (
            format!(r"\b(pb|cnv|led|aud|alr|clk|dlv|evt)_[0-7]{B}{{24}}[048cgmrw]\b"),
            "[$1]",
        ),
        (format!(r"\b({numbered})_[0-9a-f]{B}{{5}}[08gr]\b"), "[$1]"),
        (format!(r"\b(pb|cnv|led)_…{B}{{6}}\b"), "[$1 tail]"),
        (
            r"\b[\da-f]{8}-[\da-f]{4}-[47][\da-f]{3}-[89ab][\da-f]{3}-[\da-f]{12}\b".to_owned(),
            "[uuid]",
        ),
        // Positions of the feed of postbacks.
        (r"\b\d+\.[\da-f]{32}\b".to_owned(), "[position]"),
        (
            format!("\"request_id\": \"{B}{{16}}\""),
            r#""request_id": "[request]""#,
        ),
        ("/static/[0-9a-f]{12}/".to_owned(), "/static/[hash]/"),
    ]
}

fn times() -> Shapes {
    let day = r"\d{1,2} (?:Jan|Feb|Mar|Apr|May|Jun|Jul|Aug|Sep|Oct|Nov|Dec)";
    let (date, clock) = (r"20\d\d-[01]\d-[0-3]\d", r"[0-2]\d:[0-5]\d");
    let zone = "(?:UTC|CET|CEST)";
    let full = format!(r"{date} {clock}:[0-5]\d\.\d{{3}}");
    vec![
        (r"SIMULATED-\d{13}-".to_owned(), "SIMULATED-[time]-"),
        (format!("report_{date}_{date}_"), "report_[day]_[day]_"),
        (format!(r"report_{date}\."), "report_[day]."),
        (format!("{full} {zone} · {full} UTC"), "[full time]"),
        (
            format!(r"{date}T{clock}:[0-5]\d(?:\.\d+)?(?:Z|[+-]\d\d:\d\d)"),
            "[time]",
        ),
        (
            format!(r"{date} {clock}(?::[0-5]\d(?:\.\d+)?)?(?: {zone})?"),
            "[time]",
        ),
        (format!(r"\b{day}(?: 20\d\d)? {clock}(?: {zone})?"), "[time]"),
        (format!(r"\b{clock}:[0-5]\d(?: {zone})?\b"), "[time]"),
        (format!(r"\b{day}(?: 20\d\d)?\b"), "[day]"),
        (format!(r"\b{date}\b"), "[day]"),
        // Lists show a time of another year as its day.
        (r"(<time[^>]*>)\[day\]".to_owned(), "$1[time]"),
        // Measured periods.
        (r"\b\d+(?:\.\d+)? (?:µs|ms)\b".to_owned(), "[duration]"),
        (
            r"\b\d+(?:\.\d+)? (?:s|min) (before|ago|old|after)\b".to_owned(),
            "[duration] $1",
        ),
        (r"\bafter \d+(?:\.\d+)? s\b".to_owned(), "after [duration]"),
        (r#""took_us": \d+"#.to_owned(), r#""took_us": [duration]"#),
    ]
}

/// Values of one run by name, and the shapes of all others.
pub(crate) struct Redaction {
    values: Vec<(String, String)>,
}

impl Redaction {
    pub(crate) fn of(app: &TestApp) -> Self {
        let mut new = Self { values: Vec::new() };
        for (url, name) in [
            (&app.dashboard_url, "dashboard.test"),
            (&app.tracking_url, "tracking.test"),
        ] {
            let host = url.strip_prefix("http://").unwrap();
            new.add(host, name);
            new.add(&host.replace(':', "%3A"), name);
        }
        new.add(&app.scene.alias, "[alias]");
        new.add(&app.scene.token, "[token]");
        let tail = &app.scene.token[app.scene.token.len() - 4..];
        new.add(&format!("…{tail}"), "…[tail]");
        new.add(&format!("→ {tail}"), "→ [tail]");
        new
    }

    /// Replaces this value from now on.
    pub(crate) fn add(&mut self, value: &str, name: &str) {
        assert!(value.len() >= 4, "“{value}” could be part of any word");
        self.values.push((value.to_owned(), name.to_owned()));
    }

    pub(crate) fn apply(&self, text: &str) -> String {
        let mut text = text.to_owned();
        for (value, name) in &self.values {
            text = text.replace(value, name);
        }
        for (pattern, name) in SHAPES.iter() {
            text = pattern.replace_all(&text, *name).into_owned();
        }
        text
    }
}
