//! Stream that percent-encodes what a request target must not contain: raw bytes outside ASCII, spaces, quotes, angle
//! brackets, control characters.
//!
//! Shops and old browsers send them. The framework would answer 400 before the tracking code sees the request, so a
//! postback would leave no trace and a visitor would be lost.
//!
//! Only bytes between the two outer spaces of a request line change, so that the framing stays as it was sent. Behind a
//! request with a body the stream is passed through: where the next request begins is known to the framework alone.

use std::io::{self, IoSlice};
use std::pin::Pin;
use std::task::{Context, Poll, ready};

use tokio::io::{AsyncRead, AsyncWrite, ReadBuf};

/// Longest request line that is looked at: twice the longest target that is taken.
const MAX_LINE: usize = 16 * 1024;

/// Beginnings of header lines after which bytes follow that belong to no head.
const OF_BODY: [&[u8]; 3] = [b"content-length:", b"transfer-encoding:", b"upgrade:"];
/// Length of the longest of them.
const LONGEST: usize = 18;

/// Part of the stream that comes next.
enum Next {
    /// A request line.
    RequestLine,
    /// The rest of a header line that began with these bytes.
    Header(Vec<u8>),
    /// Bytes that are passed through.
    Rest,
}

/// Stream of requests whose targets are valid.
pub(crate) struct RequestTargets<S> {
    stream: S,
    next: Next,
    /// Bytes read: first `ready` ones to pass on, then a request line without its end.
    held: Vec<u8>,
    ready: usize,
}

impl<S> RequestTargets<S> {
    pub(crate) fn new(stream: S) -> Self {
        Self {
            stream,
            next: Next::RequestLine,
            held: Vec::new(),
            ready: 0,
        }
    }

    /// Follows the bytes up to the end of a request line that must change or is not complete. Returns the number of bytes
    /// before that line.
    fn follow(&mut self, bytes: &[u8]) -> usize {
        let mut at = 0;
        while let Some(rest) = bytes.get(at..).filter(|rest| !rest.is_empty()) {
            let end = memchr::memchr(b'\n', rest).map(|end| end + 1);
            let line = rest.get(..end.unwrap_or(rest.len())).unwrap_or(rest);
            match &mut self.next {
                Next::Rest => return bytes.len(),
                // Not HTTP, such as a TLS handshake: the framework refuses it at once.
                Next::RequestLine if !begins_a_line(rest) => {
                    self.next = Next::Rest;
                    return bytes.len();
                }
                Next::RequestLine if end.is_none() && line.len() <= MAX_LINE => return at,
                Next::RequestLine if end.is_none() => self.next = Next::Rest,
                // An empty line before a request is ignored.
                Next::RequestLine if matches!(line, b"\n" | b"\r\n") => {}
                Next::RequestLine if !is_valid(line) => return at,
                Next::RequestLine => self.next = Next::Header(Vec::with_capacity(LONGEST)),
                Next::Header(start) => {
                    let missing = LONGEST.saturating_sub(start.len());
                    start.extend(line.iter().take(missing).map(u8::to_ascii_lowercase));
                    if OF_BODY.iter().any(|name| start.starts_with(name)) {
                        self.next = Next::Rest;
                    } else if end.is_some() {
                        let is_last = matches!(start.as_slice(), b"\n" | b"\r\n");
                        start.clear();
                        if is_last {
                            self.next = Next::RequestLine;
                        }
                    }
                }
            }
            at += line.len();
        }
        at
    }

    /// Makes the held bytes ready up to a request line without its end.
    fn mend(&mut self) {
        loop {
            let held = std::mem::take(&mut self.held);
            self.ready += self.follow(held.get(self.ready..).unwrap_or_default());
            self.held = held;
            let line = self.held.get(self.ready..).unwrap_or_default();
            let Some(end) = memchr::memchr(b'\n', line).map(|end| end + 1) else {
                return;
            };
            let mended = mended(line.get(..end).unwrap_or_default());
            self.held.splice(self.ready..self.ready + end, mended);
        }
    }

    fn pass_on(&mut self, buffer: &mut ReadBuf<'_>) {
        let count = self.ready.min(buffer.remaining());
        buffer.put_slice(self.held.get(..count).unwrap_or_default());
        self.held.drain(..count);
        self.ready -= count;
    }
}

