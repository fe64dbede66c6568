//! Reads and discards the rest of a request body after its response is ready.
//!
//! A client that is still sending does not read the response. If the connection were closed meanwhile, the client would
//! lose the response, and a proxy would consider the server dead. So the rest is discarded, within limits.

use std::pin::Pin;
use std::task::{Context, Poll};
use std::time::Duration;

use axum::body::{Bytes, HttpBody};
use axum::http::{HeaderMap, header};
use http_body::{Frame, SizeHint};
use http_body_util::BodyExt;

/// Longest total time for which the rest of a body is read.
const PATIENCE: Duration = Duration::from_secs(5);
/// Longest time without new bytes.
const SILENCE: Duration = Duration::from_secs(1);
/// Largest number of bytes that are discarded.
const MOST_BYTES: usize = 64 << 20;

/// A request body; when it is dropped, the rest of it is read and discarded.
pub(in crate::http) struct ReadToEnd<B>
where
    B: HttpBody<Data = Bytes> + Send + Unpin + 'static,
{
    body: Option<B>,
    /// Whether the client sends the body: it does not wait for `100 Continue`, or has been told to go on.
    comes: bool,
}

impl<B> ReadToEnd<B>
where
    B: HttpBody<Data = Bytes> + Send + Unpin + 'static,
{
    pub(in crate::http) fn new(headers: &HeaderMap, body: B) -> Self {
        Self { body: Some(body), comes: !headers.contains_key(header::EXPECT) }
    }
}

impl<B> HttpBody for ReadToEnd<B>
where
    B: HttpBody<Data = Bytes> + Send + Unpin + 'static,
{
    type Data = Bytes;
    type Error = B::Error;

    fn poll_frame(mut self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<Option<Result<Frame<Bytes>, B::Error>>> {
        self.comes = true;
        let Some(body) = &mut self.body else { return Poll::Ready(None) };
        let frame = Pin::new(body).poll_frame(cx);
        if matches!(frame, Poll::Ready(None | Some(Err(_)))) {
            self.body = None;
        }
        frame
    }

    fn is_end_stream(&self) -> bool {
        self.body.as_ref().is_none_or(HttpBody::is_end_stream)
    }

    fn size_hint(&self) -> SizeHint {
        self.body.as_ref().map_or_else(|| SizeHint::with_exact(0), HttpBody::size_hint)
    }
}

impl<B> Drop for ReadToEnd<B>
where
    B: HttpBody<Data = Bytes> + Send + Unpin + 'static,
{
    fn drop(&mut self) {
        let comes = self.comes;
        let body = self.body.take().filter(|body| comes && !body.is_end_stream());
        // Without a runtime the server has already stopped.
        let (Some(mut body), Ok(runtime)) = (body, tokio::runtime::Handle::try_current()) else { return };
        runtime.spawn(tokio::time::timeout(PATIENCE, async move {
            let mut left = MOST_BYTES;
            while let Ok(Some(Ok(frame))) = tokio::time::timeout(SILENCE, body.frame()).await {
                left = left.saturating_sub(frame.data_ref().map_or(0, Bytes::len));
                if left == 0 {
                    return;
                }
            }
        }));
    }
}
