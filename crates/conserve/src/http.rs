//! Small HTTP/1.1 client: one keep-alive connection, one request at a time, no hidden retries.

use std::io;
use std::net::SocketAddr;

use tokio::io::{AsyncBufReadExt, AsyncReadExt, AsyncWriteExt, BufReader};
use tokio::net::TcpStream;

/// Longest response body, in bytes.
const MAX_BODY: usize = 1 << 20;

/// Connection to the server.
pub(crate) struct Connection {
    stream: BufReader<TcpStream>,
}

/// Response.
#[derive(Debug)]
pub(crate) struct Response {
    /// Status code.
    pub(crate) status: u16,
    headers: Vec<(String, String)>,
    /// Body.
    pub(crate) body: Vec<u8>,
}

impl Response {
    /// Returns a header, by its name in lower case.
    pub(crate) fn header(&self, name: &str) -> Option<&str> {
        let found = self.headers.iter().find(|(header, _)| header == name);
        found.map(|(_, value)| value.as_str())
    }

    /// Returns true if the server will close the connection.
    pub(crate) fn ends_connection(&self) -> bool {
        self.header("connection")
            .is_some_and(|value| value.eq_ignore_ascii_case("close"))
    }
}

impl Connection {
    /// Connects.
    pub(crate) async fn open(address: SocketAddr) -> io::Result<Self> {
        let stream = TcpStream::connect(address).await?;
        stream.set_nodelay(true)?;
        Ok(Self {
            stream: BufReader::new(stream),
        })
    }

    /// Sends a request and reads its response. After an error the connection is unusable, and whether the server acted
    /// is unknown.
    pub(crate) async fn send(&mut self, request: &str) -> io::Result<Response> {
        self.stream.get_mut().write_all(request.as_bytes()).await?;
        let status_line = self.line().await?;
        let status = status_line
            .strip_prefix("HTTP/1.1 ")
            .and_then(|rest| rest.get(..3)?.parse().ok())
            .ok_or_else(|| malformed("status line"))?;
        let mut headers = Vec::new();
        loop {
            let line = self.line().await?;
            if line.is_empty() {
                break;
            }
            let (name, value) = line.split_once(':').ok_or_else(|| malformed("header"))?;
            headers.push((name.to_ascii_lowercase(), value.trim().to_owned()));
        }
        let mut response = Response {
            status,
            headers,
            body: Vec::new(),
        };
        let length: usize = match response.header("content-length") {
            Some(length) => length.parse().map_err(|_| malformed("content-length"))?,
            None if response.header("transfer-encoding").is_some() => return Err(malformed("length")),
            None => 0,
        };
        if length > MAX_BODY {
            return Err(malformed("length"));
        }
        response.body.resize(length, 0);
        self.stream.read_exact(&mut response.body).await?;
        Ok(response)
    }

    async fn line(&mut self) -> io::Result<String> {
        let mut line = String::new();
        self.stream.read_line(&mut line).await?;
        match line.strip_suffix("\r\n") {
            Some(text) => Ok(text.to_owned()),
            None => Err(io::ErrorKind::UnexpectedEof.into()),
        }
    }
}

fn malformed(what: &str) -> io::Error {
    io::Error::new(io::ErrorKind::InvalidData, format!("malformed {what}"))
}

#[cfg(test)]
mod tests {
    use tokio::net::TcpListener;

    use super::*;

    /// Parses these bytes as a response, after which the server closes the connection.
    async fn answer(bytes: &'static str) -> io::Result<Response> {
        let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
        let address = listener.local_addr().unwrap();
        tokio::spawn(async move {
            let (mut stream, _) = listener.accept().await.unwrap();
            let mut request = [0; 64];
            let _ = stream.read(&mut request).await;
            stream.write_all(bytes.as_bytes()).await.unwrap();
        });
        Connection::open(address)
            .await?
            .send("GET / HTTP/1.1\r\n\r\n")
            .await
    }

    #[tokio::test]
    async fn a_response_is_read_with_its_headers_and_body() {
        let response = answer("HTTP/1.1 302 Found\r\nLocation: /x\r\nContent-Length: 2\r\n\r\nok")
            .await
            .unwrap();
        assert_eq!(
            (response.status, response.body.as_slice()),
            (302, b"ok".as_slice())
        );
        assert_eq!(response.header("location"), Some("/x"));
        assert!(!response.ends_connection());
    }

    #[tokio::test]
    async fn an_incomplete_response_is_an_error() {
        for bytes in [
            "",
            "HTTP/1.1 302 Fou",
            "HTTP/1.1 302 Found\r\nLocation: /x\r\n",
            "HTTP/1.1 200 OK\r\nContent-Length: 5\r\n\r\nok",
            "nonsense\r\n\r\n",
        ] {
            assert!(answer(bytes).await.is_err(), "{bytes:?}");
        }
    }
}