/// True for the letter of a method, or an empty line before it.
fn begins_a_line(bytes: &[u8]) -> bool {
    let first = bytes.first();
    first.is_some_and(|byte| byte.is_ascii_alphabetic() || matches!(byte, b'\r' | b'\n'))
}

/// Start and end of the target in a request line; `None` if it has none.
fn target(line: &[u8]) -> Option<(usize, usize)> {
    let start = memchr::memchr(b' ', line)? + 1;
    let end = memchr::memrchr(b' ', line)?;
    (start <= end).then_some((start, end))
}

/// True if the target of a request line has valid bytes alone.
fn is_valid(line: &[u8]) -> bool {
    let target = target(line).and_then(|(start, end)| line.get(start..end));
    target.unwrap_or_default().iter().all(|byte| is_allowed(*byte))
}

fn is_allowed(byte: u8) -> bool {
    byte.is_ascii_graphic() && !matches!(byte, b'"' | b'<' | b'>')
}

/// The request line with a valid target.
fn mended(line: &[u8]) -> Vec<u8> {
    const HEX: &[u8; 16] = b"0123456789ABCDEF";
    let (start, end) = target(line).unwrap_or_default();
    let mut mended = Vec::with_capacity(line.len() * 2);
    for (at, byte) in line.iter().enumerate() {
        if (start..end).contains(&at) && !is_allowed(*byte) {
            let digits = [byte >> 4, byte & 15].map(|digit| HEX.get(usize::from(digit)).copied());
            mended.push(b'%');
            mended.extend(digits.into_iter().flatten());
        } else {
            mended.push(*byte);
        }
    }
    mended
}

impl<S: AsyncRead + Unpin> AsyncRead for RequestTargets<S> {
    fn poll_read(
        mut self: Pin<&mut Self>,
        context: &mut Context<'_>,
        buffer: &mut ReadBuf<'_>,
    ) -> Poll<io::Result<()>> {
        let this = &mut *self;
        if this.ready > 0 || buffer.remaining() == 0 {
            this.pass_on(buffer);
            return Poll::Ready(Ok(()));
        }
        loop {
            let before = buffer.filled().len();
            ready!(Pin::new(&mut this.stream).poll_read(context, buffer))?;
            let read = buffer.filled().get(before..).unwrap_or_default();
            if read.is_empty() {
                // The end of the stream: nothing completes the line.
                this.ready = this.held.len();
                this.pass_on(buffer);
                return Poll::Ready(Ok(()));
            }
            if this.held.is_empty() {
                let passed = this.follow(read);
                if passed == read.len() {
                    return Poll::Ready(Ok(()));
                }
                this.held.extend(read.get(passed..).unwrap_or_default());
                buffer.set_filled(before + passed);
                this.mend();
                if passed > 0 {
                    return Poll::Ready(Ok(()));
                }
            } else {
                this.held.extend(read);
                buffer.set_filled(before);
                this.mend();
            }
            if this.ready > 0 {
                this.pass_on(buffer);
                return Poll::Ready(Ok(()));
            }
        }
    }
}

impl<S: AsyncWrite + Unpin> AsyncWrite for RequestTargets<S> {
    fn poll_write(
        mut self: Pin<&mut Self>,
        context: &mut Context<'_>,
        bytes: &[u8],
    ) -> Poll<io::Result<usize>> {
        Pin::new(&mut self.stream).poll_write(context, bytes)
    }

    fn poll_write_vectored(
        mut self: Pin<&mut Self>,
        context: &mut Context<'_>,
        slices: &[IoSlice<'_>],
    ) -> Poll<io::Result<usize>> {
        Pin::new(&mut self.stream).poll_write_vectored(context, slices)
    }

    fn is_write_vectored(&self) -> bool {
        self.stream.is_write_vectored()
    }

    fn poll_flush(mut self: Pin<&mut Self>, context: &mut Context<'_>) -> Poll<io::Result<()>> {
        Pin::new(&mut self.stream).poll_flush(context)
    }

    fn poll_shutdown(mut self: Pin<&mut Self>, context: &mut Context<'_>) -> Poll<io::Result<()>> {
        Pin::new(&mut self.stream).poll_shutdown(context)
    }
}

#[cfg(test)]
mod tests {
    use tokio::io::AsyncReadExt as _;

