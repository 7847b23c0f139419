//! How the demo's advertisers spell their calls: some have come from other systems, and their servers go on as before.

use campaigns::integrations::IntegrationSettings;
use form_urlencoded::{Serializer, byte_serialize};
use schema::Words;

/// Where the demo's advertisers call from, where their address says who they are.
const THEIR_NETWORK: &str = "198.51.100.0/24";

/// Whose spelling an advertiser's calls are in.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Spelling {
    /// Ours.
    Own,
    Tune,
    Everflow,
    Cake,
    /// Everything stands in the path, the order as an item.
    Partnerize,
}

/// What an advertiser's server says of an order.
pub(crate) struct Said<'a> {
    pub(crate) click_id: &'a str,
    pub(crate) goal: &'a str,
    pub(crate) order_id: Option<&'a str>,
    pub(crate) amount: Option<&'a str>,
    pub(crate) currency: &'a str,
    pub(crate) token: &'a str,
}

impl Spelling {
    /// What the campaign was called where the advertiser comes from.
    pub(crate) fn external_id(self) -> Option<&'static str> {
        match self {
            Self::Own => None,
            Self::Tune => Some("418"),
            Self::Everflow => Some("2207"),
            Self::Cake => Some("1093"),
            Self::Partnerize => Some("1011l4870"),
        }
    }

    /// How an integration is set for it: who can send no token is known by address and click.
    pub(crate) fn integration(self) -> IntegrationSettings {
        let usual = IntegrationSettings::default();
        match self {
            Self::Own | Self::Tune | Self::Everflow => usual,
            Self::Cake | Self::Partnerize => IntegrationSettings {
                requires_token: false,
                allowed_addresses: Words(vec![THEIR_NETWORK.to_owned()]),
                ..usual
            },
        }
    }

    /// The target of the call that says this.
    pub(crate) fn target(self, said: &Said<'_>) -> String {
        let campaign = self.external_id().unwrap_or_default();
        let Said {
            click_id,
            goal,
            order_id,
            amount,
            currency,
            token,
        } = *said;
        let (order, sum) = (order_id.unwrap_or_default(), amount.unwrap_or_default());
        match self {
            Self::Own => query(
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

/// A path with those parameters that say something.
fn query(path: &str, parameters: &[(&str, &str)]) -> String {
    let said = parameters.iter().filter(|(_, value)| !value.is_empty());
    let query = Serializer::new(String::new()).extend_pairs(said).finish();
    format!("{path}?{query}")
}
