//! The permission table: which role may do what, in one place, and whose rows it sees.
//!
//! Handlers name the permission they need as a type ([`needs`]) and get at data through [`crate::Access`] only, which
//! exists when the permission was there.

use schema::{AdvertiserId, AffiliateId, text_enum};

use crate::Role;
use crate::memberships::RoleKind::{
    self, Admin, Advertiser, AdvertiserDeveloper, Affiliate, Analyst, Manager, Owner,
};

text_enum! {
    /// What an API key may be used for. A key has no permission that its maker lacks.
    pub enum ApiScope {
        /// See the network's profile, settings and limits.
        NetworkRead = "network:read",
        /// Change them.
        NetworkWrite = "network:write",
        /// See advertisers, affiliates, groups and applications.
        PartiesRead = "parties:read",
        /// Change them.
        PartiesWrite = "parties:write",
        /// See people and invitations.
        MembersRead = "members:read",
        /// Invite people, change and take away their roles.
        MembersWrite = "members:write",
        /// See campaigns, goals, tracking links and integrations.
        CampaignsRead = "campaigns:read",
        /// Change them.
        CampaignsWrite = "campaigns:write",
        /// See clicks, postbacks and conversions.
        ConversionsRead = "conversions:read",
        /// Decide conversions.
        ConversionsWrite = "conversions:write",
        /// See figures and reports.
        ReportsRead = "reports:read",
        /// See the audit log.
        AuditRead = "audit:read",
        /// Make and revoke API keys.
        KeysWrite = "keys:write",
    }
}

/// A permission as a type. Implemented by the types in [`needs`].
pub trait Need {
    /// The permission.
    const PERMISSION: Permission;
}

