//! Who is acting, by what means and for whom; and the proof that they may, without which there is no connection.

use std::marker::PhantomData;
use std::net::IpAddr;
use std::ops::Deref;

use ipnet::IpNet;
use schema::{Db, DbError, MembershipId, NetworkConn, NetworkId, PersonId, SessionId, text_enum};

use crate::affiliates::AffiliateStatus;
use crate::permissions::{ApiScope, Need};
use crate::{Permission, Role};

text_enum! {
    /// By what means something was done.
    pub enum Via {
        /// In the dashboard.
        Page = "page",
        /// By a program, over the API.
        Api = "api",
        /// On the machine the server runs on.
        CommandLine = "command_line",
        /// By the product itself, by a rule somebody set.
        System = "system",
    }
}

/// Whom the audit log names.
#[derive(Debug, Clone)]
pub struct Author {
    /// The person, if it was one.
    pub person_id: Option<PersonId>,
    /// In words, as they are called now.
    pub name: String,
    /// By what means.
    pub via: Via,
    /// From where.
    pub address: Option<IpNet>,
}

impl Author {
    /// Somebody on the machine the server runs on.
    #[must_use]
    pub fn command_line() -> Self {
        Self {
            person_id: None,
            name: "Command line".to_owned(),
            via: Via::CommandLine,
            address: None,
        }
    }

    /// The product itself.
    #[must_use]
    pub fn system() -> Self {
        Self {
            person_id: None,
            name: "Clickledger".to_owned(),
            via: Via::System,
            address: None,
        }
    }
}

/// An operator who acts under somebody else's membership.
#[derive(Debug, Clone)]
pub struct Impersonation {
    /// The operator.
    pub operator_id: PersonId,
    /// As colleagues see the operator.
    pub operator_name: String,
    /// Why, as the operator said.
    pub reason: String,
}

/// Who is acting, and in which capacity: what every page and endpoint starts from.
#[derive(Debug, Clone)]
pub struct Actor {
    pub(crate) network_id: NetworkId,
    /// The membership acted under.
    pub membership_id: MembershipId,
    /// The person whose membership it is.
    pub person_id: PersonId,
    /// As colleagues see it.
    pub person_name: String,
    /// In which capacity.
    pub role: Role,
    /// By what means.
    pub via: Via,
    /// From where.
    pub address: Option<IpAddr>,
    /// The session, where there is one.
    pub session_id: Option<SessionId>,
    /// The operator behind it, if it is one.
    pub impersonation: Option<Impersonation>,
    /// Whether the affiliate acted for is worked with; none for other roles.
    pub affiliate_status: Option<AffiliateStatus>,
    /// Whether the network demands a second factor that the person does not have yet.
    pub lacks_second_factor: bool,
    /// What the API key is limited to; none where there is no key.
    pub scopes: Option<Vec<ApiScope>>,
}

/// What is missing.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
#[error("this needs the permission to {}; ask {}", .0.words(), .0.whom_to_ask())]
pub struct NotPermitted(pub Permission);

impl Actor {
    /// The network acted in, for what is bound to it without touching its rows (such as click ids).
    #[must_use]
    pub fn network_id(&self) -> NetworkId {
        self.network_id
    }

    /// Whether the role has this permission, and the key, if there is one, its scope.
    #[must_use]
    pub fn may(&self, permission: Permission) -> bool {
        let in_scope = self
            .scopes
            .as_ref()
            .is_none_or(|scopes| permission == Permission::SignIn || scopes.contains(&permission.scope()));
        self.role.may(permission)
            && in_scope
            && (self.impersonation.is_none() || !outlives_a_visit(permission))
    }

    /// Whom the audit log will name.
    #[must_use]
    pub fn author(&self) -> Author {
        let (person_id, name) = match &self.impersonation {
            Some(it) => (
                it.operator_id,
                format!("{} (operator) as {}", it.operator_name, self.person_name),
            ),
            None => (self.person_id, self.person_name.clone()),
        };
        Author {
            person_id: Some(person_id),
            name,
            via: self.via,
            address: self.address.map(IpNet::from),
        }
    }

    /// The proof that this actor has the permission `P`.
    ///
    /// # Errors
    /// When it has not.
    pub fn access<P: Need>(&self) -> Result<Access<P>, NotPermitted> {
        if self.may(P::PERMISSION) {
            Ok(Access {
                actor: self.clone(),
                permission: PhantomData,
            })
        } else {
            Err(NotPermitted(P::PERMISSION))
        }
    }
}

/// What an operator who acts for somebody may not do: it would go on working after the visit, or take everything away.
fn outlives_a_visit(permission: Permission) -> bool {
    use Permission::{DeleteNetwork, InviteParties, ManageMembers, RotateToken, UseApi};
    matches!(
        permission,
        DeleteNetwork | InviteParties | ManageMembers | RotateToken | UseApi
    )
}

/// An actor that was seen to have the permission `P`. The way to a network's rows: no data without the check.
#[derive(Debug, Clone)]
pub struct Access<P> {
    actor: Actor,
    permission: PhantomData<P>,
}

impl<P> Access<P> {
    /// A transaction on the rows of the actor's network.
    ///
    /// # Errors
    /// As [`Db::network`].
    pub async fn network(&self, db: &Db) -> Result<NetworkConn, DbError> {
        db.network(self.actor.network_id).await
    }
}

impl<P> Deref for Access<P> {
    type Target = Actor;

    fn deref(&self) -> &Actor {
        &self.actor
    }
}
