//! The bytes of a bulk request, as chunks of whole rows.
//!
//! Its own because bytes come as the network pleases, and a stream on which nothing comes must end.

use std::sync::Arc;
use std::time::Duration;

use axum::body::{Body, BodyDataStream, Bytes};
use futures_util::{StreamExt, stream};

use super::super::body::room::Taken;
use super::super::error::ApiError;
use crate::domain::Violation;
use crate::tables::{Chunk, Head, LONGEST_ROW_BYTES, Rows, TableError, TableReader};

/// As many first bytes tell a workbook from a text.
const MAGIC_BYTES: usize = 8;

/// Rows, by the format of the body.
pub(in crate::http) enum Feed {
    Lines(Rows),
    Table(Box<TableReader>),
}

/// A body that is read.
pub(in crate::http) struct Input {
    stream: BodyDataStream,
    feed: Feed,
    pub(in crate::http) ended: bool,
    stall: Duration,
    /// The place of a stream, which it may lose where too little comes.
    place: Option<Arc<Taken>>,
}

impl Input {
    pub(in crate::http) fn new(body: Body, feed: Feed, stall: Duration) -> Self {
        Self { stream: body.into_data_stream(), feed, ended: false, stall, place: None }
    }

    /// What comes is for a place.
    pub(in crate::http) fn at(self, place: &Arc<Taken>) -> Self {
        Self { place: Some(Arc::clone(place)), ..self }
    }

    /// Waits for more bytes.
    async fn more(&mut self) -> Result<(), ApiError> {
        match next(&mut self.stream, self.stall).await? {
            Some(bytes) => {
                self.place.iter().for_each(|place| place.moved(bytes.len()));
                match &mut self.feed {
                    Feed::Lines(rows) => rows.push(&bytes).map_err(|_| ApiError::BodyTooLarge(LONGEST_ROW_BYTES)),
                    Feed::Table(reader) => reader.push(&bytes).map_err(ApiError::from),
                }
            }
            None => {
                self.ended = true;
                match &mut self.feed {
                    Feed::Lines(_) => Ok(()),
                    Feed::Table(reader) => reader.end().map_err(ApiError::from),
                }
            }
        }
    }

    /// The header of a table, as soon as it is known.
    pub(in crate::http) async fn head(&mut self) -> Result<Option<Arc<Head>>, ApiError> {
        loop {
            match &self.feed {
                Feed::Lines(_) => return Ok(None),
                Feed::Table(reader) => match reader.head() {
                    Some(head) => return Ok(Some(Arc::clone(head))),
                    None if self.ended => return Ok(None),
                    None => self.more().await?,
                },
            }
        }
    }

    /// The next rows; `None` after the last. Where somebody is `idle` the first whole ones will do. May be dropped
    /// while it waits: nothing is lost.
    pub(in crate::http) async fn chunk(&mut self, idle: bool) -> Result<Option<Chunk>, ApiError> {
        loop {
            let lines = |bytes| Chunk { bytes, line: 0 };
            let mut ready = match &mut self.feed {
                Feed::Lines(rows) => rows.chunk().or_else(|| self.ended.then(|| rows.rest()).flatten()).map(lines),
                Feed::Table(reader) => reader.chunk(),
            };
            if ready.is_none() && idle {
                ready = match &mut self.feed {
                    Feed::Lines(rows) => rows.take_whole().map(lines),
                    Feed::Table(reader) => reader.take_whole(),
                };
            }
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

/// The first bytes of a body, and the body as it was.
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
