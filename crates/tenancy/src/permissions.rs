//! Permission table: the permissions of each role, in one place, and the scope of rows it may see.
//!
//! Handlers name the permission they need as a type ([`needs`]) and reach the data only through [`crate::Access`],
//! which exists only if the permission was granted.

use diesel::prelude::*;
use diesel_async::RunQueryDsl;
use schema::{AdvertiserId, AffiliateId, MembershipId, NetworkConn, networks, text_enum};

use crate::affiliates;
use crate::roles::Role;
use crate::roles::RoleKind::{
    self, Admin, Advertiser, AdvertiserDeveloper, Affiliate, Analyst, Manager, Owner,
};

text_enum! {
    /// Scope of an API key. A key has no permission that its creator lacks.
    pub enum ApiScope {
        /// See the network's profile, settings and limits.
        NetworkRead = "network:read",
        /// Change the network's profile and settings.
        NetworkWrite = "network:write",
        /// See advertisers, affiliates, groups and applications.
        PartiesRead = "parties:read",
        /// Change advertisers, affiliates, groups and applications.
        PartiesWrite = "parties:write",
        /// See members and invitations.
        MembersRead = "members:read",
        /// Invite people, change and revoke roles.
        MembersWrite = "members:write",
        /// See campaigns, goals, tracking links and integrations.
        CampaignsRead = "campaigns:read",
        /// Change campaigns, goals, tracking links and integrations.
        CampaignsWrite = "campaigns:write",
        /// See clicks, postbacks and conversions.
        ConversionsRead = "conversions:read",
        /// Approve and reject conversions.
        ConversionsWrite = "conversions:write",
        /// See reports.
        ReportsRead = "reports:read",
        /// Save, share and mail reports.
        ReportsWrite = "reports:write",
        /// See the audit log.
        AuditRead = "audit:read",
        /// Create and revoke API keys.
        KeysWrite = "keys:write",
    }
}

/// Permission as a type, implemented by the types in [`needs`].
pub trait Need {
    /// The permission.
    const PERMISSION: Permission;
}

