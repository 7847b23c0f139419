//! A connection whose client gets on with it.

use std::io;
use std::pin::Pin;
use std::task::{Context, Poll, ready};
use std::time::Duration;

use tokio::io::{AsyncRead, AsyncWrite, ReadBuf};
use tokio::net::TcpStream;
use tokio::time::{Instant, Sleep, sleep};

/// How long a connection may last without anything being sent on it. Whoever has not sent a whole request by then, be it
/// the connection's first or a later one, or does not take the answer, only holds a place: idle connections are closed
/// sooner than that.
pub(crate) const PATIENCE: Duration = Duration::from_secs(15);

/// Fails reads and writes that wait when nothing has been sent for [`PATIENCE`].
///
/// The framework times only the headers of a connection's first request.
pub(crate) struct Punctual {
    stream: TcpStream,
    sent_at: Instant,
    /// Rings at the latest when [`PATIENCE`] is over, and is set again only then: most connections never hear it.
    alarm: Pin<Box<Sleep>>,
}

impl Punctual {
    pub(crate) fn new(stream: TcpStream) -> Self {
        Self {
            stream,
            sent_at: Instant::now(),
            alarm: Box::pin(sleep(PATIENCE)),
        }
    }

    /// Pending for as long as there is patience.
    fn poll_impatience(&mut self, context: &mut Context<'_>) -> Poll<io::Error> {
        loop {
            ready!(self.alarm.as_mut().poll(context));
            let due = self.sent_at + PATIENCE;
            if due <= Instant::now() {
                return Poll::Ready(io::ErrorKind::TimedOut.into());
            }
            self.alarm.as_mut().reset(due);
        }
    }

    fn note_written(
        &mut self,
        context: &mut Context<'_>,
        written: Poll<io::Result<usize>>,
    ) -> Poll<io::Result<usize>> {
        match written {
            Poll::Ready(outcome) => {
                self.sent_at = Instant::now();
                Poll::Ready(outcome)
            }
            Poll::Pending => self.poll_impatience(context).map(Err),
        }
    }
}

impl AsyncRead for Punctual {
    fn poll_read(
        mut self: Pin<&mut Self>,
        context: &mut Context<'_>,
        buffer: &mut ReadBuf<'_>,
    ) -> Poll<io::Result<()>> {
        match Pin::new(&mut self.stream).poll_read(context, buffer) {
            Poll::Pending => self.poll_impatience(context).map(Err),
            read => read,
        }
    }
}

impl AsyncWrite for Punctual {
    fn poll_write(
        mut self: Pin<&mut Self>,
        context: &mut Context<'_>,
        bytes: &[u8],
    ) -> Poll<io::Result<usize>> {
        let written = Pin::new(&mut self.stream).poll_write(context, bytes);
        self.note_written(context, written)
    }

    fn poll_write_vectored(
        mut self: Pin<&mut Self>,
        context: &mut Context<'_>,
        slices: &[io::IoSlice<'_>],
    ) -> Poll<io::Result<usize>> {
        let written = Pin::new(&mut self.stream).poll_write_vectored(context, slices);
        self.note_written(context, written)
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
