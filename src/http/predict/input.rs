//! Reads the body of a bulk request as chunks of whole rows.
//!
//! Pieces of the body end anywhere in a row, and a stream that sends nothing must end.

use std::sync::Arc;
use std::time::Duration;

use axum::body::{Body, BodyDataStream, Bytes};
use futures_util::{StreamExt, stream};

use super::super::body::room::Taken;
use super::super::error::ApiError;
use crate::domain::Violation;
use crate::tables::{Chunk, Feed, FeedError, Head, LONGEST_ROW_BYTES, TableError};

/// Number of first bytes that distinguish a workbook from text.
const MAGIC_BYTES: usize = 8;

/// A body and its rows.
pub(in crate::http) struct Input {
    stream: BodyDataStream,
    feed: Feed,
    pub(in crate::http) ended: bool,
    stall: Duration,
    /// The slot of the stream, which it can lose if it sends too slowly.
    place: Option<Arc<Taken>>,
}

impl Input {
    pub(in crate::http) fn new(body: Body, feed: Feed, stall: Duration) -> Self {
        Self { stream: body.into_data_stream(), feed, ended: false, stall, place: None }
    }

    /// Records incoming bytes on a stream's slot.
    pub(in crate::http) fn at(self, place: &Arc<Taken>) -> Self {
        Self { place: Some(Arc::clone(place)), ..self }
    }

    /// Waits for more bytes.
    async fn more(&mut self) -> Result<(), ApiError> {
        match next(&mut self.stream, self.stall).await? {
            Some(bytes) => {
                self.place.iter().for_each(|place| place.moved(bytes.len()));
                Ok(self.feed.push(&bytes)?)
            }
            None => {
                self.ended = true;
                Ok(self.feed.end()?)
            }
        }
    }

    /// The header of a table, as soon as it is known.
    pub(in crate::http) async fn head(&mut self) -> Result<Option<Arc<Head>>, ApiError> {
        while matches!(self.feed, Feed::Table(_)) && self.feed.head().is_none() && !self.ended {
            self.more().await?;
        }
        Ok(self.feed.head().cloned())
    }

    /// The next rows; `None` after the last. If `idle`, returns the whole rows that are available instead of waiting
    /// for a full chunk. Cancel safe: nothing is lost if the future is dropped.
    pub(in crate::http) async fn chunk(&mut self, idle: bool) -> Result<Option<Chunk>, ApiError> {
        loop {
            let ready = self.feed.chunk().or_else(|| idle.then(|| self.feed.take_whole()).flatten());
            if ready.is_some() || self.ended {
                return Ok(ready);
            }
            self.more().await?;
        }
    }
}

/// The next bytes of a body; `None` at its end.
async fn next(stream: &mut BodyDataStream, stall: Duration) -> Result<Option<Bytes>, ApiError> {
    let next = tokio::time::timeout(stall, stream.next()).await;
    match next.map_err(|_| ApiError::DeadlineExceeded(stall))? {
        Some(Ok(bytes)) => Ok(Some(bytes)),
        Some(Err(_)) => Err(ApiError::MalformedBody("the body broke off".to_owned())),
        None => Ok(None),
    }
}

/// The first bytes of a body, and the complete body.
pub(in crate::http) async fn peek(body: Body, stall: Duration) -> Result<(Vec<u8>, Body), ApiError> {
    let mut stream = body.into_data_stream();
    let (mut magic, mut pieces) = (Vec::new(), Vec::new());
    while magic.len() < MAGIC_BYTES
        && let Some(piece) = next(&mut stream, stall).await?
    {
        magic.extend(piece.iter().take(MAGIC_BYTES - magic.len()));
        pieces.push(Ok(piece));
    }
    Ok((magic, Body::from_stream(stream::iter(pieces).chain(stream))))
}

impl From<TableError> for ApiError {
    fn from(error: TableError) -> Self {
        match error {
            TableError::Unreadable(detail) => vec![Violation::new("", detail)].into(),
            TableError::TooLarge(detail) => Self::TableTooLarge(detail),
        }
    }
}

impl From<FeedError> for ApiError {
    fn from(error: FeedError) -> Self {
        match error {
            FeedError::Row(_) => Self::BodyTooLarge(LONGEST_ROW_BYTES),
            FeedError::Table(error) => error.into(),
        }
    }
}
