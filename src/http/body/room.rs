//! A shared capacity: bytes of bodies that are read whole, or slots for streams.
//!
//! A slow client must not hold capacity that others need. It is evicted if another request needs its share and can use
//! it at once. A part is reserved for small requests, because most interactive requests are small.

use std::collections::BTreeMap;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::time::{Duration, Instant};

use tokio::sync::Notify;

use super::pace::Pace;

/// How long a client may be waited for before complete requests can evict it. The next bytes may already have arrived
/// while the server was busy.
const GRACE: Duration = Duration::from_millis(100);

/// A shared capacity; cheap to clone.
#[derive(Clone, Debug)]
pub(in crate::http) struct Room(Arc<Mutex<Books>>);

#[derive(Debug)]
struct Books {
    free: usize,
    /// The part of `free` that is reserved for small requests.
    reserve: usize,
    /// The least bytes per second of a client; a slower one may be evicted.
    least: f64,
    /// Holders whose clients are or were waited for; they may be evicted.
    waiting: BTreeMap<u64, Waiting>,
    next: u64,
}

#[derive(Debug)]
struct Waiting {
    taken: usize,
    since: Instant,
    pace: Pace,
    evicted: Arc<Notify>,
}

/// The state of the request that asks for capacity.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(in crate::http) enum Asker {
    /// It has arrived completely and can be processed at once.
    Whole,
    /// More bytes are expected.
    Part,
}

/// A share of the capacity; released when it is dropped.
#[derive(Debug)]
pub(in crate::http) struct Taken {
    room: Room,
    taken: usize,
    /// Its key in `waiting`, if its client is waited for.
    waits: Option<u64>,
    evicted: Arc<Notify>,
}

impl Room {
    pub(in crate::http) fn new(size: usize, reserve: usize, least: f64) -> Self {
        Self(Arc::new(Mutex::new(Books { free: size, reserve, least, waiting: BTreeMap::new(), next: 0 })))
    }

    fn books(&self) -> MutexGuard<'_, Books> {
        self.0.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// Whether this much could be granted if all late holders were evicted.
    pub(in crate::http) fn could_take(&self, wanted: usize, small: bool) -> bool {
        let (books, now) = (self.books(), Instant::now());
        let late = books.waiting.values().filter(|waiting| waiting.pace.late(now).is_some());
        books.free + late.map(|waiting| waiting.taken).sum::<usize>() >= wanted + books.kept(small)
    }

    /// An empty share.
    pub(in crate::http) fn enter(&self) -> Taken {
        Taken { room: self.clone(), taken: 0, waits: None, evicted: Arc::default() }
    }
}

impl Books {
    /// The capacity that this request may not use.
    fn kept(&self, small: bool) -> usize {
        if small { 0 } else { self.reserve }
    }

    /// Evicts others until there is enough, if possible: first late holders, the latest first. For a complete request
    /// then also those that have been waited for longer than [`GRACE`], the largest first.
    fn make(&mut self, wanted: usize, asker: Asker, now: Instant) {
        while self.free < wanted {
            let late = self.waiting.iter().filter_map(|(id, waiting)| Some((waiting.pace.late(now)?, *id)));
            let mut found = late.max().map(|(_, id)| id);
            if found.is_none() && asker == Asker::Whole {
                let waited = |waiting: &Waiting| now.saturating_duration_since(waiting.since) >= GRACE;
                let waiting = self.waiting.iter().filter(|(_, waiting)| waited(waiting));
                found = waiting.max_by_key(|(_, waiting)| waiting.taken).map(|(id, _)| *id);
            }
            let Some(waiting) = found.and_then(|id| self.waiting.remove(&id)) else { return };
            self.free += waiting.taken;
            waiting.evicted.notify_one();
        }
    }
}

impl Taken {
    /// Takes more capacity; false if there is none, or if this share was evicted.
    pub(in crate::http) fn take(&mut self, more: usize, small: bool, asker: Asker) -> bool {
        let mut books = self.room.books();
        let now = Instant::now();
        let own = match self.waits {
            Some(id) => match books.waiting.remove(&id) {
                Some(own) => Some((id, own)),
                None => return false,
            },
            None => None,
        };
        let wanted = more + books.kept(small);
        books.make(wanted, asker, now);
        let enough = books.free >= wanted;
        if enough {
            books.free -= more;
            self.taken += more;
        }
        if let Some((id, mut own)) = own {
            own.taken = self.taken;
            own.pace.moved(more, now);
            books.waiting.insert(id, own);
        }
        enough
    }

