//! Bulk requests: a table or lines of JSON, streamed both ways, of any length.
//!
//! Its own because such a request is not read whole before it is answered: rows are answered while more arrive, and
//! bytes are only read as fast as answers are taken. Some answers may wait for a client that sends everything before it
//! reads; when they are too many, nothing more is read. A stream that stands still is cut off.
//!
//! A short table is no bulk work: someone waits for it. It is read whole and answered like a list of samples.

use std::io::{Error, ErrorKind};
use std::sync::Arc;
use std::time::{Duration, Instant};

use axum::body::{Body, BodyDataStream, Bytes};
use axum::http::{HeaderMap, header};
use axum::response::{IntoResponse, Response};
use futures_util::StreamExt;
use futures_util::stream::{FuturesOrdered, unfold};
use tokio::sync::{OwnedSemaphorePermit, Semaphore, mpsc};
use tracing::{Instrument, info, warn};

use super::answer::PredictQuery;
use super::door::announced;
use super::error::ApiError;
use super::extract::BodyKind;
use super::state::{State, choose};
use crate::batcher::{Batcher, Predict};
use crate::bulk::Pool;
use crate::domain::Violation;
use crate::featurize::Features;
use crate::metrics::Metrics;
use crate::model::{Bundle, Confidence};
use crate::serving::Serving;
use crate::wire::{Answered, Bulk, Columns, LONGEST_ROW_BYTES, Lines, Rows, Table};

/// Answers that may wait for their client, in bytes: as long as these, a request may be sent whole before any is read.
const WAITING_BYTES: usize = 16 << 20;
/// What is said to be no longer than this is short: some hundred rows.
const SHORT_BYTES: usize = 64 << 10;
/// Chunks of one stream that are under way, for each thread: one is answered while the next one waits.
const CHUNKS_PER_THREAD: usize = 2;

/// Answers a stream of rows.
///
/// # Errors
/// What is wrong with the whole of it: the query, the header row, that there is no row.
pub(super) async fn answer(
    state: &State,
    serving: &Serving,
    route: &'static str,
    kind: BodyKind,
    asked: PredictQuery,
    headers: &HeaderMap,
    body: Body,
) -> Result<Response, ApiError> {
    let bundle = Arc::clone(choose(serving, route, asked.model.as_deref())?);
    let mut complaints = Vec::new();
    let confidence = asked.confidence(None, &bundle, &mut complaints);
    if !complaints.is_empty() {
        return Err(complaints.into());
    }
    let bulk = Request { state, serving, bundle, kind, confidence };
    match announced(headers) {
        // There may be less room at the door: what never fits through it is streamed.
        Some(length) if length <= SHORT_BYTES.min(state.http().waiting_bytes) => bulk.answer_whole(headers, body).await,
        _ => bulk.answer_streamed(body).await,
    }
}

/// A request that has chosen its model.
struct Request<'a> {
    state: &'a State,
    serving: &'a Serving,
    bundle: Arc<Bundle>,
    kind: BodyKind,
    confidence: Confidence,
}

