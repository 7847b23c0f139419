//! Invitations: roles offered to e-mail addresses, each accepted once and within seven days.

use chrono::{DateTime, TimeDelta, Utc};
use diesel::prelude::*;
use diesel_async::RunQueryDsl;
use schema::{
    AdvertiserId, AffiliateId, InvitationId, MembershipId, NetworkConn, PersonId, advertisers, affiliates,
    invitations,
};
use serde_json::json;

use crate::actor::Actor;
use crate::audit::{self, Change};
use crate::author::{Author, Via};
use crate::error::{ChangeError, check_email};
use crate::memberships::{self, check_free_seat, check_grant};
use crate::one_time::OneTimeToken;
use crate::{Role, Scope};

/// Validity of an invitation.
pub const LIFETIME: TimeDelta = TimeDelta::days(7);

/// Invites an e-mail address to a role. Replaces an open invitation of the same address to the same role.
///
/// # Errors
/// [`ChangeError::Fields`], [`ChangeError::Limit`] if no seat is free, [`ChangeError::NotPermitted`].
pub async fn create(
    conn: &mut NetworkConn,
    actor: &Actor,
    email: &str,
    role: Role,
    now: DateTime<Utc>,
) -> Result<(InvitationId, OneTimeToken), ChangeError> {
    check_grant(actor, role.kind())?;
    offer(conn, &actor.author(), email, role, now).await
}

/// Invites without a permission check: for applications that are approved automatically, and for the command line.
///
/// # Errors
/// Those of [`create`], except [`ChangeError::NotPermitted`].
#[tracing::instrument(skip_all, fields(network = %conn.network_id(), invitation = tracing::field::Empty, role = role.as_str()))]
pub async fn offer(
    conn: &mut NetworkConn,
    author: &Author,
    email: &str,
    role: Role,
    now: DateTime<Utc>,
) -> Result<(InvitationId, OneTimeToken), ChangeError> {
    let email = check_email(email).map_err(|message| ChangeError::field("email", message))?;
    check_party(conn, role).await?;
    if role.kind().is_staff() && memberships::is_staff_member(conn, &email).await? {
        let message =
            "This person is already a member of this network. Change the role under People instead.";
        return Err(ChangeError::field("email", message));
    }
    let network_id = conn.network_id();
    diesel::update(
        invitations::table
            .filter(invitations::network_id.eq(network_id))
            .filter(invitations::email.eq(&email))
            .filter(invitations::role.eq(role.as_str()))
            .filter(invitations::advertiser_id.is_not_distinct_from(role.advertiser()))
            .filter(invitations::affiliate_id.is_not_distinct_from(role.affiliate()))
            .filter(invitations::ended_at.is_null()),
    )
    .set(invitations::ended_at.eq(Some(now)))
    .execute(&mut **conn)
    .await?;
    check_free_seat(conn, role.kind(), now).await?;
    let token = OneTimeToken::of_network(network_id);
    let id: InvitationId = diesel::insert_into(invitations::table)
        .values((
            invitations::network_id.eq(network_id),
            invitations::token_hash.eq(token.hash()),
            invitations::email.eq(&email),
            invitations::role.eq(role.as_str()),
            invitations::advertiser_id.eq(role.advertiser()),
            invitations::affiliate_id.eq(role.affiliate()),
            invitations::created_at.eq(now),
            invitations::expires_at.eq(now + LIFETIME),
        ))
        .returning(invitations::id)
        .get_result(&mut **conn)
        .await?;
    tracing::Span::current().record("invitation", tracing::field::display(id));
    let change = Change::created("invitation.create", id, &email, json!({ "role": role.as_str() }));
    audit::record(conn, author, change, now).await?;
    Ok((id, token))
}

/// Rejects an advertiser or affiliate that does not exist in this network with a field error; another network's reads
/// the same as an absent one.
async fn check_party(conn: &mut NetworkConn, role: Role) -> Result<(), ChangeError> {
    let network_id = conn.network_id();
    if let Some(id) = role.advertiser() {
        let known: Option<AdvertiserId> = advertisers::table
            .find((network_id, id))
            .select(advertisers::id)
            .first(&mut **conn)
            .await
            .optional()?;
        known.ok_or_else(|| ChangeError::field("advertiser", "Choose one of your advertisers."))?;
    }
    if let Some(id) = role.affiliate() {
        let known: Option<AffiliateId> = affiliates::table
            .find((network_id, id))
            .select(affiliates::id)
            .first(&mut **conn)
            .await
            .optional()?;
        known.ok_or_else(|| ChangeError::field("affiliate", "Choose one of your affiliates."))?;
    }
    Ok(())
}

/// An open invitation.
#[derive(Debug, Clone)]
pub struct Invitation {
    /// Invitation ID.
    pub id: InvitationId,
    /// Invited e-mail address.
    pub email: String,
    /// Role granted on acceptance.
    pub role: Role,
    /// Name of the advertiser or affiliate that the role is for; None for staff roles.
    pub party: Option<String>,
    /// Time of creation.
    pub created_at: DateTime<Utc>,
    /// Time of expiry.
    pub expires_at: DateTime<Utc>,
}

