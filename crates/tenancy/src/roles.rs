//! Roles: the capacities in which a person acts in a network.

use schema::{AdvertiserId, AffiliateId, text_enum};

text_enum! {
    /// Kinds of role, by their names in the database, the API and URLs.
    pub enum RoleKind {
        /// Full access to the network.
        Owner = "owner",
        /// Full access, except deleting the network and creating owners.
        Admin = "admin",
        /// Manages advertisers, affiliates, campaigns and conversions.
        Manager = "manager",
        /// Read access of a manager.
        Analyst = "analyst",
        /// Access to the data of one advertiser.
        Advertiser = "advertiser",
        /// Access to the integration and the postbacks of one advertiser.
        AdvertiserDeveloper = "advertiser_developer",
        /// Access to the data of one affiliate.
        Affiliate = "affiliate",
    }
}

impl RoleKind {
    /// Label on pages.
    #[must_use]
    pub fn label(self) -> &'static str {
        match self {
            Self::Owner => "Owner",
            Self::Admin => "Admin",
            Self::Manager => "Manager",
            Self::Analyst => "Analyst",
            Self::Advertiser => "Advertiser",
            Self::AdvertiserDeveloper => "Advertiser developer",
            Self::Affiliate => "Affiliate",
        }
    }

    /// Description on pages, one sentence.
    #[must_use]
    pub fn sentence(self) -> &'static str {
        match self {
            Self::Owner => "Full access, including deleting the network and adding owners.",
            Self::Admin => "Full access, except deleting the network and adding owners.",
            Self::Manager => {
                "Manages advertisers, affiliates, campaigns and conversions, but not people and settings."
            }
            Self::Analyst => "Read-only access to everything a manager sees.",
            Self::Advertiser => "Sees one advertiser's campaigns, conversions, reports and integration.",
            Self::AdvertiserDeveloper => "Sets up one advertiser's integration and sees its postbacks.",
            Self::Affiliate => "Sees one affiliate's links, clicks, conversions and earnings.",
        }
    }

    /// True for staff roles, whose members work for the network and take one of its seats.
    #[must_use]
    pub fn is_staff(self) -> bool {
        STAFF.contains(&self)
    }
}

/// Staff roles: those whose members work for the network.
pub const STAFF: [RoleKind; 4] = [
    RoleKind::Owner,
    RoleKind::Admin,
    RoleKind::Manager,
    RoleKind::Analyst,
];

/// Role of a member, with the advertiser or affiliate it is for.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub enum Role {
    /// Staff with full access.
    Owner,
    /// Staff with full access, except deleting the network and creating owners.
    Admin,
    /// Staff who manage advertisers, affiliates, campaigns and conversions.
    Manager,
    /// Staff with read access.
    Analyst,
    /// User of one advertiser.
    Advertiser(AdvertiserId),
    /// Developer of one advertiser's integration.
    AdvertiserDeveloper(AdvertiserId),
    /// User of one affiliate.
    Affiliate(AffiliateId),
}

impl Role {
    /// Kind of this role.
    #[must_use]
    pub fn kind(self) -> RoleKind {
        match self {
            Self::Owner => RoleKind::Owner,
            Self::Admin => RoleKind::Admin,
            Self::Manager => RoleKind::Manager,
            Self::Analyst => RoleKind::Analyst,
            Self::Advertiser(_) => RoleKind::Advertiser,
            Self::AdvertiserDeveloper(_) => RoleKind::AdvertiserDeveloper,
            Self::Affiliate(_) => RoleKind::Affiliate,
        }
    }

    /// Name in the database, in `demo.json` and in URLs.
    #[must_use]
    pub fn as_str(self) -> &'static str {
        self.kind().as_str()
    }

    /// Advertiser that the role is for; None for other roles.
    pub(crate) fn advertiser(self) -> Option<AdvertiserId> {
        match self {
            Self::Advertiser(id) | Self::AdvertiserDeveloper(id) => Some(id),
            _ => None,
        }
    }

    /// Affiliate that the role is for; None for other roles.
    pub(crate) fn affiliate(self) -> Option<AffiliateId> {
        match self {
            Self::Affiliate(id) => Some(id),
            _ => None,
        }
    }
}
