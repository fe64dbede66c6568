//! A socket that records its activity and closes so that the client can read the last response.
//!
//! Closing has three difficulties. If received bytes are not read, the system resets the connection, and a client that
//! is still sending loses the response. A response that ends early without a reset looks complete if it has neither a
//! length nor chunks (HTTP/1.0). And a client that has closed its sending side may still wait for its response, or may
//! be gone.

use std::future::Future;
use std::io::{self, IoSlice};
use std::pin::Pin;
use std::sync::Arc;
use std::task::{Context, Poll, ready};
use std::time::Duration;

use tokio::io::{AsyncRead, AsyncWrite, ReadBuf};
use tokio::net::TcpStream;
use tokio::time::Sleep;

use super::super::connection::activity::Activity;
use super::heads::Heads;
use super::refusal::problem;
use crate::metrics::Metrics;

/// How long bytes from the client are discarded after the last response.
const PATIENCE: Duration = Duration::from_secs(2);

/// The socket of one connection.
pub(in crate::http) struct Watched {
    socket: TcpStream,
    activity: Arc<Activity>,
    /// Ends the discarding of bytes; set when the sending side is closed.
    lingering: Option<Pin<Box<Sleep>>>,
    /// When to check whether the client is gone; set when the client has closed its sending side.
    closed: Option<Pin<Box<Sleep>>>,
    heads: Heads,
    /// The response that replaces one of hyper's, and how much of it was written. Hyper's is never longer.
    instead: Option<Instead>,
    metrics: Arc<Metrics>,
}

/// A replacement response.
struct Instead {
    bytes: Vec<u8>,
    written: usize,
}

impl Watched {
    pub(in crate::http) fn new(socket: TcpStream, activity: Arc<Activity>, metrics: Arc<Metrics>) -> Self {
        Self { socket, activity, lingering: None, closed: None, heads: Heads::default(), instead: None, metrics }
    }

    fn note(&self, written: &Poll<io::Result<usize>>) {
        self.activity.written(written.is_ready());
    }

    /// Intercepts a response that hyper generated, if there is a replacement for it.
    fn replaces(&mut self, bytes: &[u8]) -> bool {
        if self.instead.is_none() && self.activity.is_clear() {
            self.instead = problem(bytes, &self.metrics).map(|bytes| Instead { bytes, written: 0 });
            return self.instead.is_some();
        }
        false
    }

    /// Writes the replacement response.
    fn poll_instead(&mut self, cx: &mut Context<'_>) -> Poll<io::Result<()>> {
        if let Some(Instead { bytes, written }) = &mut self.instead {
            while *written < bytes.len() {
                *written += ready!(Pin::new(&mut self.socket).poll_write(cx, &bytes[*written..]))?;
            }
        }
        Poll::Ready(Ok(()))
    }
}

impl AsyncRead for Watched {
    fn poll_read(mut self: Pin<&mut Self>, cx: &mut Context<'_>, into: &mut ReadBuf<'_>) -> Poll<io::Result<()>> {
        let this = &mut *self;
        if this.closed.is_none() {
            let before = into.filled().len();
            ready!(Pin::new(&mut this.socket).poll_read(cx, into))?;
            if into.filled().len() > before {
                if let Some(request) = this.activity.awaits_head() {
                    this.heads.check(request, &mut into.filled_mut()[before..]);
                }
                this.activity.read();
                return Poll::Ready(Ok(()));
            }
        }
        // Reporting the end of input would make hyper drop the request that is being answered.
        loop {
            let Some(gone) = this.activity.gone_at() else { return Poll::Ready(Ok(())) };
            let gone = tokio::time::Instant::from_std(gone);
            let closed = this.closed.get_or_insert_with(|| Box::pin(tokio::time::sleep_until(gone)));
            ready!(closed.as_mut().poll(cx));
            if gone <= tokio::time::Instant::now() {
                return Poll::Ready(Ok(()));
            }
            closed.as_mut().reset(gone);
        }
    }
}

impl AsyncWrite for Watched {
    fn poll_write(mut self: Pin<&mut Self>, cx: &mut Context<'_>, bytes: &[u8]) -> Poll<io::Result<usize>> {
        if self.replaces(bytes) {
            return Poll::Ready(Ok(bytes.len()));
        }
        let written = Pin::new(&mut self.socket).poll_write(cx, bytes);
        self.note(&written);
        written
    }

    fn poll_write_vectored(
        mut self: Pin<&mut Self>,
        cx: &mut Context<'_>,
        parts: &[IoSlice<'_>],
    ) -> Poll<io::Result<usize>> {
        let all = || parts.iter().map(|part| part.len()).sum();
        if parts.first().is_some_and(|first| self.replaces(first)) {
            return Poll::Ready(Ok(all()));
        }
        let written = Pin::new(&mut self.socket).poll_write_vectored(cx, parts);
        self.note(&written);
        written
    }

    fn is_write_vectored(&self) -> bool {
        self.socket.is_write_vectored()
    }

    fn poll_flush(mut self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<io::Result<()>> {
        ready!(self.poll_instead(cx))?;
        ready!(Pin::new(&mut self.socket).poll_flush(cx))?;
        self.activity.flushed();
        Poll::Ready(Ok(()))
    }

    fn poll_shutdown(mut self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<io::Result<()>> {
        let this = &mut *self;
        if this.lingering.is_none() {
            ready!(this.poll_instead(cx))?;
            ready!(Pin::new(&mut this.socket).poll_shutdown(cx))?;
        }
        let patience = this.lingering.get_or_insert_with(|| Box::pin(tokio::time::sleep(PATIENCE)));
        let mut forgotten = [0; 8 << 10];
        loop {
            let mut into = ReadBuf::new(&mut forgotten);
            match Pin::new(&mut this.socket).poll_read(cx, &mut into) {
                Poll::Ready(Ok(())) if !into.filled().is_empty() => this.activity.lingers(),
                Poll::Ready(_) => return Poll::Ready(Ok(())),
                Poll::Pending => return patience.as_mut().poll(cx).map(Ok),
            }
        }
    }
}

impl Drop for Watched {
    fn drop(&mut self) {
        if self.activity.is_broken() {
            // If this fails, a truncated response may look complete to the client.
            let _ = self.socket.set_zero_linger();
        }
    }
}
