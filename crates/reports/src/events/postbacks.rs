//! Postbacks of a period, by the few dimensions that they have.

use diesel::prelude::*;
use diesel::sql_types::{Array, BigInt, Nullable, Text};
use schema::NetworkConn;

use super::{Events, grouped};
use crate::field::Field;
use crate::groups::{Groups, Translator};
use crate::{Postbacks, ReportError};

/// The scope of the actor: affiliates have no postbacks, nor has a manager of some affiliates. The other parameters belong to all statements.
const SCOPE: &str = "
    AND $4::integer[] IS NULL AND ($5::integer IS NULL OR advertiser_id = $5)
    AND ($6::integer[] IS NULL OR campaign_id = ANY ($6)) AND $7::integer[] IS NULL AND $8::integer[] IS NULL
    AND $9::text IS NOT NULL";

#[derive(QueryableByName)]
struct PostbackRow {
    #[diesel(sql_type = Array<Nullable<Text>>)]
    fields: Vec<Option<String>>,
    #[diesel(sql_type = BigInt)]
    received: i64,
    #[diesel(sql_type = BigInt)]
    rejected: i64,
    #[diesel(sql_type = BigInt)]
    held: i64,
}

impl Events<'_> {
    /// Adds the postbacks of the period. The key of a postback begins with its time.
    pub(crate) async fn add_postbacks(
        &self,
        conn: &mut NetworkConn,
        groups: &mut Groups,
    ) -> Result<(), ReportError> {
        let fields = self.plan.fields.iter();
        let expression = |field: Field| match field {
            Field::Time => "date_bin('15 minutes', received_at, 'epoch')".to_owned(),
            // Links with tests have no postbacks here.
            Field::Link => "NULL::integer".to_owned(),
            other => other.column().to_owned(),
        };
        let text = grouped(
            fields.map(|planned| (planned, expression(planned.field))),
            "count(*) AS received, count(*) FILTER (WHERE status = 'rejected') AS rejected,
             count(*) FILTER (WHERE status = 'held') AS held",
            "",
            &format!(
                "postbacks WHERE network_id = $1 AND received_at >= $2 AND received_at < $3 AND NOT is_test {SCOPE}"
            ),
        );
        let rows: Vec<PostbackRow> = self.load(conn, text, (self.plan.from, self.plan.to)).await?;
        let mut translator = Translator::new(self.plan, self.keys);
        for row in rows {
            if let Some(key) = translator.key(&row.fields)? {
                let postbacks = Postbacks {
                    received: row.received,
                    rejected: row.rejected,
                    held: row.held,
                };
                groups.add_postbacks(key, postbacks);
            }
        }
        groups.check_size()
    }
}
