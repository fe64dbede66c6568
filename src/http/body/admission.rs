//! What may come in at the same time: bytes of JSON requests and short tables, and threads that work on large ones.
//!
//! Its own because an overloaded server must refuse before it has worked: reading a request, checking it and making
//! numbers of it costs more than passing it through a model. So room is taken for the bytes of a request as they come,
//! and given back with its answer; and large requests are worked on by no more threads than there are cores.

use axum::body::Body;
use axum::http::HeaderMap;
use futures_util::{FutureExt, StreamExt};
use headers::{ContentLength, HeaderMapExt};
use tokio::sync::Semaphore;

use super::super::error::ApiError;
use super::room::{Asker, Room, Taken};

/// Work on more bytes than this happens on a thread of its own: it would keep others waiting. A body up to this is small.
const LARGE_BYTES: usize = 32 * 1024;

/// The door that requests come through that are read whole.
pub(in crate::http) struct Admission {
    room: Room,
    threads: Semaphore,
}

/// A request that came in; its room is free again when this is dropped.
pub(in crate::http) struct Admitted {
    pub(in crate::http) bytes: Vec<u8>,
    _room: Taken,
}

impl Admission {
    /// So many bytes may wait or be under way, of which the largest body must find room; `least` bytes a second must come.
    pub(in crate::http) fn new(waiting: usize, largest: usize, least: f64) -> Self {
        let cores = std::thread::available_parallelism().map_or(1, usize::from);
        let reserve = (waiting / 4).min(waiting.saturating_sub(largest));
        let room = Room::new(waiting, reserve, least);
        Self { room, threads: Semaphore::new(cores) }
    }

    /// Reads a body up to a limit.
    ///
    /// # Errors
    /// 413 over the limit, 429 where there is no room, 408 where the rest of it keeps others waiting, 400 where the client
    /// broke off.
    pub(in crate::http) async fn read(
        &self,
        headers: &HeaderMap,
        body: Body,
        limit: usize,
    ) -> Result<Admitted, ApiError> {
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
    pub(in crate::http) async fn run<T: Send + 'static>(
        &self,
        bytes: usize,
        work: impl FnOnce() -> Result<T, ApiError> + Send + 'static,
    ) -> Result<T, ApiError> {
        if bytes <= LARGE_BYTES { work() } else { self.run_blocking(work).await }
    }

    /// Works on a thread for blocking work.
    pub(in crate::http) async fn run_blocking<T: Send + 'static>(
        &self,
        work: impl FnOnce() -> Result<T, ApiError> + Send + 'static,
    ) -> Result<T, ApiError> {
        let _turn = self.threads.acquire().await;
        let joined = tokio::task::spawn_blocking(work).await;
        joined.unwrap_or_else(|error| Err(ApiError::InferenceFailed(error.to_string())))
    }
}

/// The length of a body, where its client says it.
pub(in crate::http) fn announced(headers: &HeaderMap) -> Option<usize> {
    headers.typed_get::<ContentLength>().and_then(|length| usize::try_from(length.0).ok())
}

#[cfg(test)]
mod tests {
    use std::time::Duration;

    use futures_util::stream;

    use axum::http::header;

    use super::*;

    fn admission(waiting_bytes: usize) -> Admission {
        Admission::new(waiting_bytes, 10, 10_000.0)
    }

    async fn read(admission: &Admission, body: &'static str) -> Result<Admitted, ApiError> {
        admission.read(&HeaderMap::new(), Body::from(body), 10).await
    }

    fn announcing(length: &str) -> HeaderMap {
        HeaderMap::from_iter([(header::CONTENT_LENGTH, length.parse().unwrap())])
    }

    #[tokio::test]
    async fn room_is_taken_by_bytes_and_given_back() {
        let admission = self::admission(12);
        let first = read(&admission, "12345678").await.unwrap();
        assert_eq!(first.bytes, b"12345678");
        assert_eq!(read(&admission, "12345678").await.err(), Some(ApiError::Overloaded));
        assert!(read(&admission, "1234").await.is_ok());
        drop(first);
        assert!(read(&admission, "1234567890").await.is_ok());
        assert_eq!(read(&admission, "12345678901").await.err(), Some(ApiError::BodyTooLarge(10)));
    }

    #[tokio::test]
    async fn an_announced_length_is_refused_before_it_is_read() {
        let (admission, limit) = (self::admission(100_000), 90_000);
        for (length, wanted) in [("90001", ApiError::BodyTooLarge(limit)), ("90000", ApiError::Overloaded)] {
            let _taken = admission.read(&HeaderMap::new(), Body::from(vec![b' '; 30_000]), limit).await.unwrap();
            assert_eq!(admission.read(&announcing(length), Body::empty(), limit).await.err(), Some(wanted));
        }
    }

    #[tokio::test]
    async fn a_length_in_a_head_takes_no_room_and_its_rest_yields() {
        let admission = std::sync::Arc::new(self::admission(12));
        let slow = Body::from_stream(stream::iter([Ok::<_, std::io::Error>("123456789")]).chain(stream::pending()));
        let reading = std::sync::Arc::clone(&admission);
        let reading = tokio::spawn(async move { reading.read(&announcing("10"), slow, 10).await.err() });
        tokio::time::sleep(Duration::from_millis(150)).await;
        assert_eq!(
            read(&admission, "1234").await.err(),
            Some(ApiError::Overloaded),
            "not whole as far as anyone knows"
        );
        let whole = admission.read(&announcing("4"), Body::from("1234"), 10).await.unwrap();
        assert_eq!(whole.bytes, b"1234");
        assert_eq!(reading.await.unwrap(), Some(ApiError::BodyTooSlow));
    }
}
