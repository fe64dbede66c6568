//! Bulk requests: a table or lines of JSON, streamed both ways, of any length.
//!
//! Its own because such a request is not read whole before it is answered: rows are answered while more arrive, and
//! bytes are only read as fast as answers are taken. Some answers may wait for a client that sends everything before it
//! reads; when they are too many, nothing more is read. A stream that stands still is cut off.
//!
//! A short table is no bulk work: someone waits for it. It is read whole and answered like a list of samples. A workbook
//! can only be read whole.

use std::sync::Arc;
use std::time::Instant;

use axum::body::Body;
use axum::http::request::Parts;
use axum::http::{HeaderMap, HeaderName, HeaderValue, header};
use axum::response::{IntoResponse, Response};
use futures_util::StreamExt;
use futures_util::stream::FuturesOrdered;
use tracing::{Instrument, info, warn};

use super::activity::Activity;
use super::door::announced;
use super::error::ApiError;
use super::extract::BodyKind;
use super::input::{Feed, Input, peek};
use super::notes::notes_header;
use super::outlet::{Broken, Outlet, outlet, yields};
use super::query::{PredictQuery, TableQuery};
use super::room::Taken;
use super::state::{State, choose};
use crate::batcher::{Batcher, Predict};
use crate::bulk::Pool;
use crate::domain::Violation;
use crate::featurize::Features;
use crate::metrics::Metrics;
use crate::model::{Bundle, Confidence};
use crate::serving::Serving;
use crate::tables::{Chunk, Decide, Head, Limits, Rows, TableReader, is_workbook, read_table, text_to_workbook};
use crate::wire::{Answered, Bulk, Columns, Lines, Table, foreign};

/// What is said to be no longer than this is short: some hundred rows.
const SHORT_BYTES: usize = 64 << 10;
/// Chunks of one stream that are under way, for each thread: one is answered while the next one waits.
const CHUNKS_PER_THREAD: usize = 2;
/// How many rows were answered, after the last of them: an answer that is whole says so.
const ROWS: HeaderName = HeaderName::from_static("mcvn-rows");
/// The content type of workbooks that are answered.
pub(super) const WORKBOOK: &str = "application/vnd.openxmlformats-officedocument.spreadsheetml.sheet";
/// What a workbook of a request may hold; of what is on disk `mcvn predict` reads more.
const LIMITS: Limits = Limits { unzipped_bytes: 128 << 20, cells: 2_000_000 };

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
    head: &Parts,
    body: Body,
) -> Result<Response, ApiError> {
    let (headers, connection) = (&head.headers, head.extensions.get::<Arc<Activity>>().cloned());
    let bundle = Arc::clone(choose(serving, route, asked.model.as_deref())?);
    let mut complaints = Vec::new();
    let confidence = asked.confidence(None, &bundle, &mut complaints);
    let table = match kind {
        BodyKind::Ndjson => {
            asked.refuse_table(&mut complaints);
            TableQuery::default()
        }
        _ => asked.table(&mut complaints),
    };
    if !complaints.is_empty() {
        return Err(complaints.into());
    }
    let mut bulk = Request { state, serving, bundle, kind, confidence, echo: asked.echo, table };
    let mut body = body;
    if kind == BodyKind::Csv {
        // Programs send workbooks as whatever they like.
        let (magic, whole) = peek(body, state.http().deadline()).await?;
        body = whole;
        if is_workbook(&magic) {
            bulk.kind = BodyKind::Workbook;
        }
    }
    if bulk.kind != BodyKind::Ndjson && (bulk.kind == BodyKind::Workbook || wants_workbook(headers)) {
        return bulk.answer_apart(headers, body).await;
    }
    match announced(headers) {
        // There may be less room at the door: what never fits through it is streamed.
        Some(length) if length <= SHORT_BYTES.min(state.http().waiting_bytes) => bulk.answer_whole(headers, body).await,
        _ => bulk.answer_streamed(headers, body, connection).await,
    }
}

/// A request that has chosen its model.
struct Request<'a> {
    state: &'a State,
    serving: &'a Serving,
    bundle: Arc<Bundle>,
    kind: BodyKind,
    confidence: Confidence,
    echo: bool,
    table: TableQuery,
}

