//! Content of a file, part by part, so that a download of any size takes little memory.

use bytes::Bytes;
use diesel::prelude::*;
use diesel_async::RunQueryDsl;
use futures_util::{Stream, stream};
use schema::{Db, DbError, NetworkId, ReportFileId, report_file_parts};

/// Parts of a file in order. Each is read when the one before it is sent; no transaction is open in between.
pub fn read(db: Db, network_id: NetworkId, id: ReportFileId) -> impl Stream<Item = Result<Bytes, DbError>> {
    stream::try_unfold(0, move |number: i32| {
        let db = db.clone();
        async move {
            let mut conn = db.network(network_id).await?;
            let data: Option<Vec<u8>> = report_file_parts::table
                .find((network_id, id, number))
                .select(report_file_parts::data)
                .first(&mut *conn)
                .await
                .optional()?;
            conn.commit().await?;
            Ok(data.map(|data| (Bytes::from(data), number + 1)))
        }
    })
}
