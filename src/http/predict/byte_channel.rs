//! A bounded channel for the response bytes of a stream.
//!
//! When too many bytes wait, no more rows are answered until the client has taken some. A client that takes none loses
//! its connection, and a slow client may lose its slot to others.

use std::io::{Error, ErrorKind};
use std::sync::Arc;
use std::time::Duration;

use axum::body::{Body, Bytes};
use axum::http::HeaderMap;
use futures_util::stream::unfold;
use http_body::Frame;
use http_body_util::StreamBody;
use tokio::sync::{Notify, Semaphore, mpsc};

use super::super::body::room::Taken;

/// Largest number of response bytes that may wait. A client can send a whole request before it reads, if the response
/// is not longer than this.
const WAITING_BYTES: usize = 16 << 20;

/// Why a stream ends early.
pub(in crate::http) enum Broken {
    /// The client has disconnected.
    Gone,
    /// The request's bytes cannot be read.
    Input(String),
    /// The client transfers nothing, or too slowly; waiting data is dropped.
    Stalled(String),
}

/// The sending end.
pub(in crate::http) struct ByteChannel {
    sender: mpsc::UnboundedSender<Result<Frame<Bytes>, Error>>,
    room: Arc<Semaphore>,
    /// Notified when bytes were taken.
    taken: Arc<Notify>,
    /// Longest time for which nothing is taken.
    stall: Duration,
}

/// Creates a channel: the sending end, and the response body that receives.
pub(in crate::http) fn byte_channel(stall: Duration) -> (ByteChannel, Body) {
    let (sender, receiver) = mpsc::unbounded_channel::<Result<Frame<Bytes>, Error>>();
    let (room, taken) = (Arc::new(Semaphore::new(WAITING_BYTES)), Arc::new(Notify::new()));
    let start = Some((receiver, Arc::clone(&room), Arc::clone(&taken)));
    let answers = unfold(start, |ends| async {
        let (mut receiver, room, taken) = ends?;
        let Some(next) = receiver.recv().await else {
            // The sender was dropped before the end, because the process ended.
            return Some((Err(Error::new(ErrorKind::ConnectionAborted, "the stream has no end")), None));
        };
        room.add_permits(next.as_ref().ok().and_then(Frame::data_ref).map_or(0, |data| needed(data.len())));
        taken.notify_one();
        let goes_on = next.as_ref().is_ok_and(Frame::is_data);
        Some((next, goes_on.then_some((receiver, room, taken))))
    });
    (ByteChannel { sender, room, taken, stall }, Body::new(StreamBody::new(answers)))
}

/// The capacity that a chunk needs, limited to the whole capacity because a larger request would wait forever.
fn needed(bytes: usize) -> usize {
    bytes.min(WAITING_BYTES)
}

impl ByteChannel {
    /// Sends bytes, after waiting for capacity.
    pub(in crate::http) async fn send(&self, bytes: Vec<u8>, place: &Taken) -> Result<(), Broken> {
        if bytes.is_empty() {
            return Ok(());
        }
        let needed = u32::try_from(needed(bytes.len())).unwrap_or(u32::MAX);
        let room = tokio::select! {
            room = tokio::time::timeout(self.stall, self.room.acquire_many(needed)) => room,
            () = self.gone() => return Err(Broken::Gone),
            () = place.evicted() => return Err(yields()),
        };
        match room {
            Ok(Ok(room)) => room.forget(),
            Ok(Err(_)) => return Err(Broken::Gone),
            Err(_) => return Err(self.stalled()),
        }
        place.moved(bytes.len());
        self.sender.send(Ok(Frame::data(bytes.into()))).map_err(|_| Broken::Gone)
    }

    /// Waits until all bytes are taken, because until then they use memory.
    pub(in crate::http) async fn drained(&self, place: &Taken) -> Result<(), Broken> {
        let mut free = self.room.available_permits();
        while free < WAITING_BYTES {
            tokio::select! {
                () = self.taken.notified() => {}
                () = tokio::time::sleep(self.stall) => return Err(self.stalled()),
                () = self.gone() => return Err(Broken::Gone),
                () = place.evicted() => return Err(yields()),
            }
            let before = std::mem::replace(&mut free, self.room.available_permits());
            place.moved(free.saturating_sub(before));
        }
        Ok(())
    }

    fn stalled(&self) -> Broken {
        Broken::Stalled(format!("no answer was taken for {} s", self.stall.as_secs_f64()))
    }

    /// Ends the body with trailers, for values that are only known at the end. Without this call the body ends with an
    /// error.
    pub(in crate::http) fn finish(&self, trailers: HeaderMap) {
        let _ = self.sender.send(Ok(Frame::trailers(trailers)));
    }

    pub(in crate::http) async fn gone(&self) {
        self.sender.closed().await;
    }

    pub(in crate::http) fn break_off(&self, cause: String) {
        let _ = self.sender.send(Err(Error::new(ErrorKind::ConnectionAborted, cause)));
    }
}

/// The reason for ending a stream whose slot others need.
pub(in crate::http) fn yields() -> Broken {
    Broken::Stalled("its client moved too little while others waited for a place".to_owned())
}
