//! Web server of a third party: as little HTTP as a test needs to control what its client receives.

use tokio::io::{AsyncBufReadExt, AsyncReadExt, AsyncWriteExt, BufReader};
use tokio::net::{TcpListener, TcpStream};

/// Serves on a free port until the test ends. `answer` returns the whole response to a request's target, which may also
/// be malformed or empty. Each connection takes one request.
pub async fn serve(answer: impl Fn(&str) -> String + Clone + Send + 'static) -> u16 {
    let listener = TcpListener::bind("127.0.0.1:0").await.expect("a free port");
    let port = listener.local_addr().expect("bound").port();
    tokio::spawn(async move {
        while let Ok((stream, _)) = listener.accept().await {
            let answer = answer.clone();
            tokio::spawn(async move {
                let mut stream = BufReader::new(stream);
                if let Some(target) = read(&mut stream).await {
                    // The client may have disconnected.
                    let _ = stream.write_all(answer(&target).as_bytes()).await;
                }
            });
        }
    });
    port
}

/// Returns an HTTP response with additional header lines, each ended by `\r\n`.
#[must_use]
pub fn http(status: &str, headers: &str, body: &str) -> String {
    let length = body.len();
    format!("HTTP/1.1 {status}\r\nContent-Length: {length}\r\nConnection: close\r\n{headers}\r\n{body}")
}

/// Reads a request to its end and returns its target; otherwise the client could lose the response with the connection.
async fn read(stream: &mut BufReader<TcpStream>) -> Option<String> {
    let (mut target, mut length) = (None, 0);
    loop {
        let mut line = String::new();
        // Browsers open connections that they may not need.
        if stream.read_line(&mut line).await.ok()? == 0 {
            return None;
        }
        let line = line.trim_end();
        if line.is_empty() {
            break;
        }
        if let Some((name, value)) = line.split_once(':')
            && name.eq_ignore_ascii_case("content-length")
        {
            length = value.trim().parse().ok()?;
        }
        target = target.or_else(|| line.split(' ').nth(1).map(str::to_owned));
    }
    let mut body = vec![0; length];
    stream.read_exact(&mut body).await.ok()?;
    target
}
