//! Content of a delivery: an event of a conversion, or of the network.

use campaigns::ClickIds;
use chrono::{DateTime, SecondsFormat, Utc};
use schema::{ConversionId, DeliveryId, text_enum};
use serde_json::{Value, json};
use tenancy::network_events::NetworkEventKind;

use crate::facts::{Facts, SCHEMA_VERSION};

text_enum! {
    /// Event that a destination can get. The first six are about a conversion; the others are for webhooks only.
    pub enum DeliveryEvent {
        /// A conversion was made.
        Created = "created",
        /// It was approved.
        Approved = "approved",
        /// It was rejected before it was approved.
        Rejected = "rejected",
        /// It was taken back after it was approved.
        Reversed = "reversed",
        /// It is pending again: it needs a review.
        Reopened = "reopened",
        /// Its amount, commission, revenue or affiliate changed, and its status did not.
        Adjusted = "adjusted",
        /// A prospective affiliate applied.
        AffiliateApplied = "affiliate.applied",
        /// An alert about the integration of an advertiser opened.
        IntegrationFailing = "integration.failing",
        /// An alert is over.
        IntegrationRecovered = "integration.recovered",
    }
}

impl DeliveryEvent {
    /// True if it is about a conversion.
    #[must_use]
    pub fn is_of_conversion(self) -> bool {
        !self.as_str().contains('.')
    }

    /// Value of `type` in webhooks and in the event stream.
    #[must_use]
    pub fn type_text(self) -> String {
        if self.is_of_conversion() {
            format!("conversion.{self}")
        } else {
            self.to_string()
        }
    }

    /// The event with this type.
    #[must_use]
    pub fn of_type(text: &str) -> Option<Self> {
        Self::ALL.iter().copied().find(|event| event.type_text() == text)
    }
}

schema::row! {
    /// Event of the network with its content.
    #[derive(Debug, Clone, PartialEq, Eq)]
    pub struct NetworkFacts(read, query) {
        /// Delivery.
        pub delivery_id: DeliveryId,
        /// Kind.
        pub kind: NetworkEventKind,
        /// Time of the event.
        pub at: DateTime<Utc>,
        /// Content.
        pub data: Value,
    }
}

impl NetworkFacts {
    /// Event as JSON.
    #[must_use]
    pub fn to_json(&self) -> Value {
        json!({
            "type": self.kind,
            "timestamp": self.at.to_rfc3339_opts(SecondsFormat::Secs, true),
            "schema": SCHEMA_VERSION,
            "data": self.data,
        })
    }
}

/// Content of a delivery.
#[derive(Debug, Clone)]
pub enum Content {
    /// Event of a conversion.
    Conversion(Box<Facts>),
    /// Event of the network.
    Network(NetworkFacts),
}

impl Content {
    /// Delivery.
    #[must_use]
    pub fn delivery_id(&self) -> DeliveryId {
        match self {
            Self::Conversion(facts) => facts.delivery_id,
            Self::Network(facts) => facts.delivery_id,
        }
    }

    /// Conversion and its version after the event; none and 0 for an event of the network.
    pub(crate) fn version(&self) -> (Option<ConversionId>, i32) {
        match self {
            Self::Conversion(facts) => (Some(facts.conversion_id), facts.version),
            Self::Network(_) => (None, 0),
        }
    }

    /// True if the row of the click is not stored yet.
    pub(crate) fn lacks_click(&self) -> bool {
        match self {
            Self::Conversion(facts) => facts.lacks_click,
            Self::Network(_) => false,
        }
    }

    /// Event as JSON.
    #[must_use]
    pub fn to_json(&self, click_ids: &ClickIds) -> Value {
        match self {
            Self::Conversion(facts) => facts.to_json(click_ids),
            Self::Network(facts) => facts.to_json(),
        }
    }
}

#[cfg(test)]
mod tests {
    use conversions::EventKind;

    use super::*;

    #[test]
    fn destinations_know_every_event() {
        let of_conversions = EventKind::ALL.iter().map(|kind| kind.as_str());
        let of_networks = NetworkEventKind::ALL.iter().map(|kind| kind.as_str());
        let known: Vec<&str> = DeliveryEvent::ALL.iter().map(|event| event.as_str()).collect();
        assert_eq!(of_conversions.chain(of_networks).collect::<Vec<_>>(), known);
        for event in DeliveryEvent::ALL {
            assert_eq!(DeliveryEvent::of_type(&event.type_text()), Some(*event));
        }
    }
}
