//! Admission control: limits the bytes of JSON requests and short tables in memory, and the threads that process large
//! ones.
//!
//! Reading, checking and featurizing a request costs more than its forward pass, so an overloaded server must refuse
//! before this work. Memory is reserved for the bytes of a request as they arrive and released with the response. Large
//! requests are processed by no more threads than there are cores.

use axum::body::Body;
use axum::http::HeaderMap;
use futures_util::{FutureExt, StreamExt};
use headers::{ContentLength, HeaderMapExt};
use tokio::sync::Semaphore;

use super::super::error::ApiError;
use super::room::{Asker, Room, Taken};

/// Larger requests are processed on a blocking thread, because they would delay others. A body up to this size is
/// small.
const LARGE_BYTES: usize = 32 * 1024;

/// Admission of requests that are read whole.
pub(in crate::http) struct Admission {
    room: Room,
    threads: Semaphore,
}

/// An admitted request; its memory is released when it is dropped.
pub(in crate::http) struct Admitted {
    pub(in crate::http) bytes: Vec<u8>,
    _room: Taken,
}

impl Admission {
    /// At most `waiting` bytes may be queued or in progress, including the `largest` body. A client must send `least`
    /// bytes per second.
    pub(in crate::http) fn new(waiting: usize, largest: usize, least: f64) -> Self {
        let cores = std::thread::available_parallelism().map_or(1, usize::from);
        let reserve = (waiting / 4).min(waiting.saturating_sub(largest));
        let room = Room::new(waiting, reserve, least);
        Self { room, threads: Semaphore::new(cores) }
    }

    /// Reads a body up to a limit.
    ///
    /// # Errors
    /// 413 over the limit, 429 if there is no room, 408 if the rest of the body is late and others need its room, 400
    /// if the client disconnects.
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
        // A small body may already be complete, and then slower ones are evicted for it.
        if !is_small(0) && !self.room.could_take(announced.unwrap_or_default(), false) {
            return Err(ApiError::Overloaded);
        }
        let mut stream = body.into_data_stream();
        let mut room = self.room.enter();
        // Memory is allocated as bytes arrive, because announcing a length costs the client nothing.
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

    /// Processes a request of this size on the current thread, or on a blocking thread if it is large.
    pub(in crate::http) async fn run<T: Send + 'static>(
        &self,
        bytes: usize,
        work: impl FnOnce() -> Result<T, ApiError> + Send + 'static,
    ) -> Result<T, ApiError> {
        if bytes <= LARGE_BYTES { work() } else { self.run_blocking(work).await }
    }

    /// Runs work on a blocking thread.
    pub(in crate::http) async fn run_blocking<T: Send + 'static>(
        &self,
        work: impl FnOnce() -> Result<T, ApiError> + Send + 'static,
    ) -> Result<T, ApiError> {
        let _turn = self.threads.acquire().await;
        let joined = tokio::task::spawn_blocking(work).await;
        joined.unwrap_or_else(|error| Err(ApiError::InferenceFailed(error.to_string())))
    }
}

/// The length of a body according to its `Content-Length`, if there is one.
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
