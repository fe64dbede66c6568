//! Limits the bytes of unread responses over all connections of a listener.
//!
//! Memory stays bounded however slowly clients read. A response is handed to its connection in pieces, as the
//! connection can send them. When too many bytes wait, the connection that has taken nothing for the longest time is
//! cut.

use std::collections::BTreeMap;
use std::pin::Pin;
use std::sync::atomic::{AtomicUsize, Ordering};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::task::{Context, Poll, ready};
use std::time::{Duration, Instant};

use axum::body::{Body, Bytes, HttpBody};
use http_body::{Frame, SizeHint};
use tracing::warn;

use super::activity::{Activity, UnderWay};

/// Largest piece that a connection gets at once, in bytes.
const PIECE_BYTES: usize = 64 << 10;
/// A connection that has taken nothing for this time is cut before those that read.
const STALLED: Duration = Duration::from_secs(1);

/// All unread responses of a listener.
#[derive(Debug)]
pub(in crate::http) struct Unread {
    most: usize,
    total: AtomicUsize,
    open: Mutex<BTreeMap<u64, Arc<Activity>>>,
    next: AtomicUsize,
}

/// Registers a connection as one that may be cut; dropped with the connection.
pub(in crate::http) struct Registration {
    unread: Arc<Unread>,
    id: u64,
}

impl Unread {
    /// Creates an empty counter with a limit of `most` bytes.
    pub(in crate::http) fn new(most: usize) -> Arc<Self> {
        let (total, open, next) = (AtomicUsize::new(0), Mutex::default(), AtomicUsize::new(0));
        Arc::new(Self { most, total, open, next })
    }

    fn open(&self) -> MutexGuard<'_, BTreeMap<u64, Arc<Activity>>> {
        self.open.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// Registers a connection until the result is dropped.
    pub(in crate::http) fn join(self: &Arc<Self>, activity: &Arc<Activity>) -> Registration {
        let id = self.next.fetch_add(1, Ordering::Relaxed) as u64;
        self.open().insert(id, Arc::clone(activity));
        Registration { unread: Arc::clone(self), id }
    }

    /// Records the waiting bytes of a response and returns a number for it.
    fn waits(&self, activity: &Activity, bytes: usize) -> usize {
        let answer = self.next.fetch_add(1, Ordering::Relaxed);
        if bytes == 0 {
            return answer;
        }
        activity.waits(answer, bytes);
        if self.total.fetch_add(bytes, Ordering::Relaxed) + bytes > self.most {
            self.cut();
        }
        answer
    }

    fn takes(&self, activity: &Activity, answer: usize, bytes: usize) {
        if bytes == 0 {
            return;
        }
        activity.takes(answer, bytes);
        self.total.fetch_sub(bytes, Ordering::Relaxed);
    }

    /// Cuts connections until the waiting bytes are within the limit.
    fn cut(&self) {
        let (open, now) = (self.open(), Instant::now());
        let states = open.values().filter_map(|activity| Some((activity, activity.unread()?)));
        let mut waiting: Vec<_> = states.collect();
        // First stalled connections, the longest stalled first; then those with the most unread bytes.
        waiting.sort_by_key(|(_, (bytes, since))| {
            let still = now.saturating_duration_since(*since);
            std::cmp::Reverse(if still >= STALLED { (true, still.as_nanos()) } else { (false, *bytes as u128) })
        });
        let mut total: usize = waiting.iter().map(|(_, (bytes, _))| bytes).sum();
        for (activity, (bytes, _)) in waiting {
            if total <= self.most {
                return;
            }
            warn!(bytes, "an answer is not read and too many wait: its connection is cut");
            activity.cut();
            total -= bytes;
        }
    }
}

impl Drop for Registration {
    fn drop(&mut self) {
        self.unread.open().remove(&self.id);
    }
}

/// Response extension: how many bytes the body holds in memory, if that is more than its size hint tells.
#[derive(Clone, Copy, Debug)]
pub(in crate::http) struct Holds(pub(in crate::http) usize);

/// A response body that is handed over in pieces.
pub(in crate::http) struct Answer {
    body: Body,
    /// The part of the body's last frame that is not handed over yet.
    rest: Bytes,
    number: usize,
    /// Bytes that are still in memory, if known; otherwise 0.
    left: usize,
    under_way: UnderWay,
    unread: Arc<Unread>,
}

impl Answer {
    pub(in crate::http) fn new(body: Body, held: Option<Holds>, mut under_way: UnderWay, unread: &Arc<Unread>) -> Self {
        // The data that a stream has ready is limited by its producer.
        let left =
            held.map(|Holds(bytes)| bytes).or_else(|| usize::try_from(body.size_hint().exact()?).ok()).unwrap_or(0);
        let number = unread.waits(under_way.activity(), left);
        if body.is_end_stream() {
            under_way.whole();
        }
        Self { body, rest: Bytes::new(), number, left, under_way, unread: Arc::clone(unread) }
    }

    fn hand_over(&mut self) -> Bytes {
        let piece = self.rest.split_to(self.rest.len().min(PIECE_BYTES));
        let known = piece.len().min(self.left);
        self.left -= known;
        self.unread.takes(self.under_way.activity(), self.number, known);
        if self.is_end_stream() {
            self.under_way.whole();
        }
        piece
    }
}

impl HttpBody for Answer {
    type Data = Bytes;
    type Error = axum::Error;

    fn poll_frame(mut self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<Option<Result<Frame<Bytes>, axum::Error>>> {
        let this = &mut *self;
        if this.rest.is_empty() {
            match ready!(Pin::new(&mut this.body).poll_frame(cx)) {
                Some(Ok(frame)) => match frame.into_data() {
                    Ok(data) => this.rest = data,
                    Err(other) => {
                        this.under_way.whole();
                        return Poll::Ready(Some(Ok(other)));
                    }
                },
                None => {
                    this.under_way.whole();
                    return Poll::Ready(None);
                }
                Some(Err(error)) => return Poll::Ready(Some(Err(error))),
            }
        }
        Poll::Ready(Some(Ok(Frame::data(this.hand_over()))))
    }

    fn is_end_stream(&self) -> bool {
        self.rest.is_empty() && self.body.is_end_stream()
    }

    fn size_hint(&self) -> SizeHint {
        let (inner, rest) = (self.body.size_hint(), self.rest.len() as u64);
        let mut hint = SizeHint::new();
        hint.set_lower(inner.lower() + rest);
        if let Some(upper) = inner.upper() {
            hint.set_upper(upper + rest);
        }
        hint
    }
}

impl Drop for Answer {
    fn drop(&mut self) {
        self.unread.takes(self.under_way.activity(), self.number, self.left);
    }
}