macro_rules! permissions {
    ($($(#[$meta:meta])* $name:ident, $words:literal, $scope:ident: $($role:ident)+;)+) => {
        /// Something a page, an endpoint or a column needs.
        #[derive(Debug, Clone, Copy, PartialEq, Eq)]
        pub enum Permission { $($(#[$meta])* $name),+ }

        impl Permission {
            /// Every permission, in the order of the table.
            pub const ALL: &'static [Self] = &[$(Self::$name),+];

            /// What it allows, in words that follow “may” or “to”.
            #[must_use]
            pub fn words(self) -> &'static str {
                match self { $(Self::$name => $words),+ }
            }

            /// Which scope an API key needs for it.
            #[must_use]
            pub fn scope(self) -> ApiScope {
                match self { $(Self::$name => ApiScope::$scope),+ }
            }

            /// Which roles have it.
            #[must_use]
            pub fn roles(self) -> &'static [RoleKind] {
                match self { $(Self::$name => &[$($role),+]),+ }
            }
        }

        /// The permissions as types, for handlers to name in their signature.
        pub mod needs {
            use super::{Need, Permission};
            $($(#[$meta])* #[derive(Debug, Clone, Copy)] pub struct $name;
            impl Need for $name { const PERMISSION: Permission = Permission::$name; })+
        }
    };
}

permissions! {
    /// Be signed in; one's own account and keys.
    SignIn, "sign in", NetworkRead: Owner Admin Manager Analyst Advertiser AdvertiserDeveloper Affiliate;
    /// Make API keys that act in one's own role.
    UseApi, "use the API", KeysWrite: Owner Admin Manager Analyst Advertiser AdvertiserDeveloper Affiliate;
    /// See figures and reports.
    SeeReports, "see reports", ReportsRead: Owner Admin Manager Analyst Advertiser Affiliate;
    /// See conversions.
    SeeConversions, "see conversions", ConversionsRead: Owner Admin Manager Analyst Advertiser Affiliate;
    /// See campaigns and tracking links.
    SeeCampaigns, "see campaigns", CampaignsRead: Owner Admin Manager Analyst Advertiser Affiliate;
    /// See how campaigns are set up: what they pay to whom, caps, coupons, who may promote them.
    SeeSetup, "see how campaigns are set up", CampaignsRead: Owner Admin Manager Analyst;
    /// Make tracking links: affiliates their own.
    MakeLinks, "make tracking links", CampaignsWrite: Owner Admin Manager Affiliate;
    /// See how an advertiser's server is connected.
    SeeIntegration, "see integrations", CampaignsRead: Owner Admin Manager Analyst Advertiser AdvertiserDeveloper;
    /// See inbound postbacks with their raw requests.
    SeePostbacks, "see postbacks", ConversionsRead: Owner Admin Manager Analyst Advertiser AdvertiserDeveloper;
    /// See what affiliates earn.
    SeeCommission, "see what affiliates earn", ReportsRead: Owner Admin Manager Analyst Affiliate;
    /// See what advertisers owe.
    SeeRevenue, "see what advertisers owe", ReportsRead: Owner Admin Manager Analyst Advertiser;
    /// See affiliates' sub ids and visitors' browsers: the detail of a single click.
    SeeClicks, "see single clicks", ConversionsRead: Owner Admin Manager Analyst Affiliate;
    /// Create and change campaigns, goals and tracking links.
    Configure, "change campaigns, goals and links", CampaignsWrite: Owner Admin Manager;
    /// Make a new postback token.
    RotateToken, "replace postback tokens", CampaignsWrite: Owner Admin Manager Advertiser AdvertiserDeveloper;
    /// See URL templates: advertisers and affiliates their own.
    SeeTemplates, "see URL templates", CampaignsRead: Owner Admin Manager Analyst Advertiser AdvertiserDeveloper Affiliate;
    /// Save URL templates: advertisers and affiliates their own.
    SaveTemplates, "save URL templates", CampaignsWrite: Owner Admin Manager Advertiser AdvertiserDeveloper Affiliate;
    /// Approve and reject conversions.
    DecideConversions, "approve and reject conversions", ConversionsWrite: Owner Admin Manager;
    /// See advertisers, affiliates, groups and applications.
    SeeParties, "see advertisers and affiliates", PartiesRead: Owner Admin Manager Analyst;
    /// Create and change them, import them, decide applications.
    ManageParties, "change advertisers and affiliates", PartiesWrite: Owner Admin Manager;
    /// Invite people of advertisers and affiliates.
    InviteParties, "invite people of advertisers and affiliates", MembersWrite: Owner Admin Manager;
    /// See who works here.
    SeeMembers, "see the network's people", MembersRead: Owner Admin Manager Analyst;
    /// Invite colleagues, change and take away roles, revoke others' API keys.
    ManageMembers, "manage people and their roles", MembersWrite: Owner Admin;
    /// See the network's profile, settings and limits.
    SeeNetwork, "see the network's settings", NetworkRead: Owner Admin Manager Analyst;
    /// Change the network's profile and settings.
    ManageNetwork, "change the network's settings", NetworkWrite: Owner Admin;
    /// Export and delete the network.
    DeleteNetwork, "delete the network", NetworkWrite: Owner;
    /// See the audit log.
    SeeAudit, "see the audit log", AuditRead: Owner Admin;
}

impl Permission {
    /// Who of the network can be asked for it: “an owner or admin”.
    #[must_use]
    pub fn whom_to_ask(self) -> String {
        let asked: Vec<_> = self
            .roles()
            .iter()
            .filter(|role| matches!(role, Owner | Admin | Manager))
            .map(|role| role.label().to_lowercase())
            .collect();
        match asked.as_slice() {
            [rest @ .., last] if !rest.is_empty() => format!("an {} or {last}", rest.join(", ")),
            _ => "an owner".to_owned(),
        }
    }
}

impl Role {
    /// Whether this role has that permission, within its [`Scope`].
    #[must_use]
    pub fn may(self, permission: Permission) -> bool {
        permission.roles().contains(&self.kind())
    }

    /// Whose rows this role sees.
    #[must_use]
    pub fn scope(self) -> Scope {
        Scope {
            advertiser: self.advertiser(),
            affiliate: self.affiliate(),
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

impl Scope {
    /// Whether it is the whole network: of the network's own people.
    #[must_use]
    pub fn is_whole(self) -> bool {
        self == Self::default()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn an_owner_may_do_everything_and_a_developer_sees_the_integration_only() {
        assert!(Permission::ALL.iter().all(|it| Role::Owner.may(*it)));
        let developer = Role::AdvertiserDeveloper(AdvertiserId(1));
        let allowed: Vec<_> = Permission::ALL.iter().filter(|it| developer.may(**it)).collect();
        assert_eq!(
            allowed,
            [
                &Permission::SignIn,
                &Permission::UseApi,
                &Permission::SeeIntegration,
                &Permission::SeePostbacks,
                &Permission::RotateToken,
                &Permission::SeeTemplates,
                &Permission::SaveTemplates
            ]
        );
    }

    #[test]
    fn people_are_told_whom_to_ask() {
        assert_eq!(Permission::Configure.whom_to_ask(), "an owner, admin or manager");
        assert_eq!(Permission::SeeAudit.whom_to_ask(), "an owner or admin");
        assert_eq!(Permission::DeleteNetwork.whom_to_ask(), "an owner");
    }
}