    /// Starts waiting for the client: this share may be evicted while it transfers nothing.
    pub(in crate::http) fn wait(&mut self) {
        if self.waits.is_none() {
            let mut books = self.room.books();
            let (id, since) = (books.next, Instant::now());
            let (pace, evicted) = (Pace::new(books.least, since), Arc::clone(&self.evicted));
            books.next += 1;
            books.waiting.insert(id, Waiting { taken: self.taken, since, pace, evicted });
            self.waits = Some(id);
        }
    }

    /// Stops the client's clock: the client waits for the server.
    pub(in crate::http) fn pause(&self) {
        self.with_pace(Pace::pause);
    }

    /// Continues the client's clock.
    pub(in crate::http) fn resume(&self) {
        self.with_pace(Pace::resume);
    }

    /// Records transferred bytes.
    pub(in crate::http) fn moved(&self, bytes: usize) {
        self.with_pace(|pace, now| pace.moved(bytes, now));
    }

    fn with_pace(&self, change: impl FnOnce(&mut Pace, Instant)) {
        if let Some(id) = self.waits
            && let Some(own) = self.room.books().waiting.get_mut(&id)
        {
            change(&mut own.pace, Instant::now());
        }
    }

    /// Marks the request as complete: it can no longer be evicted. False if it was evicted before.
    pub(in crate::http) fn settle(&mut self) -> bool {
        let Some(id) = self.waits.take() else { return true };
        let stayed = self.room.books().waiting.remove(&id).is_some();
        if !stayed {
            self.taken = 0;
        }
        stayed
    }

    /// Resolves when this share is evicted.
    pub(in crate::http) async fn evicted(&self) {
        self.evicted.notified().await;
    }
}

impl Drop for Taken {
    fn drop(&mut self) {
        // An evicted share was already released.
        if self.settle() {
            self.room.books().free += self.taken;
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn take(room: &Room, bytes: usize, small: bool, asker: Asker) -> Option<Taken> {
        let mut taken = room.enter();
        taken.take(bytes, small, asker).then_some(taken)
    }

    #[test]
    fn a_part_is_kept_for_small_ones() {
        let room = Room::new(100, 25, 1000.0);
        let large = take(&room, 70, false, Asker::Whole).unwrap();
        assert!(take(&room, 10, false, Asker::Whole).is_none() && !room.could_take(10, false));
        let small = take(&room, 30, true, Asker::Whole).unwrap();
        assert!(take(&room, 1, true, Asker::Whole).is_none());
        drop((large, small));
        assert!(room.could_take(75, false) && !room.could_take(76, false) && room.could_take(100, true));
    }

    #[test]
    fn who_waits_yields_to_what_is_whole() {
        let room = Room::new(100, 0, 1000.0);
        let (mut slow, mut other) = (take(&room, 60, false, Asker::Part).unwrap(), room.enter());
        assert!(other.take(30, false, Asker::Part));
        slow.wait();
        other.wait();
        assert!(take(&room, 20, true, Asker::Part).is_none(), "nobody is late yet");
        assert!(take(&room, 20, true, Asker::Whole).is_none(), "they have only begun to wait");
        std::thread::sleep(GRACE);
        let whole = take(&room, 20, true, Asker::Whole).unwrap();
        assert!(!slow.take(1, false, Asker::Part), "the largest had to yield");
        assert!(!slow.settle() && other.take(1, false, Asker::Part) && other.settle());
        drop((slow, other, whole));
        assert!(take(&room, 100, true, Asker::Part).is_some(), "room is given back once");
    }

    #[tokio::test]
    async fn who_is_late_yields_to_anyone() {
        let room = Room::new(1, 0, 1000.0);
        let mut stream = take(&room, 1, true, Asker::Part).unwrap();
        stream.wait();
        assert!(take(&room, 1, true, Asker::Part).is_none());
        std::thread::sleep(std::time::Duration::from_millis(2100));
        stream.pause();
        stream.moved(10_000);
        assert!(take(&room, 1, true, Asker::Part).is_none(), "it has moved");
        std::thread::sleep(std::time::Duration::from_millis(2100));
        assert!(take(&room, 1, true, Asker::Part).is_some());
        tokio::time::timeout(std::time::Duration::from_secs(1), stream.evicted()).await.unwrap();
    }
}