/// How rows are read and answered, and what was understood so far.
struct Format {
    bulk: Arc<dyn Bulk>,
    first: Option<Chunk>,
    notes: Vec<String>,
}

impl Request<'_> {
    async fn answer_whole(self, headers: &HeaderMap, body: Body) -> Result<Response, ApiError> {
        // Room is kept until the answer is there.
        let mut admitted = self.state.door().read(headers, body, SHORT_BYTES).await?;
        let bytes = std::mem::take(&mut admitted.bytes);
        let mut input = self.input(bytes.into(), Decide::AtBytes(SHORT_BYTES));
        let Format { bulk, first, mut notes } = self.format(&mut input, false).await?;
        let mut whole = first.ok_or_else(no_rows)?;
        while let Some(more) = input.chunk(false).await? {
            whole.bytes.extend(more.bytes);
        }
        let mut bytes = bulk.head();
        let (batcher, bundle) = (self.serving.batcher.clone(), Arc::clone(&self.bundle));
        let work = move || Ok(answer_rows(&*bulk, &batcher, &bundle, &whole));
        let answered = count(self.state.metrics(), &self.bundle, self.state.door().work_apart(work).await?);
        if answered.rows == 0 {
            return Err(no_rows());
        }
        notes.extend(answered.notes());
        bytes.extend(answered.bytes);
        Ok(self.respond(bytes.into(), &notes))
    }

    async fn answer_streamed(
        self,
        headers: &HeaderMap,
        body: Body,
        connection: Option<Arc<Activity>>,
    ) -> Result<Response, ApiError> {
        let place = Arc::new(self.state.place()?);
        // Whoever does not say how much will come may wait for the first answer before there is more.
        let decide = announced(headers).map_or(Decide::AtFirstRow, |length| Decide::AtBytes(length.min(SHORT_BYTES)));
        let mut input = self.input(body, decide).at(&place);
        let format = self.format(&mut input, decide == Decide::AtFirstRow);
        let Format { bulk, first, notes } = tokio::select! {
            format = format => format?,
            () = place.evicted() => return Err(ApiError::BodyTooSlow),
        };
        let first = first.ok_or_else(no_rows)?;
        let (answers, taken) = outlet(self.state.http().deadline());
        let pump = Pump {
            format: bulk,
            bundle: Arc::clone(&self.bundle),
            batcher: self.serving.batcher.clone(),
            pool: self.state.bulk().clone(),
            metrics: Arc::clone(self.state.metrics()),
            answers,
            total: Total { start: Instant::now(), answered: Answered::default() },
            place,
            connection,
        };
        tokio::spawn(pump.run(input, first).in_current_span());
        let mut response = self.respond(taken, &notes);
        response.headers_mut().insert(header::TRAILER, HeaderValue::from_static("mcvn-notes, mcvn-rows"));
        Ok(response)
    }

    /// A workbook, or a table that is answered by one: read whole, and answered by one thread of those for bulk work.
    async fn answer_apart(self, headers: &HeaderMap, body: Body) -> Result<Response, ApiError> {
        let mut place = self.state.place()?;
        // It is read whole, by the rules of the door; here it yields to nobody.
        place.settle();
        let admitted = self.state.door().read(headers, body, self.state.http().waiting_bytes).await?;
        let as_workbook = wants_workbook(headers) || self.kind == BodyKind::Workbook && !wants_text(headers);
        let (bundle, batcher) = (Arc::clone(&self.bundle), self.serving.batcher.clone());
        let (confidence, echo, metrics) = (self.confidence, self.echo, Arc::clone(self.state.metrics()));
        let TableQuery { options, mapping, others, safe_cells } = self.table;
        let work = move || {
            let (head, rows) = read_table(&admitted.bytes, &options, LIMITS)?;
            let table = Table::new(head, Arc::clone(&bundle), confidence, Columns::Others(others), &mapping)?;
            // In a workbook a text is a text.
            let table = table.echoing(echo).guarding(safe_cells && !as_workbook);
            table.check_first(&rows, usize::MAX)?;
            let (mut notes, mut bytes) = (table.notes(), table.head());
            let answered = count(&metrics, &bundle, answer_rows(&table, &batcher, &bundle, &rows));
            if answered.rows == 0 {
                return Err(no_rows());
            }
            notes.extend(answered.notes());
            bytes.extend(answered.bytes);
            // Room is kept until the answer is there.
            drop(admitted);
            let bytes = if as_workbook { text_to_workbook(&bytes, &notes)? } else { bytes };
            Ok::<_, ApiError>((bytes, notes))
        };
        let answered = self.state.bulk().run(work).await;
        let (bytes, notes) = answered.map_err(|_| ApiError::InferenceFailed("a panic in bulk work".to_owned()))??;
        Ok(respond(if as_workbook { WORKBOOK } else { CSV }, bytes.into(), &notes))
    }

    fn input(&self, body: Body, decide: Decide) -> Input {
        let feed = match self.kind {
            BodyKind::Json | BodyKind::Ndjson => Feed::Lines(Rows::lines()),
            BodyKind::Csv | BodyKind::Workbook => Feed::Table(Box::new(TableReader::new(&self.table.options, decide))),
        };
        Input::new(body, feed, self.state.http().deadline())
    }

    /// How rows are read and answered; a table's header row says which columns it has.
    async fn format(&self, input: &mut Input, idle: bool) -> Result<Format, ApiError> {
        let bundle = Arc::clone(&self.bundle);
        let Some(head) = input.head().await? else {
            let first = input.chunk(true).await?;
            if let Some(what) = first.as_ref().and_then(|first| foreign(&first.bytes)) {
                return Err(ApiError::MalformedBody(what));
            }
            return Ok(Format {
                bulk: Arc::new(Lines::new(bundle, self.confidence, self.echo)),
                first,
                notes: Vec::new(),
            });
        };
        let (table, notes) = self.table(head)?;
        let first = input.chunk(idle).await?;
        if let Some(first) = &first {
            // Where more rows may still come, no more than the first is sure to be there.
            table.check_first(first, if idle { 1 } else { usize::MAX })?;
        }
        Ok(Format { bulk: Arc::new(table), first, notes })
    }

    fn table(&self, head: Arc<Head>) -> Result<(Table, Vec<String>), ApiError> {
        let columns = Columns::Others(self.table.others);
        let table = Table::new(head, Arc::clone(&self.bundle), self.confidence, columns, &self.table.mapping)?;
        let notes = table.notes();
        Ok((table.echoing(self.echo).guarding(self.table.safe_cells), notes))
    }

    fn respond(&self, body: Body, notes: &[String]) -> Response {
        let content_type = match self.kind {
            BodyKind::Csv | BodyKind::Workbook => CSV,
            BodyKind::Json | BodyKind::Ndjson => "application/x-ndjson",
        };
        respond(content_type, body, notes)
    }
}

