//! What moves on one connection, and how long it may stay as it is.
//!
//! Its own because hyper measures one time only, from the end of one answer to the end of the next head: a kept
//! connection may rest for longer than a head may take, and a client that sends or reads nothing at all must end
//! too. Whoever reads and writes the socket and whoever answers note here what happens; `listen` acts on it.

use std::net::IpAddr;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::task::Waker;
use std::time::{Duration, Instant};

use futures_util::task::AtomicWaker;

/// When the server stops, a connection that rests may go on for so long: a request may be on the wire already, and
/// whoever closes then leaves its client in doubt.
const LINGER: Duration = Duration::from_millis(500);

/// A client that has closed its way out may wait for its answer: it is gone when nothing has moved for so long.
const UNTIL_GONE: Duration = Duration::from_secs(5);

/// The longest times of a connection.
#[derive(Clone, Copy, Debug)]
pub(in crate::http) struct Times {
    /// For the head of a request.
    pub(in crate::http) header: Duration,
    /// For which nothing moves: between requests, or in an answer that is not read.
    pub(in crate::http) keep_alive: Duration,
}

/// What is to be done about a connection.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(in crate::http) enum ConnectionAction {
    /// Nothing before then.
    Wait(Instant),
    /// End it as its protocol has it.
    Goodbye,
    /// Close it.
    Cut,
}

/// What moves on one connection.
#[derive(Debug)]
pub(in crate::http) struct Activity {
    times: Times,
    /// Who is at the other end.
    peer: Option<IpAddr>,
    now: Mutex<Now>,
    /// Wakes whoever holds the connection.
    waker: AtomicWaker,
}

#[derive(Debug)]
struct Now {
    /// The last time that something moved.
    last: Instant,
    /// The first byte of a head that is not whole yet; at first, the beginning of the connection.
    head: Option<Instant>,
    /// Requests whose answers have not been handed over whole.
    under_way: usize,
    /// Those of them of whose answers some is still to be handed over.
    unfinished: usize,
    /// Requests that have begun.
    begun: usize,
    /// Bytes have come of a request that has not begun.
    asked: bool,
    /// The client has closed its way out.
    half_closed: bool,
    /// The client does not take what is written.
    blocked: bool,
    /// Many requests share the connection: bytes may be of none of them.
    http2: bool,
    /// After the next answer the connection ends.
    ending: bool,
    said_goodbye: bool,
    /// Answers of which the client has not asked for all yet.
    unread: Vec<Waiting>,
    /// An answer of HTTP/1 ended before its end.
    broken: bool,
    /// Somebody wants it closed at once.
    cut: bool,
    /// Nothing of an answer of ours is left to be written.
    clear: bool,
}

/// An answer that waits for its client.
#[derive(Debug)]
struct Waiting {
    answer: usize,
    bytes: usize,
    /// The last time that the client asked for some of it.
    taken: Instant,
}

impl Activity {
    /// A connection that has just been accepted.
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

    /// The address at the other end, where the system knows it.
    pub(in crate::http) fn peer(&self) -> Option<IpAddr> {
        self.peer
    }

    /// When a client that has closed its way out is taken for gone; `None` where there is no request.
    pub(in crate::http) fn gone_at(&self) -> Option<Instant> {
        let mut now = self.now();
        now.half_closed = true;
        (now.under_way > 0 || now.asked).then(|| now.last + UNTIL_GONE)
    }

    /// What comes is read and forgotten.
    pub(in crate::http) fn lingers(&self) {
        self.now().last = Instant::now();
    }

    /// Whether something of an answer will never leave.
    pub(in crate::http) fn is_broken(&self) -> bool {
        let now = self.now();
        // A socket may be dropped before the answer that was written to it.
        now.blocked || now.cut || !now.http2 && (now.broken || now.unfinished > 0)
    }

    /// From now on no request is awaited: the one that comes nevertheless is answered.
    pub(in crate::http) fn end(&self) {
        self.now().ending = true;
    }

    /// Closes it, whatever it does.
    pub(in crate::http) fn cut(&self) {
        self.now().cut = true;
        self.waker.wake();
    }

    /// Whoever holds the connection is woken where somebody cuts it.
    pub(in crate::http) fn wake(&self, waker: &Waker) {
        self.waker.register(waker);
    }

    /// So many bytes of an answer wait for the client.
    pub(in crate::http) fn waits(&self, answer: usize, bytes: usize) {
        self.now().unread.push(Waiting { answer, bytes, taken: Instant::now() });
    }

    /// The client asked for so many of them.
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

    /// Bytes that the client has not asked for, and since when it has asked for none of an answer; `None` where there are
    /// none, or where it is being cut.
    pub(in crate::http) fn unread(&self) -> Option<(usize, Instant)> {
        let now = self.now();
        let since = now.unread.iter().map(|waiting| waiting.taken).min().filter(|_| !now.cut)?;
        Some((now.unread.iter().map(|waiting| waiting.bytes).sum(), since))
    }

    /// The head of a request is whole.
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

    /// Which request's head is awaited, counted from 0; `None` where bytes may be of something else.
    pub(in crate::http) fn awaits_head(&self) -> Option<usize> {
        let now = self.now();
        (now.under_way == 0 && !now.http2).then_some(now.begun)
    }

    /// Whether what is written now is no answer of ours.
    pub(in crate::http) fn is_clear(&self) -> bool {
        let now = self.now();
        now.clear && !now.http2
    }

    /// All that was written has left.
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

    /// What is to be done at this moment. It says goodbye once.
    pub(in crate::http) fn action(&self) -> ConnectionAction {
        let (mut now, time) = (self.now(), Instant::now());
        let mut until = match (now.under_way, now.head) {
            // The deadline of the answer holds, or what streams has nothing to say: looked at again later.
            (1.., _) if !now.blocked => time + self.times.keep_alive,
            (0, Some(head)) => head + self.times.header,
            _ => now.last + self.times.keep_alive,
        };
        if now.cut {
            return ConnectionAction::Cut;
        }
        if let Some(since) = now.unread.iter().map(|waiting| waiting.taken).min() {
            // A stream of HTTP/2 whose window stays shut keeps its answer however busy the others are.
            let stalled = since + self.times.keep_alive;
            if stalled <= time {
                return ConnectionAction::Cut;
            }
            until = until.min(stalled);
        }
        if now.ending && now.under_way == 0 {
            until = until.min(now.last + LINGER);
        }
        // HTTP/2 has words for the end that lose no request; HTTP/1 says it in its last answer.
        let farewell = now.ending && now.http2 && !now.said_goodbye;
        if until > time && !farewell {
            return ConnectionAction::Wait(until);
        }
        if now.said_goodbye {
            return ConnectionAction::Cut;
        }
        (now.ending, now.said_goodbye) = (true, true);
        if now.http2 {
            // Its goodbye goes there and back.
            now.last = time;
        }
        ConnectionAction::Goodbye
    }
}

/// A request that is being answered; dropped with the last of its answer, or when its client has gone.
pub(in crate::http) struct UnderWay {
    activity: Arc<Activity>,
    whole: bool,
}

impl UnderWay {
    /// Whether the connection ends with this answer.
    pub(in crate::http) fn is_last(&self) -> bool {
        self.activity.now().ending
    }

    /// The last of its answer was handed over.
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
            // Nobody asks any more: the socket may say so.
            self.activity.waker.wake();
        }
    }
}