impl Request<'_> {
    async fn answer_whole(self, headers: &HeaderMap, body: Body) -> Result<Response, ApiError> {
        // Room is kept until the answer is there.
        let mut admitted = self.state.door().read(headers, body, SHORT_BYTES).await?;
        let mut input = self.input(std::mem::take(&mut admitted.bytes).into());
        let format = self.format(&mut input).await?;
        let mut rows = Vec::new();
        while let Some(chunk) = input.chunk(false).await? {
            rows.extend(chunk);
        }
        if rows.is_empty() {
            return Err(no_rows());
        }
        let mut bytes = format.head();
        let (batcher, bundle) = (self.serving.batcher.clone(), Arc::clone(&self.bundle));
        let work = move || Ok(answer_rows(&*format, &batcher, &bundle, &rows));
        let answered = self.state.door().work_apart(work).await?;
        bytes.extend(count(self.state.metrics(), &self.bundle, answered).bytes);
        Ok(self.respond(bytes.into()))
    }

    async fn answer_streamed(self, body: Body) -> Result<Response, ApiError> {
        let place = self.state.bulk().enter().ok_or(ApiError::Overloaded)?;
        let mut input = self.input(body);
        let format = self.format(&mut input).await?;
        let first = input.chunk(true).await?.ok_or_else(no_rows)?;
        let (answers, taken) = outlet();
        let pump = Pump {
            format,
            bundle: Arc::clone(&self.bundle),
            batcher: self.serving.batcher.clone(),
            pool: self.state.bulk().clone(),
            metrics: Arc::clone(self.state.metrics()),
            answers,
            total: Total { start: Instant::now(), rows: 0, bad_rows: 0 },
            _place: place,
        };
        tokio::spawn(pump.run(input, first).in_current_span());
        Ok(self.respond(Body::from_stream(taken)))
    }

    fn input(&self, body: Body) -> Input {
        let rows = Rows::new(self.kind == BodyKind::Csv);
        Input { stream: body.into_data_stream(), rows, ended: false, stall: self.state.http().deadline() }
    }

    /// How rows are read and answered; a table's header row says which columns it has.
    async fn format(&self, input: &mut Input) -> Result<Arc<dyn Bulk>, ApiError> {
        let bundle = Arc::clone(&self.bundle);
        Ok(match self.kind {
            BodyKind::Csv => {
                let header = input.first_row().await?.unwrap_or_default();
                Arc::new(Table::new(&header, bundle, self.confidence, Columns::Id)?)
            }
            BodyKind::Json | BodyKind::Ndjson => Arc::new(Lines::new(bundle, self.confidence)),
        })
    }

    fn respond(&self, body: Body) -> Response {
        let content_type = match self.kind {
            BodyKind::Csv => "text/csv; charset=utf-8",
            BodyKind::Json | BodyKind::Ndjson => "application/x-ndjson",
        };
        ([(header::CONTENT_TYPE, content_type)], body).into_response()
    }
}

fn no_rows() -> ApiError {
    vec![Violation::new("", "there are no rows")].into()
}

/// The bytes of a request, as whole rows.
struct Input {
    stream: BodyDataStream,
    rows: Rows,
    ended: bool,
    stall: Duration,
}

impl Input {
    /// Waits for more bytes; false where none will come.
    async fn more(&mut self) -> Result<bool, ApiError> {
        let next = tokio::time::timeout(self.stall, self.stream.next()).await;
        match next.map_err(|_| ApiError::DeadlineExceeded(self.stall))? {
            Some(Ok(bytes)) => {
                self.rows.push(&bytes).map_err(|_| ApiError::BodyTooLarge(LONGEST_ROW_BYTES))?;
                Ok(true)
            }
            Some(Err(_)) => Err(ApiError::MalformedBody("the body broke off".to_owned())),
            None => {
                self.ended = true;
                Ok(false)
            }
        }
    }

    /// The first row that is not blank.
    async fn first_row(&mut self) -> Result<Option<Vec<u8>>, ApiError> {
        loop {
            match self.rows.first_row() {
                Some(row) if row.trim_ascii().is_empty() => {}
                Some(row) => return Ok(Some(row)),
                None if self.ended => return Ok(self.rows.rest()),
                None => {
                    self.more().await?;
                }
            }
        }
    }

    /// The next rows; `None` after the last. Where somebody is `idle` the first whole ones will do. May be dropped
    /// while it waits: nothing is lost.
    async fn chunk(&mut self, idle: bool) -> Result<Option<Vec<u8>>, ApiError> {
        loop {
            let ready = match (self.ended, self.rows.chunk()) {
                (_, Some(chunk)) => Some(chunk),
                (true, None) => return Ok(self.rows.rest()),
                (false, None) if idle => self.rows.take_whole(),
                (false, None) => None,
            };
            if ready.is_some() {
                return Ok(ready);
            }
            self.more().await?;
        }
    }
}

/// What has become of a stream, for the log.
struct Total {
    start: Instant,
    rows: usize,
    bad_rows: usize,
}

/// Why a stream ends early.
enum Broken {
    /// The client has gone.
    Gone,
    /// Its bytes cannot be read, or nothing moves.
    Input(String),
}

/// Moves rows to the threads and their answers to the client, in order.
struct Pump {
    format: Arc<dyn Bulk>,
    bundle: Arc<Bundle>,
    batcher: Batcher,
    pool: Pool,
    metrics: Arc<Metrics>,
    answers: Outlet,
    total: Total,
    _place: OwnedSemaphorePermit,
}

