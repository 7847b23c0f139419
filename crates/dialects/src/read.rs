//! Parsing collected parameters into a postback: the second of the two steps of parsing.

use std::borrow::Cow;

use data_encoding::BASE64;

use crate::amount::AmountProblem;
use crate::basket::{Draft, within};
use crate::collect::{PARAMETER_LIMIT, Pair, Sent, collect_pairs, pairs};
use crate::dialect::{Auth, Dialect, Endpoint, Kind};
use crate::field::Field;
use crate::placeholder::{is_placeholder, is_wrapped_id};
use crate::postback::{CLICK_LIMIT, Intent, State};
use crate::values::{Money, amount_problem, clicks, customer_type, flag, intent, listed_clicks, scheme};
use crate::{Amount, Postback, Problem, RawCall, Wish, json, recognise, rules, time};

/// Maximum length of a click id, goal, order id, currency or token, in bytes.
const FIELD_LIMIT: usize = 256;
/// Maximum length of any other value, in bytes.
const EXTRA_LIMIT: usize = 2048;

impl Dialect {
    /// Parses a call. Fields are also read beside a problem, so that a rejected postback still shows its advertiser and
    /// click. The problem is the first in reading order; a call with one must not be acted on.
    #[must_use]
    pub fn parse(&self, call: &RawCall<'_>) -> (Postback, Option<Problem>) {
        self.parse_pairs(call, pairs(call))
    }

    /// Parses a call whose query and body are already decoded.
    pub(crate) fn parse_pairs(&self, call: &RawCall<'_>, pairs: Vec<Pair>) -> (Postback, Option<Problem>) {
        let collected = collect_pairs(self, call.path(), pairs);
        let endpoint = recognise::endpoint(self, call.path());
        let mut reading = Reading {
            dialect: self,
            endpoint,
            postback: Postback::default(),
            draft: Draft::default(),
            refunds: false,
            problem: collected.problem,
        };
        reading.take_all(&collected.sent);
        reading.take_headers(call);
        reading.check_required(&collected.sent);
        reading.finish(call.method)
    }
}

/// A call that is being parsed.
struct Reading<'d> {
    dialect: &'d Dialect,
    endpoint: Option<&'d Endpoint>,
    postback: Postback,
    draft: Draft,
    /// True if the call is a refund: the refunded amount counts, not the amount of the order.
    refunds: bool,
    problem: Option<(usize, Problem)>,
}

