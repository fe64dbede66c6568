//! Bulk requests: tables and NDJSON of any length, streamed in both directions.
//!
//! A short table is read whole and answered like a list of samples, because a person may be waiting for it. A workbook
//! can only be read whole.

use std::sync::Arc;

use axum::body::Body;
use axum::http::request::Parts;
use axum::http::{HeaderMap, HeaderValue, header};
use axum::response::{IntoResponse, Response};
use tracing::Instrument;

use super::super::body::admission::announced;
use super::super::body::extract::BodyKind;
use super::super::body::media::{CSV, NDJSON, WORKBOOK, accepts};
use super::super::connection::activity::Activity;
use super::super::error::ApiError;
use super::super::state::AppState;
use super::byte_channel::byte_channel;
use super::choose::{Address, Choice, choose};
use super::input::{Input, peek};
use super::notes::notes_header;
use super::query::{PredictQuery, TableQuery};
use super::stream::{StreamTask, Total, answer_rows, count};
use crate::domain::Violation;
use crate::model::{Bundle, TrustOptions};
use crate::serving::Serving;
use crate::tables::{Chunk, Decide, Feed, Head, Limits, is_workbook, read_table, text_to_workbook};
use crate::wire::{Bulk, Columns, Lines, Table, foreign};

/// A body with a `Content-Length` up to this is short: some hundred rows.
const SHORT_BYTES: usize = 64 << 10;
/// Limits of a workbook in a request; `mcvn predict` has larger ones for files.
const LIMITS: Limits = Limits { unzipped_bytes: 128 << 20, cells: 2_000_000 };

/// Handles a bulk request.
///
/// # Errors
/// Errors that concern the whole request: in the query or the header row, or no rows at all.
pub(in crate::http) async fn answer(
    state: &AppState,
    serving: &Serving,
    address: &Address,
    kind: BodyKind,
    asked: PredictQuery,
    head: &Parts,
    body: Body,
) -> Result<Response, ApiError> {
    let (headers, connection) = (&head.headers, head.extensions.get::<Arc<Activity>>().cloned());
    let bundle = match choose(serving, address, asked.model.as_deref(), asked.version.as_deref())? {
        Choice::InUse(bundle) => Arc::clone(bundle),
        Choice::Version { model, version } => state.loaded()?.version(&model, &version).await?,
    };
    let mut complaints = Vec::new();
    let trust = asked.trust_options((None, &[]), &bundle, &mut complaints);
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
    let mut bulk = Request { state, serving, bundle, kind, trust, echo: asked.echo, table };
    let mut body = body;
    if kind == BodyKind::Csv {
        // Programs send workbooks with various content types.
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
        // The admission limit may be lower than this; a larger body is streamed.
        Some(length) if length <= SHORT_BYTES.min(state.http().waiting_bytes) => bulk.answer_whole(headers, body).await,
        _ => bulk.answer_streamed(headers, body, connection).await,
    }
}

/// A request and the model that answers it.
struct Request<'a> {
    state: &'a AppState,
    serving: &'a Serving,
    bundle: Arc<Bundle>,
    kind: BodyKind,
    trust: TrustOptions,
    echo: bool,
    table: TableQuery,
}

/// How rows are read and answered, the first rows, and the notes so far.
struct Format {
    bulk: Arc<dyn Bulk>,
    first: Option<Chunk>,
    notes: Vec<String>,
}