macro_rules! permissions {
    ($($(#[$meta:meta])* $name:ident, $words:literal, $scope:ident: $($role:ident)+;)+) => {
        /// Permission that a page, an endpoint or a column requires.
        #[derive(Debug, Clone, Copy, PartialEq, Eq)]
        pub enum Permission { $($(#[$meta])* $name),+ }

        impl Permission {
            /// All permissions, in the order of the table.
            pub const ALL: &'static [Self] = &[$(Self::$name),+];

            /// Verb phrase that follows “may” or “to”.
            #[must_use]
            pub fn words(self) -> &'static str {
                match self { $(Self::$name => $words),+ }
            }

            /// Scope that an API key needs for this permission.
            #[must_use]
            pub fn scope(self) -> ApiScope {
                match self { $(Self::$name => ApiScope::$scope),+ }
            }

            /// Roles that have this permission.
            #[must_use]
            pub fn roles(self) -> &'static [RoleKind] {
                match self { $(Self::$name => &[$($role),+]),+ }
            }
        }

        /// Permissions as types, for the signatures of handlers.
        pub mod needs {
            use super::{Need, Permission};
            $($(#[$meta])* #[derive(Debug, Clone, Copy)] pub struct $name;
            impl Need for $name { const PERMISSION: Permission = Permission::$name; })+
        }
    };
}

permissions! {
    /// Sign in; manage the account and the API keys of the person.
    SignIn, "sign in", NetworkRead: Owner Admin Manager Analyst Advertiser AdvertiserDeveloper Affiliate;
    /// Create API keys that act under the member's role.
    UseApi, "use the API", KeysWrite: Owner Admin Manager Analyst Advertiser AdvertiserDeveloper Affiliate;
    /// See reports.
    SeeReports, "see reports", ReportsRead: Owner Admin Manager Analyst Advertiser Affiliate;
    /// Save views of reports, share reports by links and have them mailed.
    SaveReports, "save and share reports", ReportsWrite: Owner Admin Manager Analyst Advertiser Affiliate;
    /// See conversions.
    SeeConversions, "see conversions", ConversionsRead: Owner Admin Manager Analyst Advertiser Affiliate;
    /// See campaigns and tracking links.
    SeeCampaigns, "see campaigns", CampaignsRead: Owner Admin Manager Analyst Advertiser Affiliate;
    /// See the setup of campaigns: commissions, caps, coupons, promoters.
    SeeSetup, "see the setup of campaigns", CampaignsRead: Owner Admin Manager Analyst;
    /// Create tracking links; affiliates for themselves only.
    MakeLinks, "create tracking links", CampaignsWrite: Owner Admin Manager Affiliate;
    /// See the integrations of advertisers.
    SeeIntegration, "see integrations", CampaignsRead: Owner Admin Manager Analyst Advertiser AdvertiserDeveloper;
    /// See inbound postbacks with their raw requests.
    SeePostbacks, "see postbacks", ConversionsRead: Owner Admin Manager Analyst Advertiser AdvertiserDeveloper;
    /// See affiliates' commission.
    SeeCommission, "see commission", ReportsRead: Owner Admin Manager Analyst Affiliate;
    /// See advertisers' revenue.
    SeeRevenue, "see revenue", ReportsRead: Owner Admin Manager Analyst Advertiser;
    /// See individual clicks, with affiliates' sub IDs and visitors' browsers.
    SeeClicks, "see individual clicks", ConversionsRead: Owner Admin Manager Analyst Affiliate;
    /// Create and change campaigns, goals and tracking links.
    Configure, "change campaigns, goals and links", CampaignsWrite: Owner Admin Manager;
    /// Replace postback tokens.
    RotateToken, "replace postback tokens", CampaignsWrite: Owner Admin Manager Advertiser AdvertiserDeveloper;
    /// See URL templates; advertisers and affiliates only theirs.
    SeeTemplates, "see URL templates", CampaignsRead: Owner Admin Manager Analyst Advertiser AdvertiserDeveloper Affiliate;
    /// Save URL templates; advertisers and affiliates only theirs.
    SaveTemplates, "save URL templates", CampaignsWrite: Owner Admin Manager Advertiser AdvertiserDeveloper Affiliate;
    /// See destinations and deliveries; affiliates only theirs.
    SeeDeliveries, "see deliveries", ConversionsRead: Owner Admin Manager Analyst Affiliate;
    /// Change destinations and send deliveries again; affiliates only theirs.
    ManageDeliveries, "change destinations of deliveries", CampaignsWrite: Owner Admin Manager Affiliate;
    /// Fetch the events of the network, with the revenue of all advertisers.
    FollowEvents, "follow the events of the network", ConversionsRead: Owner Admin;
    /// Approve and reject conversions.
    DecideConversions, "approve and reject conversions", ConversionsWrite: Owner Admin Manager;
    /// See advertisers, affiliates, groups and applications.
    SeeParties, "see advertisers and affiliates", PartiesRead: Owner Admin Manager Analyst;
    /// Create, change and import advertisers, affiliates and groups; decide applications.
    ManageParties, "change advertisers and affiliates", PartiesWrite: Owner Admin Manager;
    /// Invite users of advertisers and affiliates.
    InviteParties, "invite users of advertisers and affiliates", MembersWrite: Owner Admin Manager;
    /// See the network's members.
    SeeMembers, "see the network's members", MembersRead: Owner Admin Manager Analyst;
    /// Invite staff, change and revoke roles, revoke other members' API keys.
    ManageMembers, "manage members and their roles", MembersWrite: Owner Admin;
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
    /// True for permissions that an operator lacks while impersonating a member: their effect would outlast the
    /// impersonation, or destroy the network.
    #[must_use]
    pub fn forbidden_while_impersonating(self) -> bool {
        matches!(
            self,
            Self::DeleteNetwork
                | Self::InviteParties
                | Self::ManageMembers
                | Self::RotateToken
                | Self::SaveReports
                | Self::UseApi
        )
    }

    /// Roles of the network that can grant or exercise the permission: “an owner or admin”.
    #[must_use]
    pub fn roles_to_contact(self) -> String {
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
    /// True if this role has the permission, within its [`Scope`].
    #[must_use]
    pub fn may(self, permission: Permission) -> bool {
        permission.roles().contains(&self.kind())
    }

    /// Scope of the rows that this role may see; [`crate::Actor::scope`] is narrower for managers of some networks.
    #[must_use]
    pub fn scope(self) -> Scope {
        Scope {
            advertiser: self.advertiser(),
            affiliate: self.affiliate(),
            manager: None,
        }
    }
}

/// Missing permission.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
#[error("this requires the permission to {}; contact {}", .0.words(), .0.roles_to_contact())]
pub struct NotPermitted(pub Permission);

/// Scope of the rows that a query may return; every list and report takes one. Empty means the whole network.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub struct Scope {
    /// Rows of this advertiser only; None for all.
    pub advertiser: Option<AdvertiserId>,
    /// Rows of this affiliate only; None for all.
    pub affiliate: Option<AffiliateId>,
    /// Rows of the affiliates that this member manages only; None for all. Of settings, such a manager sees all.
    pub manager: Option<MembershipId>,
}

impl Scope {
    /// True if names of affiliates are hidden from an actor with this scope: an advertiser's, unless the network names them.
    ///
    /// # Errors
    /// Returns an error if the database fails.
    pub async fn hides_affiliates(self, conn: &mut NetworkConn) -> QueryResult<bool> {
        if self.advertiser.is_none() {
            return Ok(false);
        }
        let names_affiliates: bool = networks::table
            .find(conn.network_id())
            .select(networks::names_affiliates)
            .first(&mut **conn)
            .await?;
        Ok(!names_affiliates)
    }

    /// True if the scope is that of staff, not of an advertiser or an affiliate.
    #[must_use]
    pub fn is_staff(self) -> bool {
        self.advertiser.is_none() && self.affiliate.is_none()
    }

    /// True if the rows of this advertiser are within the scope.
    #[must_use]
    pub fn includes_advertiser(self, id: AdvertiserId) -> bool {
        self.advertiser.is_none_or(|own| own == id)
    }

    /// True if the rows of this affiliate are within the scope, whatever their advertiser.
    ///
    /// # Errors
    /// Returns an error if the database fails.
    pub async fn includes_affiliate(self, conn: &mut NetworkConn, id: AffiliateId) -> QueryResult<bool> {
        if self.affiliate.is_some_and(|own| own != id) {
            return Ok(false);
        }
        let Some(manager) = self.manager else {
            return Ok(true);
        };
        let managed =
            affiliates::managed_by(conn.network_id(), manager).filter(schema::affiliates::id.eq(id));
        diesel::select(diesel::dsl::exists(managed))
            .get_result(&mut **conn)
            .await
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn an_owner_has_every_permission_and_a_developer_only_those_of_the_integration() {
        assert!(
            Permission::ALL
                .iter()
                .all(|permission| Role::Owner.may(*permission))
        );
        let developer = Role::AdvertiserDeveloper(AdvertiserId(1));
        let allowed: Vec<_> = Permission::ALL
            .iter()
            .filter(|permission| developer.may(**permission))
            .collect();
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
    fn a_missing_permission_names_the_roles_to_contact() {
        assert_eq!(
            Permission::Configure.roles_to_contact(),
            "an owner, admin or manager"
        );
        assert_eq!(Permission::SeeAudit.roles_to_contact(), "an owner or admin");
        assert_eq!(Permission::DeleteNetwork.roles_to_contact(), "an owner");
    }
}
