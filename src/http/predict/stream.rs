//! A stream of rows that is answered while it arrives: from its bytes, over the threads for bulk work, to its client.
//!
//! Bytes are only read as fast as answers are taken. Some answers may wait for a client that sends everything before it
//! reads; when too many wait, nothing more is read. A stream that stands still is cut off.

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

/// Chunks of one stream that are under way, for each thread: one is answered while the next one waits.
const CHUNKS_PER_THREAD: usize = 2;
/// How many rows were answered, after the last of them: an answer that is whole has it.
const ROWS: HeaderName = HeaderName::from_static("mcvn-rows");

/// What has become of a stream, for the log.
pub(super) struct Total {
    start: Instant,
    answered: Answered,
}

impl Total {
    /// Nothing yet.
    pub(super) fn start() -> Self {
        Self { start: Instant::now(), answered: Answered::default() }
    }
}

/// Moves rows to the threads and their answers to the client, in order.
pub(super) struct StreamTask {
    pub(super) format: Arc<dyn Bulk>,
    pub(super) bundle: Arc<Bundle>,
    pub(super) batcher: Batcher,
    pub(super) pool: Pool,
    pub(super) metrics: Arc<Metrics>,
    pub(super) answers: ByteChannel,
    pub(super) total: Total,
    pub(super) place: Arc<Taken>,
    /// Cut where its client takes nothing.
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
            // The head of the answer is sent, so the only way to say that this is not all is to break off.
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
        let most = CHUNKS_PER_THREAD * self.pool.config().threads;
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

/// Answers rows on this thread.
pub(super) fn answer_rows(format: &dyn Bulk, batcher: &Batcher, bundle: &Arc<Bundle>, rows: &Chunk) -> Answered {
    let model = Arc::clone(bundle) as Arc<dyn Predict>;
    let answerer = |features: &[Features]| batcher.answer_bulk(&model, features).map_err(|error| error.to_string());
    format.answer(rows, &answerer)
}

/// Counts and logs what has become of rows.
pub(super) fn count(metrics: &Metrics, bundle: &Bundle, mut answered: Answered) -> Answered {
    metrics.predicted(&bundle.manifest().name, answered.rows - answered.bad_rows, answered.in_domain);
    for cause in answered.failures.drain(..) {
        tracing::error!(cause, "inference_failed");
    }
    answered
}
