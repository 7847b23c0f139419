//! Sessions: the only place that connects to Postgres (`tests/database.rs` checks it).

use std::pin::pin;
use std::task::{Poll, ready};

use diesel::{ConnectionError, ConnectionResult};
use diesel_async::{AsyncConnection, AsyncPgConnection, SimpleAsyncConnection};
use futures_util::future::{self, Either};
use tokio_postgres::tls::NoTlsStream;
use tokio_postgres::{Client, Connection, Error, NoTls, Socket};

/// Settings of every session, whatever the cluster's configuration. The just-in-time compiler goes by the estimated cost
/// of a plan, which is huge for a plan with a disabled node (`enable_seqscan = off`): it would compile such a plan for
/// 600 ms each time, for a statement that runs 0.2 ms.
const SETTINGS: &str = "SET jit = off";

/// Opens a session as the login in `url`. A plain `SET`, because connection poolers refuse start-up options.
///
/// # Errors
/// Returns an error if the database does not answer or refuses the login.
pub async fn connect(url: &str) -> ConnectionResult<AsyncPgConnection> {
    let mut connection = AsyncPgConnection::establish(url).await?;
    connection
        .batch_execute(SETTINGS)
        .await
        .map_err(ConnectionError::CouldntSetupConfiguration)?;
    Ok(connection)
}

/// Opens a session below diesel, for COPY, pipelines and notifications. The caller drives the connection.
///
/// # Errors
/// Returns an error if the database does not answer or refuses the login.
pub async fn connect_client(url: &str) -> Result<(Client, Connection<Socket, NoTlsStream>), Error> {
    let (client, mut connection) = tokio_postgres::connect(url, NoTls).await?;
    set(&client, &mut connection).await?;
    Ok((client, connection))
}

/// Applies the settings, driving the connection meanwhile.
async fn set(client: &Client, connection: &mut Connection<Socket, NoTlsStream>) -> Result<(), Error> {
    let setting = pin!(client.batch_execute(SETTINGS));
    let driver = pin!(future::poll_fn(|context| {
        while let Some(message) = ready!(connection.poll_message(context)) {
            message?;
        }
        Poll::Ready(Ok(()))
    }));
    match future::select(setting, driver).await {
        Either::Left((set, _)) => set,
        Either::Right((Err(error), _)) => Err(error),
        Either::Right((Ok(()), setting)) => setting.await,
    }
}
