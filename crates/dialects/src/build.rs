//! Building the call that reports a conversion to a system: the inverse of parsing.

use data_encoding::BASE64;

use crate::dialect::{Auth, Endpoint, Kind, Money, Wire};
use crate::field::Field;
use crate::postback::{CustomerType, Intent};
use crate::rules::Rule;
use crate::wire::{self, Pairs, Written};
use crate::{Amount, Dialect, OutgoingCall, Postback, Wish, lines, time};

impl Dialect {
    /// Builds the call that reports a conversion to this system, at a URL that begins with `base_url`. `None` if the
    /// system receives no postbacks or cannot express the intent.
    ///
    /// Fields without a parameter in this dialect are left out; see [`Dialect::carries`].
    ///
    /// ```
    /// let postback = dialects::Postback { click_ids: vec!["c1".into()], ..Default::default() };
    /// let call = dialects::of_key("voluum").and_then(|voluum| voluum.build("https://v.example", &postback));
    /// assert_eq!(call.map(|call| call.url).as_deref(), Some("https://v.example/postback?cid=c1"));
    /// ```
    #[must_use]
    pub fn build(&self, base_url: &str, postback: &Postback) -> Option<OutgoingCall> {
        let endpoint = self.endpoint_for(postback)?;
        let mut pairs = fixed(endpoint);
        for (name, field) in self.sent(endpoint.wire) {
            if let Some(value) = self.written(field, postback) {
                pairs.push((name.to_owned(), value));
            }
        }
        let items = lines::write(self, postback, &mut pairs);
        self.write_rest(postback, endpoint.wire, &mut pairs);
        let base = base_url.trim_end_matches('/');
        let (authorization, api_key) = self.headers(postback);
        let mut call = OutgoingCall {
            method: "GET",
            url: format!("{base}{}", path_of(endpoint, postback)),
            content_type: None,
            authorization,
            api_key,
            body: String::new(),
        };
        match endpoint.wire {
            Wire::Query => wire::append_query(&mut call.url, &pairs),
            Wire::Path => wire::append_path(&mut call.url, &pairs, &items),
            Wire::Form => {
                call.method = "POST";
                call.content_type = Some("application/x-www-form-urlencoded");
                call.body = wire::query(&pairs);
            }
            Wire::Json => {
                call.method = "POST";
                call.content_type = Some("application/json");
                call.body = wire::object(pairs);
            }
        }
        Some(call)
    }

    /// Parameters to send in order, each under its first name, if this wire has a place for it.
    fn sent(&self, wire: Wire) -> impl Iterator<Item = (&'static str, Field)> {
        let path = matches!(wire, Wire::Path);
        self.parameters.iter().filter_map(move |parameter| {
            let name = parameter.names.first()?;
            let nested = name.contains('.') && wire != Wire::Json;
            // In a path, amount and goal are parts of the items.
            let in_items = path && matches!(parameter.field, Field::Amount | Field::Goal);
            (!nested && !in_items && !name.ends_with("[]")).then_some((*name, parameter.field))
        })
    }

