//! Answers that wait for their clients: how many bytes, over all connections, and who is cut when they are too many.
//!
//! Its own because memory must stay bounded whoever reads how slowly. An answer waits here until its connection can send more
//! of it, piece by piece; when too much waits, whoever has asked for nothing the longest loses its connection.

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

/// Most bytes that a connection gets at once.
const PIECE_BYTES: usize = 64 << 10;
/// Whoever has asked for nothing for so long is cut before those that read.
const STALLED: Duration = Duration::from_secs(1);

/// All answers of a listener that wait.
#[derive(Debug)]
pub(in crate::http) struct Unread {
    most: usize,
    total: AtomicUsize,
    open: Mutex<BTreeMap<u64, Arc<Activity>>>,
    next: AtomicUsize,
}

/// A connection among those that may be cut.
pub(in crate::http) struct Registration {
    unread: Arc<Unread>,
    id: u64,
}

impl Unread {
    /// Nothing waits; at most so many bytes may.
    pub(in crate::http) fn new(most: usize) -> Arc<Self> {
        let (total, open, next) = (AtomicUsize::new(0), Mutex::default(), AtomicUsize::new(0));
        Arc::new(Self { most, total, open, next })
    }

    fn open(&self) -> MutexGuard<'_, BTreeMap<u64, Arc<Activity>>> {
        self.open.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// A connection takes part, until the seat is dropped.
    pub(in crate::http) fn join(self: &Arc<Self>, activity: &Arc<Activity>) -> Registration {
        let id = self.next.fetch_add(1, Ordering::Relaxed) as u64;
        self.open().insert(id, Arc::clone(activity));
        Registration { unread: Arc::clone(self), id }
    }

    /// Bytes of an answer wait; gives it a number.
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

    /// Cuts connections until little enough waits.
    fn cut(&self) {
        let (open, now) = (self.open(), Instant::now());
        let states = open.values().filter_map(|activity| Some((activity, activity.unread()?)));
        let mut waiting: Vec<_> = states.collect();
        // First those that stand still, the longest first; then those to whom most is owed.
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

/// Left in an answer whose body holds more bytes than it hands over.
#[derive(Clone, Copy, Debug)]
pub(in crate::http) struct Holds(pub(in crate::http) usize);

/// The body of an answer, handed over in pieces.
pub(in crate::http) struct Answer {
    body: Body,
    /// Of the last piece of the body, what is not handed over.
    rest: Bytes,
    number: usize,
    /// Bytes that are still held, where that is known.
    left: usize,
    under_way: UnderWay,
    unread: Arc<Unread>,
}

impl Answer {
    pub(in crate::http) fn new(body: Body, held: Option<Holds>, mut under_way: UnderWay, unread: &Arc<Unread>) -> Self {
        // What a stream has ready is bounded by whoever fills it.
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
