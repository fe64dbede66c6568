//! The activity of one connection, and the timeouts that follow from it.
//!
//! Hyper has a single timeout, from the end of a response to the end of the next head. Here a kept connection may be
//! idle for longer than a head may take, and a client that neither sends nor reads is cut off too. The socket and the
//! request handlers record what happens; `listen` acts on it.

use std::net::IpAddr;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::task::Waker;
use std::time::{Duration, Instant};

use futures_util::task::AtomicWaker;

/// How long an idle connection stays open at shutdown. A request may already be on its way, and closing at once would
/// leave its client in doubt.
const LINGER: Duration = Duration::from_millis(500);

/// How long a client that has closed its sending side may wait without any activity before it is considered gone.
const UNTIL_GONE: Duration = Duration::from_secs(5);

/// The timeouts of a connection.
#[derive(Clone, Copy, Debug)]
pub(in crate::http) struct Times {
    /// Longest time for the head of a request.
    pub(in crate::http) header: Duration,
    /// Longest time without activity: between requests, or while a response is not read.
    pub(in crate::http) keep_alive: Duration,
}

/// What to do with a connection.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(in crate::http) enum ConnectionAction {
    /// Nothing before this time.
    Wait(Instant),
    /// End it in the way of its protocol.
    Goodbye,
    /// Close it at once.
    Cut,
}

/// The activity of one connection.
#[derive(Debug)]
pub(in crate::http) struct Activity {
    times: Times,
    /// The address of the peer.
    peer: Option<IpAddr>,
    now: Mutex<Now>,
    /// Wakes the task of the connection.
    waker: AtomicWaker,
}

#[derive(Debug)]
struct Now {
    /// The time of the last activity.
    last: Instant,
    /// When the first byte of an incomplete head arrived; for the first request, when the connection was accepted.
    head: Option<Instant>,
    /// Requests whose responses have not been completed and dropped.
    under_way: usize,
    /// Requests whose responses have not been handed over completely.
    unfinished: usize,
    /// Requests that have begun since the connection was accepted.
    begun: usize,
    /// Whether bytes of a request have arrived whose head is not complete.
    asked: bool,
    /// Whether the client has closed its sending side.
    half_closed: bool,
    /// Whether the last write was blocked.
    blocked: bool,
    /// Whether the protocol is HTTP/2: requests share the connection, so bytes may belong to none of them.
    http2: bool,
    /// Whether the connection ends after the next response.
    ending: bool,
    said_goodbye: bool,
    /// Responses that the client has not fully read yet.
    unread: Vec<Waiting>,
    /// Whether an HTTP/1 response ended early.
    broken: bool,
    /// Whether the connection should be closed at once.
    cut: bool,
    /// Whether no response from the routes is left to write.
    clear: bool,
}

/// A response that waits to be read by its client.
#[derive(Debug)]
struct Waiting {
    answer: usize,
    bytes: usize,
    /// When the client last took some of it.
    taken: Instant,
}

impl Activity {
    /// A newly accepted connection.
    pub(in crate::http) fn new(times: Times, peer: Option<IpAddr>) -> Arc<Self> {
        let last = Instant::now();
        let now = Now {
            last,
            head: Some(last),
            under_way: 0,
            unfinished: 0,
            begun: 0,
            asked: false,
            half_closed: false,
            blocked: false,
            http2: false,
            ending: false,
            said_goodbye: false,
            unread: Vec::new(),
            broken: false,
            cut: false,
            clear: true,
        };
        Arc::new(Self { times, peer, now: Mutex::new(now), waker: AtomicWaker::new() })
    }

    fn now(&self) -> MutexGuard<'_, Now> {
        self.now.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// The address of the peer, if the system knows it.
    pub(in crate::http) fn peer(&self) -> Option<IpAddr> {
        self.peer
    }

    /// When a client that has closed its sending side is considered gone; `None` if there is no request.
    pub(in crate::http) fn gone_at(&self) -> Option<Instant> {
        let mut now = self.now();
        now.half_closed = true;
        (now.under_way > 0 || now.asked).then(|| now.last + UNTIL_GONE)
    }

    /// Records that bytes were received and discarded.
    pub(in crate::http) fn lingers(&self) {
        self.now().last = Instant::now();
    }

    /// Whether part of a response will never be sent.
    pub(in crate::http) fn is_broken(&self) -> bool {
        let now = self.now();
        // The socket may be dropped before the response that was written to it.
        now.blocked || now.cut || !now.http2 && (now.broken || now.unfinished > 0)
    }

    /// Ends the connection after the next response; a request that still arrives is answered.
    pub(in crate::http) fn end(&self) {
        self.now().ending = true;
    }

    /// Closes the connection at once.
    pub(in crate::http) fn cut(&self) {
        self.now().cut = true;
        self.waker.wake();
    }

    /// Sets the waker that is called when the connection is cut.
    pub(in crate::http) fn wake(&self, waker: &Waker) {
        self.waker.register(waker);
    }

