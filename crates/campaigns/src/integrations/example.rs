//! Example of a postback in the format of an integration, also as one command to paste, and warnings about its settings.

use dialects::{Amount, Dialect, Field, OutgoingCall, Postback};
use schema::Currency;

use super::IntegrationSettings;
use crate::campaigns::Campaign;
use crate::goals::Goal;

/// Values of an example that only the caller knows.
#[derive(Debug, Clone, Copy)]
pub struct ExampleValues<'a> {
    /// Base URL of the tracking host.
    pub base_url: &'a str,
    /// Click ID of a test link, or a placeholder.
    pub click_id: &'a str,
    /// Order ID.
    pub order_id: &'a str,
    /// Token, or a placeholder; `None` for a call without a token.
    pub token: Option<&'a str>,
    /// True if the call must name the goal, because the campaign has several.
    pub names_goal: bool,
    /// Amount of the order, in micro-units.
    pub amount_micros: i64,
    /// Currency of the amount; `None` for that of the campaign.
    pub currency: Option<Currency>,
}

impl ExampleValues<'_> {
    /// Usual amount, in micro-units.
    pub const AMOUNT_MICROS: i64 = 50_000_000;
}

/// Command that reports an order of a goal in a format, with every parameter that the format requires.
#[must_use]
pub fn example_command(
    dialect: &Dialect,
    campaign: &Campaign,
    goal: &Goal,
    values: ExampleValues<'_>,
) -> Option<String> {
    Some(command(&example_call(dialect, campaign, goal, values)?))
}

/// Call that reports an order of a goal in a format, with every parameter that the format requires.
#[must_use]
pub fn example_call(
    dialect: &Dialect,
    campaign: &Campaign,
    goal: &Goal,
    values: ExampleValues<'_>,
) -> Option<OutgoingCall> {
    let external = campaign.external_id.clone().or(goal.settings.external_id.clone());
    let amount = Amount::from_micros(values.amount_micros);
    let postback = Postback {
        click_ids: vec![values.click_id.to_owned()],
        reference: Some(external.unwrap_or_else(|| goal.id.to_string())),
        goal: Some(goal.code().to_owned()),
        order_id: Some(values.order_id.to_owned()),
        customer_id: Some("customer-1".to_owned()),
        amount,
        currency: Some(values.currency.unwrap_or(campaign.currency).to_string()),
        commission: Amount::from_micros(0),
        token: values.token.filter(|_| dialect.has_token()).map(str::to_owned),
        ..Postback::default()
    };
    let mut call = dialect.build(values.base_url, &postback)?;
    // Goal and token are understood in every format.
    let goal = (values.names_goal && dialect.name_of(Field::Goal).is_none()).then(|| goal.code());
    let token = values.token.filter(|_| !dialect.has_token());
    for (name, value) in [("goal", goal), ("token", token)] {
        if let Some(value) = value {
            call.url.push(if call.url.contains('?') { '&' } else { '?' });
            call.url.push_str(&format!("{name}={value}"));
        }
    }
    Some(call)
}

/// The call as a `curl` command.
fn command(call: &OutgoingCall) -> String {
    let quoted = |text: &str| format!("'{}'", text.replace('\'', "'\\''"));
    let mut command = format!("curl {}", quoted(&call.url));
    let headers = [
        ("Content-Type", call.content_type),
        ("Authorization", call.authorization.as_deref()),
        ("X-Api-Key", call.api_key.as_deref()),
    ];
    for (name, value) in headers {
        if let Some(value) = value {
            command.push_str(&format!(" \\\n  -H {}", quoted(&format!("{name}: {value}"))));
        }
    }
    if call.method == "POST" {
        command.push_str(&format!(" \\\n  --data {}", quoted(&call.body)));
    }
    command
}

impl IntegrationSettings {
    /// Sentences about settings that contradict each other; empty if none do.
    #[must_use]
    pub fn warnings(&self) -> Vec<String> {
        let mut warnings = Vec::new();
        let system = self.dialect.as_deref().and_then(dialects::of_key);
        let other = system.filter(|system| system.key != dialects::native().key && !self.is_monitoring);
        if let Some(system) = other.filter(|system| !system.has_token() && self.requires_token) {
            warnings.push(format!(
                "{name} has no place for a token, and every postback must have one: add token=… to the URL that {name} \
                 calls, or turn “Require token” off and enter the addresses of {name}.",
                name = system.name
            ));
        }
        if let Some(system) = other.filter(|_| self.requires_signature) {
            warnings.push(format!(
                "Every postback must be signed, and {} does not sign as this server checks it: its postbacks are rejected.",
                system.name
            ));
        }
        let proves_sender =
            self.requires_token || self.requires_signature || !self.allowed_addresses.0.is_empty();
        if self.takes_commission && !proves_sender {
            warnings.push(
                "Commissions from postbacks are used only if the sender is authenticated: require a token or a \
                 signature, or enter addresses."
                    .to_owned(),
            );
        }
        warnings
    }
}

#[cfg(test)]
mod tests {
    use schema::Words;

    use super::*;

    #[test]
    fn contradicting_settings_are_named() {
        let plain = IntegrationSettings::default();
        assert_eq!(plain.warnings(), [""; 0]);
        let clickmeter = IntegrationSettings {
            dialect: Some("clickmeter".to_owned()),
            ..plain.clone()
        };
        assert!(clickmeter.warnings()[0].starts_with("ClickMeter has no place for a token"));
        let by_address = IntegrationSettings {
            requires_token: false,
            allowed_addresses: Words(vec!["203.0.113.7".to_owned()]),
            takes_commission: true,
            ..clickmeter
        };
        assert_eq!(by_address.warnings(), [""; 0]);
        let open = IntegrationSettings {
            allowed_addresses: Words::default(),
            ..by_address
        };
        assert!(open.warnings()[0].contains("only if the sender is authenticated"));
    }
}
