//! Authenticated actors, the means and the role they act by, and the proof of permission that opens a connection.

use std::marker::PhantomData;
use std::net::IpAddr;
use std::ops::Deref;

use ipnet::IpNet;
use schema::{Db, DbError, MembershipId, NetworkConn, NetworkId, PersonId, SessionId};

use crate::affiliates::AffiliateStatus;
use crate::author::{Author, Via};
use crate::permissions::{ApiScope, Need, NotPermitted, Permission, Scope};
use crate::roles::Role;

/// An operator's impersonation of a member.
#[derive(Debug, Clone)]
pub struct Impersonation {
    /// The operator.
    pub operator_id: PersonId,
    /// Operator's display name.
    pub operator_name: String,
    /// Reason that the operator entered.
    pub reason: String,
}

/// Authenticated user, API key or token behind a request, with its role: the start of every page and endpoint.
#[derive(Debug, Clone)]
pub struct Actor {
    pub(crate) network_id: NetworkId,
    /// Membership that grants the role.
    pub membership_id: MembershipId,
    /// Person who holds the membership.
    pub person_id: PersonId,
    /// Person's display name.
    pub person_name: String,
    /// Role in the network.
    pub role: Role,
    /// Means by which the actor acts.
    pub via: Via,
    /// Remote IP address; None if unknown.
    pub address: Option<IpAddr>,
    /// Session; None for API keys.
    pub session_id: Option<SessionId>,
    /// Impersonation by an operator; None if the person is acting.
    pub impersonation: Option<Impersonation>,
    /// Status of the affiliate that the role belongs to; None for other roles.
    pub affiliate_status: Option<AffiliateStatus>,
    /// True if the actor is a manager whom the network restricts to the affiliates they manage.
    pub(crate) is_restricted: bool,
    /// True if the network requires two-factor authentication and the person has not set it up.
    pub lacks_second_factor: bool,
    /// Scopes of the API key; None if no API key is in use.
    pub scopes: Option<Vec<ApiScope>>,
}

impl Actor {
    /// Network the actor belongs to, for code that needs its id without a database row (such as click IDs).
    #[must_use]
    pub fn network_id(&self) -> NetworkId {
        self.network_id
    }

    /// Scope of the rows that the actor may see.
    #[must_use]
    pub fn scope(&self) -> Scope {
        Scope {
            manager: self.is_restricted.then_some(self.membership_id),
            ..self.role.scope()
        }
    }

    /// True if the role has this permission, the API key's scopes cover it, and impersonation does not forbid it. A manager
    /// who is restricted to some affiliates sees no postbacks: they hold the orders of all.
    #[must_use]
    pub fn may(&self, permission: Permission) -> bool {
        let in_scope = self
            .scopes
            .as_ref()
            .is_none_or(|scopes| permission == Permission::SignIn || scopes.contains(&permission.scope()));
        self.role.may(permission)
            && in_scope
            && !(self.is_restricted && permission == Permission::SeePostbacks)
            && (self.impersonation.is_none() || !permission.forbidden_while_impersonating())
    }

    /// Author under which the audit log records this actor's changes.
    #[must_use]
    pub fn author(&self) -> Author {
        let (person_id, name) = match &self.impersonation {
            Some(impersonation) => (
                impersonation.operator_id,
                format!(
                    "{} (operator) as {}",
                    impersonation.operator_name, self.person_name
                ),
            ),
            None => (self.person_id, self.person_name.clone()),
        };
        Author {
            person_id: Some(person_id),
            name,
            via: self.via,
            address: self.address.map(IpNet::from),
            scope: self.scope(),
        }
    }

    /// Proof that this actor has the permission `P`.
    ///
    /// # Errors
    /// [`NotPermitted`] if the actor lacks the permission.
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

/// Actor whose permission `P` was checked; the only way to a connection to the network's rows.
#[derive(Debug, Clone)]
pub struct Access<P> {
    actor: Actor,
    permission: PhantomData<P>,
}

impl<P> Access<P> {
    /// Transaction on the rows of the actor's network.
    ///
    /// # Errors
    /// The errors of [`Db::network`].
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
