//! Connection that is closed when nothing is sent on it for too long.

use std::io;
use std::pin::Pin;
use std::task::{Context, Poll, ready};
use std::time::Duration;

use tokio::io::{AsyncRead, AsyncWrite, ReadBuf};
use tokio::net::TcpStream;
use tokio::time::{Instant, Sleep, sleep};

/// Longest time that a connection may last without a byte sent to the client. A client that has not sent a whole request
/// by then (the connection's first or a later one), or does not take the response, only occupies the connection; idle
/// connections are closed sooner.
pub(crate) const IDLE_TIMEOUT: Duration = Duration::from_secs(15);

/// Stream whose reads and writes fail when they wait and nothing has been sent for [`IDLE_TIMEOUT`].
///
/// The framework limits only the time for the headers of a connection's first request.
pub(crate) struct IdleTimeout {
    stream: TcpStream,
    sent_at: Instant,
    /// Fires when [`IDLE_TIMEOUT`] may be over and is reset only then: most connections end before it fires.
    timer: Pin<Box<Sleep>>,
}

impl IdleTimeout {
    pub(crate) fn new(stream: TcpStream) -> Self {
        Self {
            stream,
            sent_at: Instant::now(),
            timer: Box::pin(sleep(IDLE_TIMEOUT)),
        }
    }

    /// Ready with the error when the timeout is over.
    fn poll_timeout(&mut self, context: &mut Context<'_>) -> Poll<io::Error> {
        loop {
            ready!(self.timer.as_mut().poll(context));
            let due = self.sent_at + IDLE_TIMEOUT;
            if due <= Instant::now() {
                return Poll::Ready(io::ErrorKind::TimedOut.into());
            }
            self.timer.as_mut().reset(due);
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
            Poll::Pending => self.poll_timeout(context).map(Err),
        }
    }
}

impl AsyncRead for IdleTimeout {
    fn poll_read(
        mut self: Pin<&mut Self>,
        context: &mut Context<'_>,
        buffer: &mut ReadBuf<'_>,
    ) -> Poll<io::Result<()>> {
        match Pin::new(&mut self.stream).poll_read(context, buffer) {
            Poll::Pending => self.poll_timeout(context).map(Err),
            read => read,
        }
    }
}

impl AsyncWrite for IdleTimeout {
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
