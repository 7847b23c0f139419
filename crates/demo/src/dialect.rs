//! Postback formats of the demo's advertisers: some have moved from other systems and still send their formats.

use campaigns::integrations::IntegrationSettings;
use form_urlencoded::{Serializer, byte_serialize};
use schema::Words;

/// Addresses of the advertisers that are authenticated by address.
const ADVERTISER_NETWORK: &str = "198.51.100.0/24";

/// Postback format of an advertiser.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Dialect {
    /// Native format.
    Native,
    Tune,
    Everflow,
    Cake,
    /// Every parameter in the path, the order as an item.
    Partnerize,
}

/// Values of a postback.
pub(crate) struct PostbackValues<'a> {
    pub(crate) click_id: &'a str,
    pub(crate) goal: &'a str,
    pub(crate) order_id: Option<&'a str>,
    pub(crate) amount: Option<&'a str>,
    pub(crate) currency: &'a str,
    pub(crate) token: &'a str,
}

impl Dialect {
    /// Returns the campaign's id in the advertiser's former system; none for the native format.
    pub(crate) fn external_id(self) -> Option<&'static str> {
        match self {
            Self::Native => None,
            Self::Tune => Some("418"),
            Self::Everflow => Some("2207"),
            Self::Cake => Some("1093"),
            Self::Partnerize => Some("1011l4870"),
        }
    }

    /// Returns the settings of an integration with this format. A format without a token is authenticated by address and
    /// click.
    pub(crate) fn integration(self) -> IntegrationSettings {
        let default = IntegrationSettings::default();
        match self {
            Self::Native | Self::Tune | Self::Everflow => default,
            Self::Cake | Self::Partnerize => IntegrationSettings {
                requires_token: false,
                allowed_addresses: Words(vec![ADVERTISER_NETWORK.to_owned()]),
                ..default
            },
        }
    }

    /// Returns the request target of a postback with these values.
    pub(crate) fn target(self, values: &PostbackValues<'_>) -> String {
        let campaign = self.external_id().unwrap_or_default();
        let PostbackValues {
            click_id,
            goal,
            order_id,
            amount,
            currency,
            token,
        } = *values;
        let (order, sum) = (order_id.unwrap_or_default(), amount.unwrap_or_default());
        match self {
            Self::Native => query(
                "/postback",
                &[
                    ("click_id", click_id),
                    ("goal", goal),
                    ("order_id", order),
                    ("amount", sum),
                    ("currency", amount.map_or("", |_| currency)),
                    ("token", token),
                ],
            ),
            Self::Tune => query(
                "/aff_lsr",
                &[
                    ("offer_id", campaign),
                    ("transaction_id", click_id),
                    ("goal_name", goal),
                    ("adv_unique1", order),
                    ("amount", sum),
                    ("security_token", token),
                ],
            ),
            Self::Everflow => query(
                "/",
                &[
                    ("nid", campaign),
                    ("transaction_id", click_id),
                    ("event_id", goal),
                    ("order_id", order),
                    ("amount", sum),
                    ("currency", amount.map_or("", |_| currency)),
                    ("verification_token", token),
                ],
            ),
            Self::Cake => query(
                "/p.ashx",
                &[
                    ("o", campaign),
                    ("f", "pb"),
                    ("r", click_id),
                    ("e", goal),
                    ("t", order),
                    ("p", sum),
                ],
            ),
            Self::Partnerize => {
                let text = |text: &str| byte_serialize(text.as_bytes()).collect::<String>();
                format!(
                    "/conversion/tracking_mode:api/campaign:{campaign}/clickref:{}/conversionref:{}/currency:{currency}/[category:{}/sku:ABO-1/value:{}/quantity:1]",
                    text(click_id),
                    text(order),
                    text(goal),
                    text(sum)
                )
            }
        }
    }
}

/// Returns a path with the parameters that are not empty.
fn query(path: &str, parameters: &[(&str, &str)]) -> String {
    let present = parameters.iter().filter(|(_, value)| !value.is_empty());
    let query = Serializer::new(String::new()).extend_pairs(present).finish();
    format!("{path}?{query}")
}
