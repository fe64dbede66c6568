//! What may come in at the same time: bytes of JSON requests and short tables, and threads that work on large ones.
//!
//! Its own because an overloaded server must refuse before it has worked: reading a request, checking it and making
//! numbers of it costs more than passing it through a model. So room is taken for the bytes of a request as they come,
//! and given back with its answer; and large requests are worked on by no more threads than there are cores.

use std::sync::Arc;
use std::time::Duration;

use axum::body::{Body, BodyDataStream};
use axum::http::{HeaderMap, header};
use futures_util::StreamExt;
use tokio::sync::{OwnedSemaphorePermit, Semaphore};

use super::error::ApiError;

/// Work on more bytes than this happens on a thread of its own: it would keep others waiting.
const LARGE_BYTES: usize = 32 * 1024;
/// For so long the rest of a refused request is read and forgotten: a client that still sends would not see the refusal.
const PATIENCE: Duration = Duration::from_secs(5);

/// The door that requests come through that are read whole.
pub(super) struct Door {
    room: Arc<Semaphore>,
    threads: Semaphore,
}

/// A request that came in; its room is free again when this is dropped.
pub(super) struct Admitted {
    pub(super) bytes: Vec<u8>,
    room: Option<OwnedSemaphorePermit>,
}

impl Door {
    pub(super) fn new(waiting_bytes: usize) -> Self {
        let cores = std::thread::available_parallelism().map_or(1, usize::from);
        let room = Arc::new(Semaphore::new(waiting_bytes.min(Semaphore::MAX_PERMITS)));
        Self { room, threads: Semaphore::new(cores) }
    }

    /// Reads a body up to a limit.
    ///
    /// # Errors
    /// 413 over the limit, 429 where there is no room, 400 where the client broke off.
    pub(super) async fn read(&self, headers: &HeaderMap, body: Body, limit: usize) -> Result<Admitted, ApiError> {
        let announced = announced(headers).unwrap_or_default();
        if announced > limit {
            return Err(ApiError::BodyTooLarge(limit));
        }
        let mut stream = body.into_data_stream();
        if announced > self.room.available_permits() {
            return Err(refuse(stream, limit));
        }
        // Memory is taken as bytes come: their number in a head costs whoever sends it nothing.
        let mut admitted = Admitted { bytes: Vec::new(), room: None };
        while let Some(piece) = stream.next().await {
            let piece = piece.map_err(|_| ApiError::MalformedBody("the body broke off".to_owned()))?;
            if admitted.bytes.len() + piece.len() > limit {
                return Err(ApiError::BodyTooLarge(limit));
            }
            let Some(room) = self.take(piece.len()) else { return Err(refuse(stream, limit)) };
            match &mut admitted.room {
                Some(taken) => taken.merge(room),
                none => *none = Some(room),
            }
            admitted.bytes.extend_from_slice(&piece);
        }
        Ok(admitted)
    }

    fn take(&self, bytes: usize) -> Option<OwnedSemaphorePermit> {
        Arc::clone(&self.room).try_acquire_many_owned(u32::try_from(bytes).ok()?).ok()
    }

    /// Works on so many bytes here, or on a thread for blocking work where they are many.
    pub(super) async fn work<T: Send + 'static>(
        &self,
        bytes: usize,
        work: impl FnOnce() -> Result<T, ApiError> + Send + 'static,
    ) -> Result<T, ApiError> {
        if bytes <= LARGE_BYTES { work() } else { self.work_apart(work).await }
    }

    /// Works on a thread for blocking work.
    pub(super) async fn work_apart<T: Send + 'static>(
        &self,
        work: impl FnOnce() -> Result<T, ApiError> + Send + 'static,
    ) -> Result<T, ApiError> {
        let _turn = self.threads.acquire().await;
        let joined = tokio::task::spawn_blocking(work).await;
        joined.unwrap_or_else(|error| Err(ApiError::InferenceFailed(error.to_string())))
    }
}

/// The length of a body, where its client says it.
pub(super) fn announced(headers: &HeaderMap) -> Option<usize> {
    headers.get(header::CONTENT_LENGTH)?.to_str().ok()?.parse().ok()
}

fn refuse(mut rest: BodyDataStream, limit: usize) -> ApiError {
    tokio::spawn(tokio::time::timeout(PATIENCE, async move {
        let mut left = limit;
        while let Some(Ok(piece)) = rest.next().await {
            left = left.saturating_sub(piece.len());
            if left == 0 {
                return;
            }
        }
    }));
    ApiError::Overloaded
}

#[cfg(test)]
mod tests {
    use super::*;

    async fn read(door: &Door, body: &'static str) -> Result<Admitted, ApiError> {
        door.read(&HeaderMap::new(), Body::from(body), 10).await
    }

    #[tokio::test]
    async fn room_is_taken_by_bytes_and_given_back() {
        let door = Door::new(12);
        let first = read(&door, "12345678").await.unwrap();
        assert_eq!(first.bytes, b"12345678");
        assert!(matches!(read(&door, "12345678").await, Err(ApiError::Overloaded)));
        assert!(read(&door, "1234").await.is_ok());
        drop(first);
        assert!(read(&door, "1234567890").await.is_ok());
        assert!(matches!(read(&door, "12345678901").await, Err(ApiError::BodyTooLarge(10))));
    }

    #[tokio::test]
    async fn an_announced_length_is_refused_before_it_is_read() {
        let door = Door::new(12);
        for (length, wanted) in [("11", ApiError::BodyTooLarge(10)), ("9", ApiError::Overloaded)] {
            let _taken = read(&door, "1234").await.unwrap();
            let headers = HeaderMap::from_iter([(header::CONTENT_LENGTH, length.parse().unwrap())]);
            assert_eq!(door.read(&headers, Body::empty(), 10).await.err(), Some(wanted));
        }
    }
}
