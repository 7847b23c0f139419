//! Conversions that wait for a decision, and their money.

use diesel::prelude::*;
use diesel::sql_types::{BigInt, Integer, Nullable, Text};
use diesel_async::RunQueryDsl;
use schema::{Currency, NetworkConn};
use tenancy::Scope;

use crate::ledger::whole_micros;

/// Pending conversions in one currency.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Undecided {
    /// Currency.
    pub currency: Currency,
    /// Conversions.
    pub conversions: i64,
    /// Conversions among them that need a manual review.
    pub in_review: i64,
    /// Their commission, in micro-units.
    pub commission_micros: i128,
    /// Their revenue, in micro-units.
    pub revenue_micros: i128,
}

/// Pending conversions in scope, one per currency, in the order of the codes.
///
/// # Errors
/// Returns an error if the database fails.
pub async fn undecided(conn: &mut NetworkConn, scope: Scope) -> QueryResult<Vec<Undecided>> {
    #[derive(QueryableByName)]
    struct Sum {
        #[diesel(sql_type = Text)]
        currency: Currency,
        #[diesel(sql_type = BigInt)]
        conversions: i64,
        #[diesel(sql_type = BigInt)]
        in_review: i64,
        #[diesel(sql_type = Text)]
        commission: String,
        #[diesel(sql_type = Text)]
        revenue: String,
    }
    // The status is a literal, so that the index of conversions that are not approved serves.
    const UNDECIDED: &str = "
        SELECT currency, count(*) AS conversions, count(review_because) AS in_review,
            sum(commission_micros)::text AS commission, sum(revenue_micros)::text AS revenue
        FROM conversions c
        WHERE network_id = $1 AND status = 'pending'
            AND ($2 IS NULL OR advertiser_id = $2) AND ($3 IS NULL OR affiliate_id = $3)
            AND ($4 IS NULL OR EXISTS (SELECT FROM affiliates a WHERE a.network_id = c.network_id
                AND a.id = c.affiliate_id AND a.manager_id = $4))
        GROUP BY currency ORDER BY currency";
    let sums: Vec<Sum> = diesel::sql_query(UNDECIDED)
        .bind::<Integer, _>(conn.network_id())
        .bind::<Nullable<Integer>, _>(scope.advertiser)
        .bind::<Nullable<Integer>, _>(scope.affiliate)
        .bind::<Nullable<Integer>, _>(scope.manager)
        .load(&mut **conn)
        .await?;
    sums.into_iter()
        .map(|sum| {
            Ok(Undecided {
                currency: sum.currency,
                conversions: sum.conversions,
                in_review: sum.in_review,
                commission_micros: whole_micros(&sum.commission)?,
                revenue_micros: whole_micros(&sum.revenue)?,
            })
        })
        .collect()
}