    /// Records that bytes of a response wait to be read.
    pub(in crate::http) fn waits(&self, answer: usize, bytes: usize) {
        self.now().unread.push(Waiting { answer, bytes, taken: Instant::now() });
    }

    /// Records that the client took some of these bytes.
    pub(in crate::http) fn takes(&self, answer: usize, bytes: usize) {
        let mut now = self.now();
        if let Some(at) = now.unread.iter().position(|waiting| waiting.answer == answer) {
            let waiting = &mut now.unread[at];
            (waiting.bytes, waiting.taken) = (waiting.bytes - bytes, Instant::now());
            if waiting.bytes == 0 {
                now.unread.swap_remove(at);
            }
        }
    }

    /// The number of unread bytes, and since when the client has taken none of some response; `None` if there are none,
    /// or if the connection is being cut.
    pub(in crate::http) fn unread(&self) -> Option<(usize, Instant)> {
        let now = self.now();
        let since = now.unread.iter().map(|waiting| waiting.taken).min().filter(|_| !now.cut)?;
        Some((now.unread.iter().map(|waiting| waiting.bytes).sum(), since))
    }

    /// Records that the head of a request is complete.
    pub(in crate::http) fn begin(self: &Arc<Self>, http2: bool) -> UnderWay {
        let mut now = self.now();
        now.http2 = http2;
        now.head = None;
        now.under_way += 1;
        now.unfinished += 1;
        now.begun += 1;
        now.clear = false;
        now.asked = false;
        UnderWay { activity: Arc::clone(self), whole: false }
    }

    /// The number of the request whose head is expected, counted from 0; `None` if the bytes may be something else.
    pub(in crate::http) fn awaits_head(&self) -> Option<usize> {
        let now = self.now();
        (now.under_way == 0 && !now.http2).then_some(now.begun)
    }

    /// Whether bytes written now are hyper's own response.
    pub(in crate::http) fn is_clear(&self) -> bool {
        let now = self.now();
        now.clear && !now.http2
    }

    /// Records that everything written was flushed.
    pub(in crate::http) fn flushed(&self) {
        let mut now = self.now();
        now.clear = now.under_way == 0;
    }

    pub(in crate::http) fn read(&self) {
        let mut now = self.now();
        now.last = Instant::now();
        now.asked |= now.under_way == 0 && !now.http2;
        if now.under_way == 0 && !now.http2 && now.head.is_none() {
            now.head = Some(now.last);
        }
    }

    pub(in crate::http) fn written(&self, moved: bool) {
        let mut now = self.now();
        now.blocked = !moved;
        if moved {
            now.last = Instant::now();
        }
    }

    /// What to do now. Returns [`ConnectionAction::Goodbye`] once.
    pub(in crate::http) fn action(&self) -> ConnectionAction {
        let (mut now, time) = (self.now(), Instant::now());
        let mut until = match (now.under_way, now.head) {
            // The response's own deadline applies, or a stream has nothing to send: checked again later.
            (1.., _) if !now.blocked => time + self.times.keep_alive,
            (0, Some(head)) => head + self.times.header,
            _ => now.last + self.times.keep_alive,
        };
        if now.cut {
            return ConnectionAction::Cut;
        }
        if let Some(since) = now.unread.iter().map(|waiting| waiting.taken).min() {
            // An HTTP/2 stream with a closed window keeps its response in memory, however active the other streams are.
            let stalled = since + self.times.keep_alive;
            if stalled <= time {
                return ConnectionAction::Cut;
            }
            until = until.min(stalled);
        }
        if now.ending && now.under_way == 0 {
            until = until.min(now.last + LINGER);
        }
        // HTTP/2 can announce the end without losing a request; HTTP/1 announces it in its last response.
        let farewell = now.ending && now.http2 && !now.said_goodbye;
        if until > time && !farewell {
            return ConnectionAction::Wait(until);
        }
        if now.said_goodbye {
            return ConnectionAction::Cut;
        }
        (now.ending, now.said_goodbye) = (true, true);
        if now.http2 {
            // The HTTP/2 goodbye needs a round trip.
            now.last = time;
        }
        ConnectionAction::Goodbye
    }
}

/// A request in progress; dropped with the end of its response, or when its client has gone.
pub(in crate::http) struct UnderWay {
    activity: Arc<Activity>,
    whole: bool,
}

impl UnderWay {
    /// Whether the connection ends with this response.
    pub(in crate::http) fn is_last(&self) -> bool {
        self.activity.now().ending
    }

    /// Records that the response was handed over completely.
    pub(in crate::http) fn whole(&mut self) {
        if !std::mem::replace(&mut self.whole, true) {
            self.activity.now().unfinished -= 1;
        }
    }

    pub(in crate::http) fn activity(&self) -> &Arc<Activity> {
        &self.activity
    }
}

impl Drop for UnderWay {
    fn drop(&mut self) {
        let mut now = self.activity.now();
        now.under_way -= 1;
        now.last = Instant::now();
        if !self.whole {
            now.unfinished -= 1;
            now.broken = true;
        }
        if now.half_closed {
            // The client sends no more requests, so the socket may report the end of input.
            self.activity.waker.wake();
        }
    }
}
