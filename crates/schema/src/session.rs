//! Sessions: the only place that connects to Postgres (`tests/database.rs` checks it).

use std::pin::pin;
use std::task::{Poll, ready};

use diesel::{ConnectionError, ConnectionResult};
use diesel_async::{AsyncPgConnection, SimpleAsyncConnection};
use futures_util::future::{self, Either};
use tokio_postgres::config::SslMode;
use tokio_postgres::{Client, Config, Connection, Error, SimpleQueryMessage, Socket};

use crate::address::{Address, AddressError};
use crate::tls::{self, Connector, TlsError};

/// Settings of every session, whatever the cluster's configuration. The just-in-time compiler goes by the estimated cost
/// of a plan, which is huge for a plan with a disabled node (`enable_seqscan = off`): it would compile such a plan for
/// 600 ms each time, for a statement that runs 0.2 ms.
const SETTINGS: &str = "SET jit = off";

/// Connection of a session below diesel, driven by its owner.
pub type Driver = Connection<Socket, tls::Stream>;

/// Reason why no session was opened.
#[derive(Debug, thiserror::Error)]
pub enum ConnectError {
    /// Address that cannot be used.
    #[error(transparent)]
    Address(#[from] AddressError),
    /// File of the address that cannot be used.
    #[error(transparent)]
    Tls(#[from] TlsError),
    /// The server does not answer, refuses the login, or its certificate is not trusted.
    #[error("{}", describe(.0))]
    Postgres(#[from] Error),
}

/// Message of a Postgres error with its code, or with its cause where it has none.
pub(crate) fn describe(error: &Error) -> String {
    if let Some(error) = error.as_db_error() {
        return format!("{} ({})", error.message(), error.code().code());
    }
    match std::error::Error::source(error) {
        Some(source) if source.is::<TlsError>() => source.to_string(),
        Some(source) => match tls::remedy_of_alert(error) {
            Some(remedy) => remedy,
            None => format!("{error}: {source}"),
        },
        None => error.to_string(),
    }
}

/// Opens a session as the login in `url`. A plain `SET`, because connection poolers refuse start-up options.
///
/// # Errors
/// Returns an error if the database does not answer or refuses the login.
pub async fn connect(url: &str) -> ConnectionResult<AsyncPgConnection> {
    let (client, connection) = open(url)
        .await
        .map_err(|error| ConnectionError::BadConnection(error.to_string()))?;
    let mut connection = AsyncPgConnection::try_from_client_and_connection(client, connection).await?;
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
pub async fn connect_client(url: &str) -> Result<(Client, Driver), ConnectError> {
    let (client, mut connection) = open(url).await?;
    set(&client, &mut connection).await?;
    Ok((client, connection))
}

/// Returns true if connections to `url` share their sessions, behind a pooler that lends a session for a transaction or a
/// statement: roles, settings, locks and prepared statements of one connection would be those of another.
///
/// # Errors
/// Returns an error if the database does not answer or refuses the login.
pub async fn are_sessions_shared(url: &str) -> Result<bool, ConnectError> {
    let (first, driver) = connect_client(url).await?;
    let first_driver = tokio::spawn(driver);
    let (second, driver) = connect_client(url).await?;
    let second_driver = tokio::spawn(driver);
    let own = server_process(&first).await?;
    let mut are_shared = false;
    // A pooler answers by the session that was used last, or by each in turn.
    for _ in 0..5 {
        are_shared |= server_process(&second).await? == own || server_process(&first).await? != own;
    }
    drop((first, second));
    // Waits until both are closed, so that a small pool has room for the next connections.
    let _ = tokio::join!(first_driver, second_driver);
    Ok(are_shared)
}

/// Number of the server's process behind a connection. By a simple query, because a pooler can run a prepared statement in
/// another session than that which prepared it.
async fn server_process(client: &Client) -> Result<Option<String>, Error> {
    let messages = client.simple_query("SELECT pg_backend_pid()").await?;
    let row = messages.iter().find_map(|message| match message {
        SimpleQueryMessage::Row(row) => Some(row),
        _ => None,
    });
    Ok(row.and_then(|row| row.get(0)).map(str::to_owned))
}

/// Connects under the TLS settings of the address. Certificates are read each time, so that renewed ones are used.
async fn open(url: &str) -> Result<(Client, Driver), ConnectError> {
    let address: Address = url.parse()?;
    let connector = Connector::new(&address.tls)?;
    let connected = Config::connect(&address.config, connector.clone()).await;
    match connected {
        // A handshake that fails for other reasons than trust, such as a server that knows TLS 1.1 only.
        Err(error) if is_of_tls(&error) && address.config.get_ssl_mode() == SslMode::Prefer => {
            let mut config = address.config;
            config.ssl_mode(SslMode::Disable);
            Ok(config.connect(connector).await?)
        }
        connected => Ok(connected?),
    }
}

fn is_of_tls(error: &Error) -> bool {
    std::error::Error::source(error).is_some_and(|source| source.is::<TlsError>())
}

/// Applies the settings, driving the connection meanwhile.
async fn set(client: &Client, connection: &mut Driver) -> Result<(), Error> {
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

#[cfg(test)]
mod tests {
    use tokio::io::{AsyncReadExt, AsyncWriteExt};
    use tokio::net::TcpListener;

    use super::*;

    /// Second half of the first message of a connection that asks for TLS.
    const SSL_REQUEST: [u8; 4] = [0x04, 0xd2, 0x16, 0x2f];
    /// Protocol version 3.0, in the first message of an unencrypted connection.
    const PROTOCOL: [u8; 4] = [0, 3, 0, 0];

    /// First messages of the connections to a server that agrees to TLS and then fails.
    async fn requests(options: &str, expected: usize) -> Vec<[u8; 4]> {
        let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
        let port = listener.local_addr().unwrap().port();
        let serving = tokio::spawn(async move {
            let mut requests = Vec::new();
            while requests.len() < expected {
                let (mut socket, _) = listener.accept().await.unwrap();
                let mut message = [0; 8];
                socket.read_exact(&mut message).await.unwrap();
                let [_, _, _, _, kind @ ..] = message;
                requests.push(kind);
                if kind == SSL_REQUEST {
                    socket.write_all(b"Snot TLS").await.unwrap();
                }
            }
            requests
        });
        let url = format!("postgres://app@127.0.0.1:{port}/click{options}");
        assert!(connect_client(&url).await.is_err());
        serving.await.unwrap()
    }

    #[tokio::test]
    async fn only_a_preferred_encryption_is_given_up_when_the_handshake_fails() {
        assert_eq!(requests("", 2).await, [SSL_REQUEST, PROTOCOL]);
        assert_eq!(requests("?sslmode=require", 1).await, [SSL_REQUEST]);
        assert_eq!(requests("?sslmode=verify-full", 1).await, [SSL_REQUEST]);
        assert_eq!(requests("?sslmode=disable", 1).await, [PROTOCOL]);
    }
}