const CSV: &str = "text/csv; charset=utf-8";

fn respond(content_type: &'static str, body: Body, notes: &[String]) -> Response {
    let mut response = ([(header::CONTENT_TYPE, content_type)], body).into_response();
    response.headers_mut().extend(notes_header(notes));
    response
}

fn accepts(headers: &HeaderMap, what: &str) -> bool {
    let accepted = headers.get_all(header::ACCEPT).iter().filter_map(|value| value.to_str().ok());
    accepted.flat_map(|value| value.split(',')).any(|kind| kind.trim().starts_with(what))
}

fn wants_workbook(headers: &HeaderMap) -> bool {
    accepts(headers, WORKBOOK)
}

fn wants_text(headers: &HeaderMap) -> bool {
    accepts(headers, "text/")
}

fn no_rows() -> ApiError {
    vec![Violation::new("", "there are no rows")].into()
}

/// What has become of a stream, for the log.
struct Total {
    start: Instant,
    answered: Answered,
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
    place: Arc<Taken>,
    /// Cut where its client takes nothing.
    connection: Option<Arc<Activity>>,
}

impl Pump {
    async fn run(mut self, input: Input, first: Chunk) {
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

fn answer_rows(format: &dyn Bulk, batcher: &Batcher, bundle: &Arc<Bundle>, rows: &Chunk) -> Answered {
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
