//! What may come in at the same time: bytes of JSON requests and short tables, and threads that work on large ones.
//!
//! Its own because an overloaded server must refuse before it has worked: reading a request, checking it and making
//! numbers of it costs more than passing it through a model. So room is taken for the bytes of a request as they come,
//! and given back with its answer; and large requests are worked on by no more threads than there are cores.

use axum::body::Body;
use axum::http::{HeaderMap, header};
use futures_util::{FutureExt, StreamExt};
use tokio::sync::Semaphore;

use super::error::ApiError;
use super::limits::HttpConfig;
use super::room::{Asker, Room, Taken};

/// Work on more bytes than this happens on a thread of its own: it would keep others waiting. A body up to this is small.
const LARGE_BYTES: usize = 32 * 1024;

/// The door that requests come through that are read whole.
pub(super) struct Door {
    room: Room,
    threads: Semaphore,
}

/// A request that came in; its room is free again when this is dropped.
pub(super) struct Admitted {
    pub(super) bytes: Vec<u8>,
    _room: Taken,
}

impl Door {
    pub(super) fn new(config: &HttpConfig) -> Self {
        let cores = std::thread::available_parallelism().map_or(1, usize::from);
        // The largest body there may be must find room.
        let reserve = (config.waiting_bytes / 4).min(config.waiting_bytes.saturating_sub(config.json_body_bytes));
        let room = Room::new(config.waiting_bytes, reserve, config.least_bytes_per_second);
        Self { room, threads: Semaphore::new(cores) }
    }

    /// Reads a body up to a limit.
    ///
    /// # Errors
    /// 413 over the limit, 429 where there is no room, 408 where the rest of it keeps others waiting, 400 where the client
    /// broke off.
    pub(super) async fn read(&self, headers: &HeaderMap, body: Body, limit: usize) -> Result<Admitted, ApiError> {
        let announced = announced(headers);
        if announced.is_some_and(|length| length > limit) {
            return Err(ApiError::BodyTooLarge(limit));
        }
        let is_small = |length: usize| length.max(announced.unwrap_or_default()) <= LARGE_BYTES;
        // A small one may be whole, and then others yield to it.
        if !is_small(0) && !self.room.could_take(announced.unwrap_or_default(), false) {
            return Err(ApiError::Overloaded);
        }
        let mut stream = body.into_data_stream();
        let mut room = self.room.enter();
        // Memory is taken as bytes come: their number in a head costs whoever sends it nothing.
        let mut bytes = Vec::new();
        loop {
            let piece = match stream.next().now_or_never() {
                Some(piece) => piece,
                None => {
                    room.wait();
                    tokio::select! {
                        piece = stream.next() => piece,
                        () = room.evicted() => return Err(ApiError::BodyTooSlow),
                    }
                }
            };
            let Some(piece) = piece else { break };
            let piece = piece.map_err(|_| ApiError::MalformedBody("the body broke off".to_owned()))?;
            let length = bytes.len() + piece.len();
            if length > limit {
                return Err(ApiError::BodyTooLarge(limit));
            }
            let asker = if announced == Some(length) { Asker::Whole } else { Asker::Part };
            if !room.take(piece.len(), is_small(length), asker) {
                return Err(ApiError::Overloaded);
            }
            bytes.extend_from_slice(&piece);
        }
        if room.settle() { Ok(Admitted { bytes, _room: room }) } else { Err(ApiError::BodyTooSlow) }
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

#[cfg(test)]
mod tests {
    use std::time::Duration;

    use futures_util::stream;

    use super::*;

    fn door(waiting_bytes: usize) -> Door {
        Door::new(&HttpConfig { waiting_bytes, json_body_bytes: 10, ..HttpConfig::default() })
    }

    async fn read(door: &Door, body: &'static str) -> Result<Admitted, ApiError> {
        door.read(&HeaderMap::new(), Body::from(body), 10).await
    }

    fn announcing(length: &str) -> HeaderMap {
        HeaderMap::from_iter([(header::CONTENT_LENGTH, length.parse().unwrap())])
    }

    #[tokio::test]
    async fn room_is_taken_by_bytes_and_given_back() {
        let door = door(12);
        let first = read(&door, "12345678").await.unwrap();
        assert_eq!(first.bytes, b"12345678");
        assert_eq!(read(&door, "12345678").await.err(), Some(ApiError::Overloaded));
        assert!(read(&door, "1234").await.is_ok());
        drop(first);
        assert!(read(&door, "1234567890").await.is_ok());
        assert_eq!(read(&door, "12345678901").await.err(), Some(ApiError::BodyTooLarge(10)));
    }

    #[tokio::test]
    async fn an_announced_length_is_refused_before_it_is_read() {
        let (door, limit) = (door(100_000), 90_000);
        for (length, wanted) in [("90001", ApiError::BodyTooLarge(limit)), ("90000", ApiError::Overloaded)] {
            let _taken = door.read(&HeaderMap::new(), Body::from(vec![b' '; 30_000]), limit).await.unwrap();
            assert_eq!(door.read(&announcing(length), Body::empty(), limit).await.err(), Some(wanted));
        }
    }

    #[tokio::test]
    async fn a_length_in_a_head_takes_no_room_and_its_rest_yields() {
        let door = std::sync::Arc::new(door(12));
        let slow = Body::from_stream(stream::iter([Ok::<_, std::io::Error>("123456789")]).chain(stream::pending()));
        let reading = std::sync::Arc::clone(&door);
        let reading = tokio::spawn(async move { reading.read(&announcing("10"), slow, 10).await.err() });
        tokio::time::sleep(Duration::from_millis(150)).await;
        assert_eq!(read(&door, "1234").await.err(), Some(ApiError::Overloaded), "not whole as far as anyone knows");
        let whole = door.read(&announcing("4"), Body::from("1234"), 10).await.unwrap();
        assert_eq!(whole.bytes, b"1234");
        assert_eq!(reading.await.unwrap(), Some(ApiError::BodyTooSlow));
    }
}