    use super::*;

    /// Stream that yields at most so many bytes at a time.
    struct Drip<'a>(&'a [u8], usize);

    impl AsyncRead for Drip<'_> {
        fn poll_read(
            mut self: Pin<&mut Self>,
            _: &mut Context<'_>,
            buffer: &mut ReadBuf<'_>,
        ) -> Poll<io::Result<()>> {
            let count = self.1.min(self.0.len()).min(buffer.remaining());
            let (now, later) = self.0.split_at(count);
            buffer.put_slice(now);
            self.0 = later;
            Poll::Ready(Ok(()))
        }
    }

    /// Content of a stream that arrives in pieces of any size and is read into buffers of any size.
    async fn passed(sent: &[u8]) -> String {
        let mut all = Vec::new();
        RequestTargets::new(Drip(sent, usize::MAX))
            .read_to_end(&mut all)
            .await
            .unwrap();
        for pieces in [1, 2, 3, 7, 40] {
            for room in [1, 5, 64] {
                let mut stream = RequestTargets::new(Drip(sent, pieces));
                let (mut found, mut buffer) = (Vec::new(), vec![0; room]);
                loop {
                    let count = stream.read(&mut buffer).await.unwrap();
                    if count == 0 {
                        break;
                    }
                    found.extend_from_slice(&buffer[..count]);
                }
                assert_eq!(found, all, "pieces of {pieces} into {room}");
            }
        }
        String::from_utf8_lossy(&all).into_owned()
    }

    #[tokio::test]
    async fn a_target_becomes_valid_and_nothing_else_changes() {
        for (sent, expected) in [
            (
                &b"GET /p?a=1&b={x|y} HTTP/1.1\r\nHost: h\r\n\r\n"[..],
                "GET /p?a=1&b={x|y} HTTP/1.1\r\nHost: h\r\n\r\n",
            ),
            (
                b"GET /p?t=caf\xe9 HTTP/1.1\r\nX: \xe9\r\n\r\n",
                "GET /p?t=caf%E9 HTTP/1.1\r\nX: \u{fffd}\r\n\r\n",
            ),
            (
                b"GET /p?t=a b \"<c>\" HTTP/1.1\r\n\r\n",
                "GET /p?t=a%20b%20%22%3Cc%3E%22 HTTP/1.1\r\n\r\n",
            ),
            (
                b"GET /\xc3\xbc HTTP/1.1\n\nGET /\xfc HTTP/1.1\n\n",
                "GET /%C3%BC HTTP/1.1\n\nGET /%FC HTTP/1.1\n\n",
            ),
            (b"\r\nGET /\xfc HTTP/1.1\r\n\r\n", "\r\nGET /%FC HTTP/1.1\r\n\r\n"),
            (b"GET /\xfc", "GET /\u{fffd}"),
            (b"\x16\x03\x01 \xff \n", "\u{16}\u{3}\u{1} \u{fffd} \n"),
            (b"nonsense\r\n\r\n", "nonsense\r\n\r\n"),
            (b"", ""),
        ] {
            assert_eq!(passed(sent).await, expected);
        }
    }

    #[tokio::test]
    async fn behind_a_body_everything_is_passed_through() {
        for header in [
            "Content-Length: 9",
            "CONTENT-LENGTH: 9",
            "transfer-encoding: chunked",
            "Upgrade: x",
        ] {
            let head = format!("POST /a?b=\u{e9} HTTP/1.1\r\nHost: h\r\n{header}\r\n\r\n");
            let body = "GET /\u{e9} HTTP/1.1\r\n\r\n";
            let expected = head.replace('\u{e9}', "%C3%A9") + body;
            assert_eq!(passed((head + body).as_bytes()).await, expected);
        }
    }

    #[tokio::test]
    async fn a_line_without_end_is_not_kept_for_ever() {
        let sent = vec![b'a'; MAX_LINE * 3];
        let mut stream = RequestTargets::new(Drip(&sent, 1_000));
        let mut buffer = vec![0; MAX_LINE * 2];
        let count = stream.read(&mut buffer).await.unwrap();
        assert!((MAX_LINE..MAX_LINE + 2_000).contains(&count), "{count}");
    }
}
