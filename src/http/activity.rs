//! What moves on one connection, and how long it may stay as it is.
//!
//! Its own because hyper measures one time only, from the end of one answer to the end of the next head: a kept
//! connection may rest for longer than a head may take, and a client that sends or reads nothing at all must end
//! too. Whoever reads and writes the socket and whoever answers note here what happens; `listen` acts on it.

use std::io::{self, IoSlice};
use std::pin::Pin;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::task::{Context, Poll, ready};
use std::time::{Duration, Instant};

use tokio::io::{AsyncRead, AsyncWrite, ReadBuf};
use tokio::net::TcpStream;

/// When the server stops, a connection that rests may go on for so long: a request may be on the wire already, and
/// whoever closes then leaves its client in doubt.
const LINGER: Duration = Duration::from_millis(500);

/// The longest times of a connection.
#[derive(Clone, Copy, Debug)]
pub(super) struct Times {
    /// For the head of a request.
    pub(super) header: Duration,
    /// For which nothing moves: between requests, or in an answer that is not read.
    pub(super) keep_alive: Duration,
}

/// What is to be done about a connection.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Verdict {
    /// Nothing before then.
    Wait(Instant),
    /// End it as its protocol has it.
    Goodbye,
    /// Close it.
    Cut,
}

/// What moves on one connection.
#[derive(Debug)]
pub(super) struct Activity {
    times: Times,
    now: Mutex<Now>,
}

#[derive(Debug)]
struct Now {
    /// The last time that something moved.
    last: Instant,
    /// The first byte of a head that is not whole yet; at first, the beginning of the connection.
    head: Option<Instant>,
    /// Requests whose answers have not been handed over whole.
    under_way: usize,
    /// The client does not take what is written.
    blocked: bool,
    /// Many requests share the connection: bytes may be of none of them.
    http2: bool,
    /// After the next answer the connection ends.
    ending: bool,
    said_goodbye: bool,
}

impl Activity {
    /// A connection that has just been accepted.
    pub(super) fn new(times: Times) -> Arc<Self> {
        let last = Instant::now();
        let (head, under_way) = (Some(last), 0);
        let now = Now { last, head, under_way, blocked: false, http2: false, ending: false, said_goodbye: false };
        Arc::new(Self { times, now: Mutex::new(now) })
    }

    fn now(&self) -> MutexGuard<'_, Now> {
        self.now.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// From now on no request is awaited: the one that comes nevertheless is answered.
    pub(super) fn end(&self) {
        self.now().ending = true;
    }

    /// The head of a request is whole.
    pub(super) fn begin(self: &Arc<Self>, http2: bool) -> UnderWay {
        let mut now = self.now();
        now.http2 = http2;
        now.head = None;
        now.under_way += 1;
        UnderWay(Arc::clone(self))
    }

    fn read(&self) {
        let mut now = self.now();
        now.last = Instant::now();
        if now.under_way == 0 && !now.http2 && now.head.is_none() {
            now.head = Some(now.last);
        }
    }

    fn written(&self, moved: bool) {
        let mut now = self.now();
        now.blocked = !moved;
        if moved {
            now.last = Instant::now();
        }
    }

    /// What is to be done at this moment. It says goodbye once.
    pub(super) fn verdict(&self) -> Verdict {
        let (mut now, time) = (self.now(), Instant::now());
        let mut until = match (now.under_way, now.head) {
            // The deadline of the answer holds, or what streams has nothing to say: looked at again later.
            (1.., _) if !now.blocked => time + self.times.keep_alive,
            (0, Some(head)) => head + self.times.header,
            _ => now.last + self.times.keep_alive,
        };
        if now.ending && now.under_way == 0 {
            until = until.min(now.last + LINGER);
        }
        // HTTP/2 has words for the end that lose no request; HTTP/1 says it in its last answer.
        let farewell = now.ending && now.http2 && !now.said_goodbye;
        if until > time && !farewell {
            return Verdict::Wait(until);
        }
        if now.said_goodbye {
            return Verdict::Cut;
        }
        (now.ending, now.said_goodbye) = (true, true);
        if now.http2 {
            // Its goodbye goes there and back.
            now.last = time;
        }
        Verdict::Goodbye
    }
}

/// A request that is being answered; dropped with the last of its answer, or when its client has gone.
pub(super) struct UnderWay(Arc<Activity>);

impl UnderWay {
    /// Whether the connection ends with this answer.
    pub(super) fn is_last(&self) -> bool {
        self.0.now().ending
    }
}

impl Drop for UnderWay {
    fn drop(&mut self) {
        let mut now = self.0.now();
        now.under_way -= 1;
        now.last = Instant::now();
    }
}

/// A socket that notes what moves.
pub(super) struct Watched {
    pub(super) socket: TcpStream,
    pub(super) activity: Arc<Activity>,
}

impl Watched {
    fn note(&self, written: &Poll<io::Result<usize>>) {
        self.activity.written(written.is_ready());
    }
}

impl AsyncRead for Watched {
    fn poll_read(mut self: Pin<&mut Self>, cx: &mut Context<'_>, into: &mut ReadBuf<'_>) -> Poll<io::Result<()>> {
        let before = into.filled().len();
        let read = ready!(Pin::new(&mut self.socket).poll_read(cx, into));
        if into.filled().len() > before {
            self.activity.read();
        }
        Poll::Ready(read)
    }
}

impl AsyncWrite for Watched {
    fn poll_write(mut self: Pin<&mut Self>, cx: &mut Context<'_>, bytes: &[u8]) -> Poll<io::Result<usize>> {
        let written = Pin::new(&mut self.socket).poll_write(cx, bytes);
        self.note(&written);
        written
    }

    fn poll_write_vectored(
        mut self: Pin<&mut Self>,
        cx: &mut Context<'_>,
        parts: &[IoSlice<'_>],
    ) -> Poll<io::Result<usize>> {
        let written = Pin::new(&mut self.socket).poll_write_vectored(cx, parts);
        self.note(&written);
        written
    }

    fn is_write_vectored(&self) -> bool {
        self.socket.is_write_vectored()
    }

    fn poll_flush(mut self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<io::Result<()>> {
        Pin::new(&mut self.socket).poll_flush(cx)
    }

    fn poll_shutdown(mut self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<io::Result<()>> {
        Pin::new(&mut self.socket).poll_shutdown(cx)
    }
}