    /// Endpoint for the intent, and for the goal if the paths name goals.
    fn endpoint_for(&self, postback: &Postback) -> Option<&'static Endpoint> {
        let by_parameter = match postback.intent {
            Intent::Report => true,
            Intent::Refund => self.has(Field::Refund),
            Intent::Update | Intent::Upsert => self.has(Field::Action) || self.reverses(postback),
        };
        let fitness = |endpoint: &&Endpoint| {
            let goal = endpoint.goal?;
            let lead = matches!(goal, "lead" | "signup");
            Some((
                postback.goal.as_deref() == Some(goal),
                lead == postback.amount.is_none(),
            ))
        };
        let fits = |endpoint: &&Endpoint| {
            let exact = endpoint.intent == postback.intent;
            !endpoint.pixel && (exact || (endpoint.intent == Intent::Report && by_parameter))
        };
        let fitting = self.endpoints.iter().filter(fits);
        // `max_by_key` returns the last of equals; reversed, that is the first.
        fitting.rev().max_by_key(fitness)
    }

    fn written(&self, field: Field, postback: &Postback) -> Option<Written> {
        if let Some(text) = postback.text(field) {
            return Some(Written::Text(text.to_owned()));
        }
        let text = match field {
            Field::ClickId => return self.clicks(postback),
            Field::ClickList => return click_list(postback),
            Field::Status => self.status(postback)?.to_owned(),
            Field::Amount if postback.intent == Intent::Refund && self.has(Field::Refund) => return None,
            Field::Refund => return self.refund(postback),
            Field::Commission if self.percent_only(postback) => {
                return Some(self.money(Amount { micros: 0 }, postback));
            }
            Field::CommissionPercent => percent(postback.commission_rate_ppm?)?,
            Field::CustomerType => match postback.customer_type? {
                CustomerType::New => self.customer_types.0.to_owned(),
                CustomerType::Existing => self.customer_types.1.to_owned(),
            },
            Field::EventTime => time::write(postback.event_time?, self.time),
            Field::Test if postback.is_test => "1".to_owned(),
            Field::Pixel if postback.wish == Wish::Pixel && self.kind == Kind::Own => "1".to_owned(),
            Field::Return => match &postback.wish {
                Wish::Text(text) => text.clone(),
                _ => return None,
            },
            Field::Action => match postback.intent {
                Intent::Update => "update".to_owned(),
                Intent::Upsert => "upsert".to_owned(),
                Intent::Report | Intent::Refund => return None,
            },
            Field::SubList => return subs(postback),
            Field::Groups => lines::groups(postback)?,
            Field::Packed => packed(postback)?,
            _ => return Some(self.money(postback.money(field)?, postback)),
        };
        Some(Written::Text(text))
    }

    pub(crate) fn has(&self, field: Field) -> bool {
        self.parameters.iter().any(|parameter| parameter.field == field)
    }

    /// True if any status of the dialect reverses a conversion and the postback has one.
    fn reverses(&self, postback: &Postback) -> bool {
        postback.status.is_some() && self.rules.contains(&Rule::StatusReverses)
    }

    fn percent_only(&self, postback: &Postback) -> bool {
        let shared = self.has(Field::CommissionPercent) && self.rules.contains(&Rule::PercentWithoutFixed);
        shared && postback.commission.is_none() && postback.commission_rate_ppm.is_some()
    }

    fn clicks(&self, postback: &Postback) -> Option<Written> {
        let first = postback.click_ids.first()?;
        let joined = || postback.click_ids.join(",");
        let several = !self.repeatable.is_empty();
        Some(Written::Text(if several { joined() } else { first.clone() }))
    }

    /// Word for the state, if the postback has no status as sent.
    fn status(&self, postback: &Postback) -> Option<&'static str> {
        let state = postback.state?;
        self.states
            .iter()
            .find_map(|(word, known)| (*known == state).then_some(*word))
    }

    fn refund(&self, postback: &Postback) -> Option<Written> {
        match (postback.intent, postback.amount) {
            (Intent::Refund, Some(amount)) => Some(self.money(amount, postback)),
            (Intent::Refund, None) => Some(Written::Text("all".to_owned())),
            _ => None,
        }
    }

    /// Amount as this system writes it. In minor units it is rounded down.
    pub(crate) fn money(&self, amount: Amount, postback: &Postback) -> Written {
        match self.money {
            Money::Minor => Written::Raw(amount.to_minor(postback.currency.as_deref())),
            Money::Hundredths => Written::Raw(amount.to_hundredths(postback.currency.as_deref())),
            Money::Quoted => Written::Text(amount.to_string()),
            Money::Major | Money::Comma => Written::Raw(amount.to_string()),
        }
    }

    /// Parameters without a field, unless they would be parsed as one.
    fn write_rest(&self, postback: &Postback, wire: Wire, pairs: &mut Pairs) {
        let packs = self.has(Field::Packed);
        for (name, value) in &postback.extra {
            let written = self.meaning(name) != Field::Extra || pairs.iter().any(|(taken, _)| taken == name);
            // In a path a bracket would open an item.
            let bracket = wire == Wire::Path && name.starts_with('[');
            let packed = packs && can_pack(name, value);
            if !written && !packed && !bracket {
                pairs.push((name.clone(), Written::Text(value.clone())));
            }
        }
    }

    fn headers(&self, postback: &Postback) -> (Option<String>, Option<String>) {
        let Some(token) = postback.token.as_deref().filter(|_| !self.has(Field::Token)) else {
            return (None, None);
        };
        match self.auth.first() {
            Some(Auth::Bearer) => (Some(format!("Bearer {token}")), None),
            Some(Auth::Basic) => {
                // A token alone is the password.
                let colon = if token.contains(':') { "" } else { ":" };
                let pair = format!("{colon}{token}");
                (Some(format!("Basic {}", BASE64.encode(pair.as_bytes()))), None)
            }
            Some(Auth::ApiKey) => (None, Some(token.to_owned())),
            None => (None, None),
        }
    }
}

/// Parameters with a fixed value; the first of those with the same name.
fn fixed(endpoint: &Endpoint) -> Pairs {
    let mut pairs = Pairs::new();
    for (name, value) in endpoint.fixed {
        if !pairs.iter().any(|(taken, _)| taken == name) {
            pairs.push(((*name).to_owned(), Written::Text((*value).to_owned())));
        }
    }
    pairs
}

/// Path with its wildcards filled in. The wildcard of `/*/postback` is part of the base URL; any other is the account,
/// the first half of a pair of keys.
fn path_of(endpoint: &Endpoint, postback: &Postback) -> String {
    let fixed = endpoint.path.strip_suffix("/**").unwrap_or(endpoint.path);
    let account = || {
        postback
            .token
            .as_deref()?
            .split_once(':')
            .map(|(account, _)| wire::encoded(account))
    };
    match fixed.strip_prefix("/*") {
        Some(rest) => rest.to_owned(),
        None if fixed.contains('*') => fixed.replace('*', &account().unwrap_or_else(|| "account".to_owned())),
        None => fixed.to_owned(),
    }
}

fn percent(ppm: u32) -> Option<String> {
    Amount::from_micros(i64::from(ppm).checked_mul(100)?).map(|percent| percent.to_string())
}

fn subs(postback: &Postback) -> Option<Written> {
    let last = postback.subs.iter().rposition(Option::is_some)?;
    let texts = postback.subs.iter().take(last + 1);
    let list: Vec<&str> = texts.map(|sub| sub.as_deref().unwrap_or_default()).collect();
    Some(Written::Raw(serde_json::json!(list).to_string()))
}

fn click_list(postback: &Postback) -> Option<Written> {
    let named = |id: &String| serde_json::json!({"name": "s2s", "value": id});
    let list: Vec<_> = postback.click_ids.iter().map(named).collect();
    (!list.is_empty()).then(|| Written::Raw(serde_json::Value::from(list).to_string()))
}

fn can_pack(name: &str, value: &str) -> bool {
    !name.is_empty() && !name.contains([';', '=']) && !value.contains(';')
}

fn packed(postback: &Postback) -> Option<String> {
    let pairs = postback
        .extra
        .iter()
        .filter(|(name, value)| can_pack(name, value));
    let packed: Vec<String> = pairs.map(|(name, value)| format!("{name}={value}")).collect();
    (!packed.is_empty()).then(|| packed.join(";"))
}