impl Reading<'_> {
    fn take_all(&mut self, sent: &[Sent]) {
        let winners = self.winners(sent);
        let refund = |one: &Sent| !one.value.is_empty() && self.winning(&winners, one) == Some(Field::Refund);
        self.refunds = sent.iter().any(refund);
        let currency = sent.iter().find_map(|one| match self.winning(&winners, one) {
            Some(Field::Currency) => Some(one.value.trim().to_ascii_uppercase()),
            _ => None,
        });
        self.postback.is_in_hundredths = currency.is_none() && self.dialect.counts_coins();
        let money = Money::of(self.dialect, currency.as_deref());
        for one in sent {
            let taken = match (one.claim, self.winning(&winners, one)) {
                (Some(claim), _) => {
                    let pair = (one.name.as_str(), one.value.as_str());
                    let mut other = Vec::new();
                    let taken = self
                        .draft
                        .take(&self.dialect.basket, claim, pair, &money, &mut other);
                    taken.and(
                        other
                            .into_iter()
                            .try_for_each(|(name, value)| self.keep(&name, &value)),
                    )
                }
                (None, Some(field)) => self.set(field, &one.name, &one.value, &money),
                (None, None) => match self.dialect.meaning(&one.name) {
                    field @ (Field::Personal | Field::Token | Field::Goal) => {
                        self.set(field, &one.name, &one.value, &money)
                    }
                    _ => self.keep(&one.name, &one.value),
                },
            };
            if let Err(problem) = taken {
                self.note(one.at, problem);
            }
        }
        self.postback.is_rounded = money.has_rounded();
    }

    /// For each parameter of the dialect, rank and position of the name that counts: the first in the dialect's order
    /// that was not sent empty.
    fn winners(&self, sent: &[Sent]) -> Vec<Option<(usize, usize)>> {
        let mut winners = vec![None; self.dialect.parameters.len()];
        for one in sent
            .iter()
            .filter(|one| one.claim.is_none() && !one.value.is_empty())
        {
            let Some((place, rank)) = one.place else {
                continue;
            };
            if let Some(winner) = winners.get_mut(place)
                && winner.is_none_or(|(best, _)| rank < best)
            {
                *winner = Some((rank, one.at));
            }
        }
        winners
    }

    /// Field of a parameter, unless the dialect has no such parameter or another name of the same parameter wins.
    fn winning(&self, winners: &[Option<(usize, usize)>], one: &Sent) -> Option<Field> {
        let (place, rank) = one.place?;
        let wins = winners.get(place)?.is_none_or(|(best, _)| best == rank);
        self.dialect.field_at(one.place).filter(|_| wins)
    }

    fn note(&mut self, at: usize, problem: Problem) {
        if self.problem.as_ref().is_none_or(|(first, _)| at < *first) {
            self.problem = Some((at, problem));
        }
    }

    fn set(&mut self, field: Field, name: &str, value: &str, money: &Money<'_>) -> Result<(), Problem> {
        let is_plain = field == Field::ClickId
            || field == Field::CommissionPercent
            || field.is_money()
            || self.postback.text_mut(field).is_some();
        // Spaces and line breaks around a plain value come from templates and files.
        let value = if is_plain { value.trim() } else { value };
        if value.is_empty() {
            self.postback.is_click_empty |= field == Field::ClickId;
            return Ok(());
        }
        within(limit_of(field), name, value)?;
        // `NaN` is reported as an invalid number, which is more specific than a placeholder.
        let not_a_number = field.is_money() && value == "NaN";
        if field.must_be_real() && is_placeholder(value) && !not_a_number {
            return Err(unreplaced(field, name, value));
        }
        if field.is_money() {
            return self.set_money(field, name, value, money);
        }
        if let Some(text) = self.postback.text_mut(field) {
            *text = Some(match field {
                Field::Currency => value.to_ascii_uppercase(),
                // A list in JSON, of which the first decides.
                Field::Coupon if value.starts_with('[') => {
                    let codes = json::texts(value, CLICK_LIMIT).unwrap_or_default();
                    codes.into_iter().next().unwrap_or_else(|| value.to_owned())
                }
                _ => value.to_owned(),
            });
            return Ok(());
        }
        self.set_special(field, name, value)
    }

    fn set_money(&mut self, field: Field, name: &str, value: &str, money: &Money<'_>) -> Result<(), Problem> {
        if field == Field::Refund {
            self.postback.intent = Intent::Refund;
            if value == "all" {
                return Ok(());
            }
            self.postback.amount = Some(money.read(name, value)?);
            return Ok(());
        }
        let read = money.read(name, value)?;
        if field == Field::Amount && self.refunds {
            return self.keep(name, value);
        }
        if let Some(amount) = self.postback.money_mut(field) {
            *amount = Some(read);
        }
        Ok(())
    }

    fn set_special(&mut self, field: Field, name: &str, value: &str) -> Result<(), Problem> {
        let understood = match field {
            Field::ClickId => return self.set_clicks(name, clicks(value, self.dialect)),
            Field::ClickList => match listed_clicks(value) {
                Some(clicks) => return self.set_clicks(name, clicks),
                // Stored as extra, so that it is not lost.
                None => false,
            },
            Field::CommissionPercent => return self.set_percent(name, value),
            Field::Packed => return self.unpack(value),
            Field::Groups => return rules::take_groups(&mut self.postback, name, value),
            Field::Personal => {
                self.postback.personal.push((name.to_owned(), value.to_owned()));
                true
            }
            Field::EventTime => {
                self.postback.event_time = time::read(value);
                self.postback.event_time.is_some() || value == "NOW"
            }
            Field::CustomerType => {
                self.postback.customer_type = customer_type(value);
                self.postback.customer_type.is_some()
            }
            Field::Test => flag(value).is_some_and(|test| {
                self.postback.is_test = test;
                true
            }),
            // `f=img` of CAKE: fired as an image.
            Field::Pixel if value == "img" => {
                self.postback.wish = Wish::Pixel;
                true
            }
            Field::Pixel => flag(value).is_some_and(|wanted| {
                if wanted {
                    self.postback.wish = Wish::Pixel;
                }
                true
            }),
            Field::Return => {
                self.postback.wish = Wish::for_text(value);
                self.postback.wish != Wish::Usual
            }
            Field::Action => intent(value).is_some_and(|intent| {
                if self.postback.intent != Intent::Refund {
                    self.postback.intent = intent;
                }
                true
            }),
            Field::SubList => self.set_subs(value),
            _ => false,
        };
        if understood {
            Ok(())
        } else {
            self.keep(name, value)
        }
    }

    fn set_clicks(&mut self, name: &str, clicks: Vec<String>) -> Result<(), Problem> {
        for click in clicks {
            within(FIELD_LIMIT, name, &click)?;
            // A genuine click ID in brackets is an error that only its reader can name.
            if is_placeholder(&click) && !is_wrapped_id(&click) {
                return Err(unreplaced(Field::ClickId, name, &click));
            }
            if self.postback.click_ids.len() == CLICK_LIMIT {
                return Err(Problem::Malformed {
                    parameter: name.to_owned(),
                    detail: format!("it has more than {CLICK_LIMIT} click IDs"),
                });
            }
            self.postback.click_ids.push(click);
        }
        Ok(())
    }

    /// Parses per cent with at most four decimals, so that parts per million are exact.
    fn set_percent(&mut self, name: &str, value: &str) -> Result<(), Problem> {
        let problem = |problem| amount_problem(name, value, problem);
        let percent = Amount::parse(value).map_err(problem)?;
        if percent.micros % 100 != 0 {
            return Err(problem(AmountProblem::TooPrecise));
        }
        let rate = u32::try_from(percent.micros / 100).map_err(|_| problem(AmountProblem::TooLarge))?;
        self.postback.commission_rate_ppm = Some(rate);
        Ok(())
    }

    fn unpack(&mut self, value: &str) -> Result<(), Problem> {
        for pair in value.split(';').filter(|pair| !pair.is_empty()) {
            let (name, value) = pair.split_once('=').unwrap_or((pair, ""));
            self.keep(name, value)?;
        }
        Ok(())
    }

    fn set_subs(&mut self, value: &str) -> bool {
        let Some(texts) = json::texts(value, self.postback.subs.len()) else {
            return false;
        };
        for (sub, text) in self.postback.subs.iter_mut().zip(texts) {
            *sub = Some(text).filter(|text| !text.is_empty() && text.len() <= FIELD_LIMIT);
        }
        true
    }

    /// Adds a parameter without a field to `extra`.
    fn keep(&mut self, name: &str, value: &str) -> Result<(), Problem> {
        within(FIELD_LIMIT, name, name)?;
        let value = truncated(value, EXTRA_LIMIT);
        let fixed = self.endpoint.is_some_and(|endpoint| {
            let same =
                |(known, always): &(&str, &str)| known.eq_ignore_ascii_case(name) && **always == *value;
            endpoint.fixed.iter().any(same)
        });
        if fixed {
            return Ok(());
        }
        // Parameters are limited already; only the parts of packed values and items can exceed this.
        if self.postback.extra.len() == 2 * PARAMETER_LIMIT {
            return Err(Problem::TooMany {
                limit: PARAMETER_LIMIT,
            });
        }
        self.postback.extra.push((name.to_owned(), value.into_owned()));
        Ok(())
    }

    fn take_headers(&mut self, call: &RawCall<'_>) {
        if self.postback.token.is_some() {
            return;
        }
        // The system's own place first, then every other: a token is a token wherever it is sent.
        let header = |auth: &Auth| match auth {
            Auth::Bearer => scheme(call.authorization?, "Bearer").map(str::to_owned),
            Auth::Basic => {
                let encoded = scheme(call.authorization?, "Basic")?;
                let pair = String::from_utf8(BASE64.decode(encoded.as_bytes()).ok()?).ok()?;
                Some(password(&pair).to_owned())
            }
            Auth::ApiKey => call.api_key.map(|key| key.trim().to_owned()),
        };
        let everywhere = [Auth::Bearer, Auth::ApiKey, Auth::Basic];
        let token = self
            .dialect
            .auth
            .iter()
            .chain(&everywhere)
            .filter_map(header)
            .find(|token| !token.is_empty());
        match token.map(|token| within(FIELD_LIMIT, "token", &token).map(|()| token)) {
            Some(Ok(token)) if token.contains('\0') => {
                let parameter = "token".to_owned();
                self.note(usize::MAX, Problem::Nul { parameter });
            }
            Some(Ok(token)) if is_placeholder(&token) => {
                self.note(usize::MAX, unreplaced(Field::Token, "token", &token));
            }
            Some(Ok(token)) => self.postback.token = Some(token),
            Some(Err(problem)) => self.note(usize::MAX, problem),
            None => {}
        }
    }

    /// Notes the first demanded parameter that a report does not have.
    fn check_required(&mut self, sent: &[Sent]) {
        let dialect = self.dialect;
        let is_report = self.postback.intent == Intent::Report
            && self
                .endpoint
                .is_none_or(|endpoint| endpoint.intent == Intent::Report);
        let demanded = dialect.rules.iter().filter_map(|rule| match rule {
            rules::Rule::Requires(names) => Some(*names),
            _ => None,
        });
        let is_sent = |name: &str| {
            sent.iter()
                .any(|one| one.name.eq_ignore_ascii_case(name) && !one.value.trim().is_empty())
        };
        let missing = demanded.flatten().find(|names| !names.split('|').any(is_sent));
        if let Some(names) = missing.filter(|_| is_report) {
            let (parameter, system) = (names.split('|').next().unwrap_or(names), dialect.name);
            self.note(usize::MAX, Problem::Missing { parameter, system });
        }
    }

    fn finish(mut self, method: &str) -> (Postback, Option<Problem>) {
        let (items, too_large) = std::mem::take(&mut self.draft).finish();
        if too_large {
            self.note(usize::MAX, amount_problem("items", "", AmountProblem::TooLarge));
        }
        if !items.is_empty() {
            self.postback.items = items;
        }
        if let Some(endpoint) = self.endpoint {
            if self.postback.intent == Intent::Report {
                self.postback.intent = endpoint.intent;
            }
            if self.postback.goal.is_none() {
                self.postback.goal = endpoint.goal.map(str::to_owned);
            }
            if endpoint.pixel && self.postback.wish == Wish::Usual {
                self.postback.wish = Wish::Pixel;
            }
            if endpoint.pixel && self.dialect.kind == Kind::Own {
                self.postback.wish = Wish::Pixel;
                self.postback.is_from_browser = true;
            }
        }
        rules::apply(self.dialect, &mut self.postback);
        // Impact and LeadDyno take an order back by DELETE, and Impact changes one by PUT.
        match method {
            "DELETE" => {
                self.postback.intent = Intent::Update;
                self.postback.status.get_or_insert_with(|| "DELETE".to_owned());
                self.postback.state = Some(State::Rejected);
            }
            "PUT" if self.postback.intent == Intent::Report => self.postback.intent = Intent::Update,
            _ => {}
        }
        (self.postback, self.problem.map(|(_, problem)| problem))
    }
}

/// Password of the credentials of a Basic header; the user where the password is empty.
fn password(credentials: &str) -> &str {
    match credentials.split_once(':') {
        Some((user, "")) => user,
        Some((_, password)) => password,
        None => credentials,
    }
}

/// The first bytes of a text, with a mark where it was cut: further parameters are kept as far as they can be.
fn truncated(value: &str, limit: usize) -> Cow<'_, str> {
    if value.len() <= limit {
        return Cow::Borrowed(value);
    }
    let end = (0..=limit - '…'.len_utf8())
        .rev()
        .find(|at| value.is_char_boundary(*at));
    Cow::Owned(format!("{}…", value.get(..end.unwrap_or(0)).unwrap_or_default()))
}

fn limit_of(field: Field) -> usize {
    match field {
        Field::ClickId
        | Field::ClickList
        | Field::Personal
        | Field::Packed
        | Field::Groups
        | Field::SubList => EXTRA_LIMIT,
        _ => FIELD_LIMIT,
    }
}

fn unreplaced(field: Field, name: &str, value: &str) -> Problem {
    Problem::MacroUnreplaced {
        parameter: name.chars().take(64).collect(),
        value: match field {
            Field::Token => String::new(),
            _ => value.chars().take(64).collect(),
        },
    }
}
