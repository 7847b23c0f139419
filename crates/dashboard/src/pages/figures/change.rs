//! Change of a figure against the period before.

use reports::{Figures, Metric, Value};
use schema::Currency;

use super::report_rows::text;

/// Events of the period before below which a change in per cent would be chance.
const SMALL_SAMPLE: i64 = 30;
const NONE_BEFORE: &str = "none before";

/// Change against the period before.
pub(super) struct Change {
    /// Text, such as `▲ 12.4 %`.
    pub(super) text: String,
    /// Direction for screen readers; empty if the text says it all.
    pub(super) direction: &'static str,
    /// CSS class: `good`, `bad`, or empty.
    pub(super) class: &'static str,
}

impl Change {
    /// Change of a value of which more is better. `was` is the value before in words, which stands for a change that would be
    /// chance.
    #[expect(clippy::float_cmp, reason = "equal sums are equal floats")]
    pub(super) fn new(now: f64, before: f64, events_before: i64, was: &str) -> Self {
        let share = (now - before) / before;
        let (mark, direction, class) = if now == before {
            ("=", "unchanged", "")
        } else if share > 0.0 {
            ("▲", "up", "good")
        } else {
            ("▼", "down", "bad")
        };
        if events_before < SMALL_SAMPLE || before <= 0.0 {
            return Self {
                text: if before > 0.0 {
                    format!("was {was}")
                } else {
                    NONE_BEFORE.to_owned()
                },
                direction: "",
                class: "",
            };
        }
        Self {
            text: format!("{mark} {:.1} %", share.abs() * 100.0),
            direction,
            class,
        }
    }

    /// Change of a metric. Money is compared in one currency.
    pub(super) fn of(metric: Metric, now: &Figures, before: &Figures, currency: Currency) -> Self {
        let events = match metric {
            Metric::Clicks | Metric::ValidClicks | Metric::UniqueClicks | Metric::InvalidClicks => {
                before.clicks
            }
            Metric::PostbacksReceived | Metric::PostbacksRejected | Metric::PostbacksHeld => {
                before.postbacks.received
            }
            Metric::Rejected | Metric::ApprovalRate | Metric::RejectionRate => {
                before.approved + before.rejected
            }
            _ => before.conversions(),
        };
        let number = |figures: &Figures| number(&figures.value(metric), currency).unwrap_or(0.0);
        let change = Self::new(
            number(now),
            number(before),
            events,
            &text(&before.value(metric), currency),
        );
        let class = match (change.class, metric) {
            (
                _,
                Metric::TimeToConversion
                | Metric::TimeToConversionP90
                | Metric::StepTime
                | Metric::PostbacksReceived,
            ) => "",
            (
                "good",
                Metric::InvalidClicks
                | Metric::Rejected
                | Metric::RejectionRate
                | Metric::PostbacksRejected
                | Metric::PostbacksHeld,
            ) => "bad",
            (
                "bad",
                Metric::InvalidClicks
                | Metric::Rejected
                | Metric::RejectionRate
                | Metric::PostbacksRejected
                | Metric::PostbacksHeld,
            ) => "good",
            (class, _) => class,
        };
        Self { class, ..change }
    }
}

impl Change {
    /// The change in a cell of a table: shorter, and without the value before where that is longer than the change.
    pub(super) fn in_cell(mut self, metric: Metric) -> Option<Self> {
        if self.text == NONE_BEFORE {
            "new".clone_into(&mut self.text);
        }
        let is_number = metric.unit() == "count";
        (is_number || !self.text.starts_with("was ")).then_some(self)
    }
}

/// Number of a value; none where it is undefined.
#[expect(clippy::cast_precision_loss, reason = "a share for people")]
fn number(value: &Value, currency: Currency) -> Option<f64> {
    match value {
        Value::Count(count) => Some(*count as f64),
        Value::Ratio(ratio) => *ratio,
        Value::Duration(seconds) => seconds.map(f64::from),
        Value::Money(sums) => {
            let sum = sums.iter().find(|sum| sum.currency == currency);
            Some(sum.map_or(0.0, |sum| sum.micros as f64))
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_change_of_a_small_sample_is_the_value_before() {
        let change = |now: f64, before: f64, events| {
            let change = Change::new(now, before, events, "5");
            (change.text, change.direction, change.class)
        };
        assert_eq!(change(112.4, 100.0, 100), ("▲ 12.4 %".to_owned(), "up", "good"));
        assert_eq!(change(96.9, 100.0, 100), ("▼ 3.1 %".to_owned(), "down", "bad"));
        assert_eq!(change(100.0, 100.0, 100), ("= 0.0 %".to_owned(), "unchanged", ""));
        assert_eq!(change(9.0, 5.0, 5), ("was 5".to_owned(), "", ""));
        assert_eq!(change(9.0, 0.0, 0), ("none before".to_owned(), "", ""));
    }

    #[test]
    fn more_rejections_are_bad() {
        let of = |rejected| Figures {
            rejected,
            approved: 100,
            ..Figures::default()
        };
        let euro = "EUR".parse().unwrap();
        let change = Change::of(Metric::Rejected, &of(60), &of(40), euro);
        assert_eq!((change.text.as_str(), change.class), ("▲ 50.0 %", "bad"));
        let in_cell = |metric| {
            Change::new(9.0, 5.0, 5, "5")
                .in_cell(metric)
                .map(|change| change.text)
        };
        assert_eq!(in_cell(Metric::Rejected).as_deref(), Some("was 5"));
        assert_eq!(in_cell(Metric::Commission), None);
        let fewer = Change::of(Metric::RejectionRate, &of(10), &of(40), euro);
        assert_eq!(fewer.class, "good");
    }
}
