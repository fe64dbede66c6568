//! Processes a stream of rows while it arrives: reads rows, passes them to the bulk threads, and sends the answers to
//! the client.
//!
//! Bytes are only read as fast as answers are taken. A limited number of answers may wait for a client that sends
//! everything before it reads; beyond it, nothing more is read. A stalled stream is cut off.

use std::sync::Arc;
use std::time::Instant;

use axum::http::{HeaderName, HeaderValue};
use futures_util::StreamExt;
use futures_util::stream::FuturesOrdered;
use tracing::{info, warn};

use super::super::body::room::Taken;
use super::super::connection::activity::Activity;
use super::byte_channel::{Broken, ByteChannel, yields};
use super::input::Input;
use super::notes::notes_header;
use crate::batcher::{Batcher, Predict};
use crate::bulk::Pool;
use crate::featurize::Features;
use crate::metrics::Metrics;
use crate::model::Bundle;
use crate::tables::Chunk;
use crate::wire::{Answered, Bulk};

/// Trailer with the number of answered rows; only a complete response has it.
const ROWS: HeaderName = HeaderName::from_static("mcvn-rows");

/// The totals of a stream, for the log.
pub(super) struct Total {
    start: Instant,
    answered: Answered,
}

impl Total {
    /// Starts with zero rows.
    pub(super) fn start() -> Self {
        Self { start: Instant::now(), answered: Answered::default() }
    }
}

/// Moves rows to the bulk threads and their answers to the client, in order.
pub(super) struct StreamTask {
    pub(super) format: Arc<dyn Bulk>,
    pub(super) bundle: Arc<Bundle>,
    pub(super) batcher: Batcher,
    pub(super) pool: Pool,
    pub(super) metrics: Arc<Metrics>,
    pub(super) answers: ByteChannel,
    pub(super) total: Total,
    pub(super) place: Arc<Taken>,
    /// The connection, which is cut if the client takes nothing.
    pub(super) connection: Option<Arc<Activity>>,
}

impl StreamTask {
    pub(super) async fn run(mut self, input: Input, first: Chunk) {
        let mut broken = self.stream(input, first).await.err();
        if broken.is_none() {
            let notes = notes_header(&self.total.answered.notes());
            let rows = (ROWS, HeaderValue::from(self.total.answered.rows));
            self.answers.finish(notes.into_iter().chain([rows]).collect());
            broken = self.answers.drained(&self.place).await.err();
        }
        let Total { start, answered } = &self.total;
        let (rows, bad_rows) = (answered.rows, answered.bad_rows);
        let seconds = start.elapsed().as_secs_f64();
        let model = &self.bundle.manifest().name;
        match broken {
            None => {
                info!(model, rows, bad_rows, seconds, "bulk work done");
            }
            Some(Broken::Gone) => info!(model, rows, bad_rows, seconds, "bulk work left by its client"),
            // The response head is already sent, so the only way to signal an incomplete response is to break off.
            Some(Broken::Input(cause)) => {
                warn!(model, rows, bad_rows, seconds, cause, "bulk work cut off");
                self.answers.break_off(cause);
            }
            Some(Broken::Stalled(cause)) => {
                warn!(model, rows, bad_rows, seconds, cause, "bulk work cut off");
                self.answers.break_off(cause);
                self.connection.iter().for_each(|connection| connection.cut());
            }
        }
    }

    async fn stream(&mut self, mut input: Input, first: Chunk) -> Result<(), Broken> {
        let most = self.pool.chunks_under_way();
        let mut under_way = FuturesOrdered::new();
        self.answers.send(self.format.head(), &self.place).await?;
        under_way.push_back(self.begin(first));
        loop {
            let (idle, room) = (under_way.is_empty(), under_way.len() < most);
            if idle {
                self.place.resume()
            } else {
                self.place.pause()
            }
            tokio::select! {
                Some(answered) = under_way.next(), if !idle => {
                    let answered = answered.map_err(|_| Broken::Input("a panic in bulk work".to_owned()))?;
                    let mut answered = count(&self.metrics, &self.bundle, answered);
                    let bytes = std::mem::take(&mut answered.bytes);
                    self.total.answered.add(answered);
                    self.place.resume();
                    self.answers.send(bytes, &self.place).await?;
                }
                chunk = input.chunk(idle), if !input.ended && room => {
                    let chunk = chunk.map_err(|error| Broken::Input(error.detail()))?;
                    under_way.extend(chunk.map(|chunk| self.begin(chunk)));
                }
                () = self.answers.gone() => return Err(Broken::Gone),
                () = self.place.evicted() => return Err(yields()),
                else => return Ok(()),
            }
            if input.ended && under_way.is_empty() {
                return Ok(());
            }
        }
    }

    fn begin(&self, chunk: Chunk) -> tokio::sync::oneshot::Receiver<Answered> {
        let (format, batcher) = (Arc::clone(&self.format), self.batcher.clone());
        let bundle = Arc::clone(&self.bundle);
        self.pool.run(move || answer_rows(&*format, &batcher, &bundle, &chunk))
    }
}

/// Answers rows on the current thread.
pub(super) fn answer_rows(format: &dyn Bulk, batcher: &Batcher, bundle: &Arc<Bundle>, rows: &Chunk) -> Answered {
    let model = Arc::clone(bundle) as Arc<dyn Predict>;
    let answerer = |features: &[Features]| batcher.answer_bulk(&model, features).map_err(|error| error.to_string());
    format.answer(rows, &answerer)
}

/// Counts answered rows and logs their failures.
pub(super) fn count(metrics: &Metrics, bundle: &Bundle, mut answered: Answered) -> Answered {
    metrics.predicted(&bundle.manifest().name, answered.rows - answered.bad_rows, answered.in_domain);
    for cause in answered.failures.drain(..) {
        tracing::error!(cause, "inference_failed");
    }
    answered
}