impl Request<'_> {
    async fn answer_whole(self, headers: &HeaderMap, body: Body) -> Result<Response, ApiError> {
        // The memory stays reserved until the response is ready.
        let mut admitted = self.state.admission().read(headers, body, SHORT_BYTES).await?;
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
        let answered = count(self.state.metrics(), &self.bundle, self.state.admission().run_blocking(work).await?);
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
        // A client that sends no length may wait for the first answer before it sends more.
        let decide = announced(headers).map_or(Decide::AtFirstRow, |length| Decide::AtBytes(length.min(SHORT_BYTES)));
        let mut input = self.input(body, decide).at(&place);
        let format = self.format(&mut input, decide == Decide::AtFirstRow);
        let Format { bulk, first, notes } = tokio::select! {
            format = format => format?,
            () = place.evicted() => return Err(ApiError::BodyTooSlow),
        };
        let first = first.ok_or_else(no_rows)?;
        let (answers, taken) = byte_channel(self.state.http().deadline());
        let task = StreamTask {
            format: bulk,
            bundle: Arc::clone(&self.bundle),
            batcher: self.serving.batcher.clone(),
            pool: self.state.bulk().clone(),
            metrics: Arc::clone(self.state.metrics()),
            answers,
            total: Total::start(),
            place,
            connection,
        };
        tokio::spawn(task.run(input, first).in_current_span());
        let mut response = self.respond(taken, &notes);
        response.headers_mut().insert(header::TRAILER, HeaderValue::from_static("mcvn-notes, mcvn-rows"));
        Ok(response)
    }

    /// Handles a workbook, or a table whose response is a workbook: read whole, and processed by one bulk thread.
    async fn answer_apart(self, headers: &HeaderMap, body: Body) -> Result<Response, ApiError> {
        let mut place = self.state.place()?;
        // The admission rules apply to reading it, so this slot cannot be evicted.
        place.settle();
        let admitted = self.state.admission().read(headers, body, self.state.http().waiting_bytes).await?;
        let as_workbook = wants_workbook(headers) || self.kind == BodyKind::Workbook && !wants_text(headers);
        let (bundle, batcher) = (Arc::clone(&self.bundle), self.serving.batcher.clone());
        let (trust, echo, metrics) = (self.trust.clone(), self.echo, Arc::clone(self.state.metrics()));
        let TableQuery { options, mapping, others, safe_cells } = self.table;
        let work = move || {
            let (head, rows) = read_table(&admitted.bytes, &options, LIMITS)?;
            let table = Table::new(head, Arc::clone(&bundle), trust.clone(), Columns::Others(others), &mapping)?;
            // In a workbook, text cells are never run as formulas.
            let table = table.echoing(echo).guarding(safe_cells && !as_workbook);
            table.check_first(&rows, usize::MAX)?;
            let (mut notes, mut bytes) = (table.notes(), table.head());
            let answered = count(&metrics, &bundle, answer_rows(&table, &batcher, &bundle, &rows));
            if answered.rows == 0 {
                return Err(no_rows());
            }
            notes.extend(answered.notes());
            bytes.extend(answered.bytes);
            // The memory stays reserved until the response is ready.
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
            BodyKind::Json | BodyKind::Ndjson => Feed::lines(),
            BodyKind::Csv | BodyKind::Workbook => Feed::table(&self.table.options, decide),
        };
        Input::new(body, feed, self.state.http().deadline())
    }

    /// How rows are read and answered. For a table it depends on the header row.
    async fn format(&self, input: &mut Input, idle: bool) -> Result<Format, ApiError> {
        let bundle = Arc::clone(&self.bundle);
        let Some(head) = input.head().await? else {
            let first = input.chunk(true).await?;
            if let Some(what) = first.as_ref().and_then(|first| foreign(&first.bytes)) {
                return Err(ApiError::MalformedBody(what));
            }
            return Ok(Format {
                bulk: Arc::new(Lines::new(bundle, self.trust.clone(), self.echo)),
                first,
                notes: Vec::new(),
            });
        };
        let (table, notes) = self.table(head)?;
        let first = input.chunk(idle).await?;
        if let Some(first) = &first {
            // If more rows may still arrive, only the first one is certain to be complete.
            table.check_first(first, if idle { 1 } else { usize::MAX })?;
        }
        Ok(Format { bulk: Arc::new(table), first, notes })
    }

    fn table(&self, head: Arc<Head>) -> Result<(Table, Vec<String>), ApiError> {
        let columns = Columns::Others(self.table.others);
        let table = Table::new(head, Arc::clone(&self.bundle), self.trust.clone(), columns, &self.table.mapping)?;
        let notes = table.notes();
        Ok((table.echoing(self.echo).guarding(self.table.safe_cells), notes))
    }

    fn respond(&self, body: Body, notes: &[String]) -> Response {
        let content_type = match self.kind {
            BodyKind::Csv | BodyKind::Workbook => CSV,
            BodyKind::Json | BodyKind::Ndjson => NDJSON,
        };
        respond(content_type, body, notes)
    }
}

fn respond(content_type: &'static str, body: Body, notes: &[String]) -> Response {
    let mut response = ([(header::CONTENT_TYPE, content_type)], body).into_response();
    response.headers_mut().extend(notes_header(notes));
    response
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