impl Pump {
    async fn run(mut self, input: Input, first: Vec<u8>) {
        let broken = self.stream(input, first).await.err();
        let Total { start, rows, bad_rows } = self.total;
        let seconds = start.elapsed().as_secs_f64();
        let model = &self.bundle.manifest().name;
        match broken {
            None => info!(model, rows, bad_rows, seconds, "bulk work done"),
            Some(Broken::Gone) => info!(model, rows, bad_rows, seconds, "bulk work left by its client"),
            Some(Broken::Input(cause)) => {
                warn!(model, rows, bad_rows, seconds, cause, "bulk work cut off");
                // The head of the answer is sent, so the only way to say that this is not all is to break off.
                self.answers.break_off(cause);
            }
        }
    }

    async fn stream(&mut self, mut input: Input, first: Vec<u8>) -> Result<(), Broken> {
        let most = CHUNKS_PER_THREAD * self.pool.config().threads;
        let mut under_way = FuturesOrdered::new();
        self.answers.send(self.format.head(), input.stall).await?;
        under_way.push_back(self.begin(first));
        loop {
            let (idle, room) = (under_way.is_empty(), under_way.len() < most);
            tokio::select! {
                Some(answered) = under_way.next(), if !idle => {
                    let answered = answered.map_err(|_| Broken::Input("a panic in bulk work".to_owned()))?;
                    let answered = count(&self.metrics, &self.bundle, answered);
                    self.total.rows += answered.rows;
                    self.total.bad_rows += answered.bad_rows;
                    self.answers.send(answered.bytes, input.stall).await?;
                }
                chunk = input.chunk(idle), if !input.ended && room => {
                    let chunk = chunk.map_err(|error| Broken::Input(error.detail()))?;
                    under_way.extend(chunk.map(|chunk| self.begin(chunk)));
                }
                () = self.answers.gone() => return Err(Broken::Gone),
                else => return Ok(()),
            }
            if input.ended && under_way.is_empty() {
                return Ok(());
            }
        }
    }

    fn begin(&self, chunk: Vec<u8>) -> tokio::sync::oneshot::Receiver<Answered> {
        let (format, batcher) = (Arc::clone(&self.format), self.batcher.clone());
        let bundle = Arc::clone(&self.bundle);
        self.pool.run(move || answer_rows(&*format, &batcher, &bundle, &chunk))
    }
}

fn answer_rows(format: &dyn Bulk, batcher: &Batcher, bundle: &Arc<Bundle>, rows: &[u8]) -> Answered {
    let model = Arc::clone(bundle) as Arc<dyn Predict>;
    let answerer = |features: &[Features]| batcher.answer_bulk(&model, features).map_err(|error| error.to_string());
    format.answer(rows, &answerer)
}

/// Counts and logs what has become of rows.
fn count(metrics: &Metrics, bundle: &Bundle, mut answered: Answered) -> Answered {
    metrics.predicted(&bundle.manifest().name, answered.rows - answered.bad_rows, answered.in_domain);
    for cause in answered.failures.drain(..) {
        tracing::error!(cause, "inference_failed");
    }
    answered
}

/// Where answers wait for their client.
struct Outlet {
    sender: mpsc::UnboundedSender<Result<Bytes, Error>>,
    room: Arc<Semaphore>,
}

/// The two ends of an outlet: answers in, a body out.
fn outlet() -> (Outlet, impl futures_util::Stream<Item = Result<Bytes, Error>>) {
    let (sender, receiver) = mpsc::unbounded_channel::<Result<Bytes, Error>>();
    let room = Arc::new(Semaphore::new(WAITING_BYTES));
    let taken = unfold((receiver, Arc::clone(&room)), |(mut receiver, room)| async move {
        let next = receiver.recv().await?;
        room.add_permits(next.as_ref().map_or(0, Bytes::len));
        Some((next, (receiver, room)))
    });
    (Outlet { sender, room }, taken)
}

impl Outlet {
    /// Waits for room.
    async fn send(&self, bytes: Vec<u8>, stall: Duration) -> Result<(), Broken> {
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
        self.sender.send(Ok(bytes.into())).map_err(|_| Broken::Gone)
    }

    async fn gone(&self) {
        self.sender.closed().await;
    }

    fn break_off(&self, cause: String) {
        let _ = self.sender.send(Err(Error::new(ErrorKind::ConnectionAborted, cause)));
    }
}
