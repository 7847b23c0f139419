//! The permission table: which role may do what, in one place, and whose rows it sees.

use schema::{AdvertiserId, AffiliateId};

use crate::Role;

/// Something a page, an endpoint or a column needs.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Permission {
    /// Create and change campaigns, goals, tracking links and postback tokens.
    Configure,
    /// See inbound postbacks with their raw requests.
    SeePostbacks,
    /// See what affiliates earn.
    SeeCommission,
    /// See what advertisers owe.
    SeeRevenue,
    /// See affiliates' sub ids and visitors' browsers: the detail of a single click.
    SeeClicks,
}

impl Role {
    /// Whether this role has that permission, within its [`Scope`].
    #[must_use]
    pub fn may(self, permission: Permission) -> bool {
        use Permission::{Configure, SeeClicks, SeeCommission, SeePostbacks, SeeRevenue};
        match (self, permission) {
            (Self::Owner, _) => true,
            (Self::Advertiser(_), SeePostbacks | SeeRevenue) => true,
            (Self::Advertiser(_), Configure | SeeCommission | SeeClicks) => false,
            (Self::Affiliate(_), SeeCommission | SeeClicks) => true,
            (Self::Affiliate(_), Configure | SeePostbacks | SeeRevenue) => false,
        }
    }

    /// Whose rows this role sees.
    #[must_use]
    pub fn scope(self) -> Scope {
        match self {
            Self::Owner => Scope::default(),
            Self::Advertiser(id) => Scope {
                advertiser: Some(id),
                affiliate: None,
            },
            Self::Affiliate(id) => Scope {
                advertiser: None,
                affiliate: Some(id),
            },
        }
    }
}

/// Whose rows a query may return: every list and report takes one. Empty means the whole network.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub struct Scope {
    /// Only this advertiser's.
    pub advertiser: Option<AdvertiserId>,
    /// Only this affiliate's.
    pub affiliate: Option<AffiliateId>,
}
