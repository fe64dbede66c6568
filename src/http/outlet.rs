//! Where the answers of a stream wait for their client.
//!
//! Its own because it bounds them: when too many wait, nothing more is answered until some are taken.

use std::io::{Error, ErrorKind};
use std::sync::Arc;
use std::time::Duration;

use axum::body::{Body, Bytes};
use axum::http::HeaderMap;
use futures_util::stream::unfold;
use http_body::Frame;
use http_body_util::StreamBody;
use tokio::sync::{Semaphore, mpsc};

/// Answers that may wait for their client, in bytes: as long as these, a request may be sent whole before any is read.
const WAITING_BYTES: usize = 16 << 20;

/// Why a stream ends early.
pub(super) enum Broken {
    /// The client has gone.
    Gone,
    /// Its bytes cannot be read, or nothing moves.
    Input(String),
}

/// Takes answers.
pub(super) struct Outlet {
    sender: mpsc::UnboundedSender<Result<Frame<Bytes>, Error>>,
    room: Arc<Semaphore>,
}

/// The two ends of an outlet: answers in, a body out.
pub(super) fn outlet() -> (Outlet, Body) {
    let (sender, receiver) = mpsc::unbounded_channel::<Result<Frame<Bytes>, Error>>();
    let room = Arc::new(Semaphore::new(WAITING_BYTES));
    let taken = unfold((receiver, Arc::clone(&room)), |(mut receiver, room)| async move {
        let next = receiver.recv().await?;
        room.add_permits(next.as_ref().ok().and_then(Frame::data_ref).map_or(0, Bytes::len));
        Some((next, (receiver, room)))
    });
    (Outlet { sender, room }, Body::new(StreamBody::new(taken)))
}

impl Outlet {
    /// Waits for room.
    pub(super) async fn send(&self, bytes: Vec<u8>, stall: Duration) -> Result<(), Broken> {
        if bytes.is_empty() {
            return Ok(());
        }
        // A chunk larger than all the room would wait for ever.
        let needed = u32::try_from(bytes.len().min(WAITING_BYTES)).unwrap_or(u32::MAX);
        let room = tokio::select! {
            room = tokio::time::timeout(stall, self.room.acquire_many(needed)) => room,
            () = self.gone() => return Err(Broken::Gone),
        };
        match room {
            Ok(Ok(room)) => room.forget(),
            Ok(Err(_)) => return Err(Broken::Gone),
            Err(_) => return Err(Broken::Input(format!("no answer was taken for {} s", stall.as_secs_f64()))),
        }
        self.sender.send(Ok(Frame::data(bytes.into()))).map_err(|_| Broken::Gone)
    }

    /// What is only known at the end, for clients that read trailers.
    pub(super) fn finish(&self, trailers: HeaderMap) {
        if !trailers.is_empty() {
            let _ = self.sender.send(Ok(Frame::trailers(trailers)));
        }
    }

    pub(super) async fn gone(&self) {
        self.sender.closed().await;
    }

    pub(super) fn break_off(&self, cause: String) {
        let _ = self.sender.send(Err(Error::new(ErrorKind::ConnectionAborted, cause)));
    }
}