type Columns = (
    InvitationId,
    String,
    String,
    Option<AdvertiserId>,
    Option<AffiliateId>,
    Option<String>,
    Option<String>,
    DateTime<Utc>,
    DateTime<Utc>,
);

fn invitation(row: Columns) -> QueryResult<Invitation> {
    let (id, email, role, advertiser, affiliate, adv_name, aff_name, created_at, expires_at) = row;
    Ok(Invitation {
        id,
        email,
        role: Role::stored(&role, advertiser, affiliate)?,
        party: adv_name.or(aff_name),
        created_at,
        expires_at,
    })
}

/// Selection of open invitations.
enum Which<'a> {
    All(Scope),
    Id(InvitationId),
    Token(&'a OneTimeToken),
}

async fn open(conn: &mut NetworkConn, which: Which<'_>, now: DateTime<Utc>) -> QueryResult<Vec<Invitation>> {
    let network_id = conn.network_id();
    let mut query = invitations::table
        .left_join(
            advertisers::table.on(advertisers::network_id
                .eq(invitations::network_id)
                .and(invitations::advertiser_id.eq(advertisers::id.nullable()))),
        )
        .left_join(
            affiliates::table.on(affiliates::network_id
                .eq(invitations::network_id)
                .and(invitations::affiliate_id.eq(affiliates::id.nullable()))),
        )
        .filter(invitations::network_id.eq(network_id))
        .filter(invitations::ended_at.is_null())
        .filter(invitations::expires_at.gt(now))
        .order((invitations::created_at.desc(), invitations::id))
        .limit(500)
        .select((
            invitations::id,
            invitations::email,
            invitations::role,
            invitations::advertiser_id,
            invitations::affiliate_id,
            advertisers::name.nullable(),
            affiliates::name.nullable(),
            invitations::created_at,
            invitations::expires_at,
        ))
        .into_boxed();
    query = match which {
        Which::All(scope) => {
            if let Some(id) = scope.advertiser {
                query = query.filter(invitations::advertiser_id.eq(id));
            }
            if let Some(id) = scope.affiliate {
                query = query.filter(invitations::affiliate_id.eq(id));
            }
            query
        }
        Which::Id(id) => query.filter(invitations::id.eq(id)),
        Which::Token(token) => query.filter(invitations::token_hash.eq(token.hash())),
    };
    let rows: Vec<Columns> = query.load(&mut **conn).await?;
    rows.into_iter().map(invitation).collect()
}

/// Open invitations, newest first, at most 500; of one party if the scope is limited to it.
///
/// # Errors
/// Returns an error if the database fails.
pub async fn list(conn: &mut NetworkConn, scope: Scope, now: DateTime<Utc>) -> QueryResult<Vec<Invitation>> {
    open(conn, Which::All(scope), now).await
}

/// Open invitation with this token.
///
/// # Errors
/// Returns an error if the database fails.
pub async fn by_token(
    conn: &mut NetworkConn,
    token: &OneTimeToken,
    now: DateTime<Utc>,
) -> QueryResult<Option<Invitation>> {
    Ok(open(conn, Which::Token(token), now).await?.pop())
}

/// Withdraws an open invitation.
///
/// # Errors
/// [`ChangeError::NotFound`], [`ChangeError::NotPermitted`].
#[tracing::instrument(skip_all, fields(network = %conn.network_id(), invitation = %id))]
pub async fn withdraw(
    conn: &mut NetworkConn,
    actor: &Actor,
    id: InvitationId,
    now: DateTime<Utc>,
) -> Result<(), ChangeError> {
    let found = open(conn, Which::Id(id), now).await?.pop();
    let invitation = found.ok_or(ChangeError::NotFound)?;
    check_grant(actor, invitation.role.kind())?;
    end(conn, id, now).await?;
    let change = Change::noted("invitation.withdraw", id, &invitation.email);
    audit::record(conn, &actor.author(), change, now).await?;
    Ok(())
}

/// Ends an invitation and returns true if it was open. The update checks that, so that an invitation cannot be accepted
/// twice.
async fn end(conn: &mut NetworkConn, id: InvitationId, now: DateTime<Utc>) -> QueryResult<bool> {
    let network_id = conn.network_id();
    let ended = diesel::update(
        invitations::table
            .find((network_id, id))
            .filter(invitations::ended_at.is_null()),
    )
    .set(invitations::ended_at.eq(Some(now)))
    .execute(&mut **conn)
    .await?;
    Ok(ended == 1)
}

/// Accepts an invitation: the person becomes a member with its role.
///
/// # Errors
/// [`ChangeError::NotFound`] if the invitation is no longer open.
#[tracing::instrument(skip_all, fields(network = %conn.network_id(), invitation = %invitation.id, person = %person_id))]
pub async fn accept(
    conn: &mut NetworkConn,
    invitation: &Invitation,
    person_id: PersonId,
    person_name: &str,
    now: DateTime<Utc>,
) -> Result<MembershipId, ChangeError> {
    if !end(conn, invitation.id, now).await? {
        return Err(ChangeError::NotFound);
    }
    let author = Author {
        person_id: Some(person_id),
        name: person_name.to_owned(),
        via: Via::Page,
        address: None,
        scope: crate::Scope::default(),
    };
    Ok(memberships::give(conn, &author, person_id, invitation.role, now).await?)
}
