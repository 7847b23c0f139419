//! Memberships: what a person may do in a network, and for whom.

use chrono::{DateTime, Utc};
use diesel::prelude::*;
use diesel_async::RunQueryDsl;
use schema::{AdvertiserId, AffiliateId, MembershipId, NetworkConn, PersonId, memberships, people};

/// In which capacity a person acts.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Role {
    /// For the network: everything in it.
    Owner,
    /// For one advertiser.
    Advertiser(AdvertiserId),
    /// For one affiliate.
    Affiliate(AffiliateId),
}

impl Role {
    /// The word for it in the database, in `demo.json` and on pages.
    #[must_use]
    pub fn as_str(self) -> &'static str {
        match self {
            Self::Owner => "owner",
            Self::Advertiser(_) => "advertiser",
            Self::Affiliate(_) => "affiliate",
        }
    }

    fn advertiser(self) -> Option<AdvertiserId> {
        match self {
            Self::Advertiser(id) => Some(id),
            Self::Owner | Self::Affiliate(_) => None,
        }
    }

    fn affiliate(self) -> Option<AffiliateId> {
        match self {
            Self::Affiliate(id) => Some(id),
            Self::Owner | Self::Advertiser(_) => None,
        }
    }

    /// The role that the columns of a membership spell; the table's CHECK allows no other combination.
    fn from_columns(
        role: &str,
        advertiser: Option<AdvertiserId>,
        affiliate: Option<AffiliateId>,
    ) -> Option<Self> {
        match (role, advertiser, affiliate) {
            ("owner", None, None) => Some(Self::Owner),
            ("advertiser", Some(id), None) => Some(Self::Advertiser(id)),
            ("affiliate", None, Some(id)) => Some(Self::Affiliate(id)),
            _ => None,
        }
    }
}

/// Gives a person a role in this network.
///
/// # Errors
/// When the database fails, or the person has that very role already (a unique violation).
pub async fn create(
    conn: &mut NetworkConn,
    person_id: PersonId,
    role: Role,
    now: DateTime<Utc>,
) -> QueryResult<MembershipId> {
    let network_id = conn.network_id();
    diesel::insert_into(memberships::table)
        .values((
            memberships::network_id.eq(network_id),
            memberships::person_id.eq(person_id),
            memberships::role.eq(role.as_str()),
            memberships::advertiser_id.eq(role.advertiser()),
            memberships::affiliate_id.eq(role.affiliate()),
            memberships::created_at.eq(now),
        ))
        .returning(memberships::id)
        .get_result(&mut **conn)
        .await
}

/// A member of the network: the person and in which capacity.
#[derive(Debug, Clone)]
pub struct Member {
    /// The person.
    pub person_id: PersonId,
    /// As colleagues see it.
    pub person_name: String,
    /// In which capacity.
    pub role: Role,
}

/// The membership with this id.
///
/// # Errors
/// When the database fails.
pub async fn find(conn: &mut NetworkConn, id: MembershipId) -> QueryResult<Option<Member>> {
    type Columns = (
        PersonId,
        String,
        String,
        Option<AdvertiserId>,
        Option<AffiliateId>,
    );
    let network_id = conn.network_id();
    let found: Option<Columns> = memberships::table
        .inner_join(people::table)
        .filter(memberships::network_id.eq(network_id).and(memberships::id.eq(id)))
        .select((
            people::id,
            people::name,
            memberships::role,
            memberships::advertiser_id,
            memberships::affiliate_id,
        ))
        .first(&mut **conn)
        .await
        .optional()?;
    Ok(
        found.and_then(|(person_id, person_name, role, advertiser, affiliate)| {
            let role = Role::from_columns(&role, advertiser, affiliate)?;
            Some(Member {
                person_id,
                person_name,
                role,
            })
        }),
    )
}
