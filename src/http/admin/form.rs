//! Reads the multipart form of a job: the options, and the rows, which go to disk as they arrive.
//!
//! The multipart parser reads the headers of a part whole, so their size is limited here.

use std::pin::Pin;
use std::sync::Arc;
use std::sync::atomic::{AtomicUsize, Ordering};
use std::task::{Context, Poll};

use axum::body::{Body, BodyDataStream, Bytes};
use axum::extract::multipart::{Field, MultipartError};
use axum::extract::{DefaultBodyLimit, FromRequest, Multipart, Request};
use futures_util::Stream;

use super::super::body::extract::typed_json;
use super::super::error::ApiError;
use super::file_name::extended_file_name;
use super::job_body::{JobBody, MOST_OPTION_BYTES};
use crate::domain::Violation;
use crate::jobs::{DataSource, Jobs, Upload};

/// Largest number of bytes without any output of the parser: a part's headers, or the text before the first part.
const MOST_HEAD_BYTES: usize = 64 << 10;

/// Most files of evidence.
const MOST_EVIDENCE: usize = 8;

/// Reads the form of a request. Each file may have at most `most_bytes` bytes.
pub(super) async fn read_form(
    jobs: &Jobs,
    request: Request,
    most_bytes: u64,
) -> Result<(JobBody, DataSource, Vec<Upload>), ApiError> {
    let (mut parts, unread) = open(request).await?;
    let (mut body, mut upload, mut evidence) = (None, None, Vec::new());
    while let Some(mut field) = unread.part(&mut parts).await? {
        match field.name() {
            Some("options") if body.is_some() => return Err(ApiError::invalid("/options", "given twice")),
            Some("data") if upload.is_some() => return Err(ApiError::invalid("/data", "given twice")),
            Some("options") => {
                let mut bytes = Vec::new();
                while let Some(chunk) = unread.chunk(&mut field).await? {
                    bytes.extend_from_slice(&chunk);
                    if bytes.len() > MOST_OPTION_BYTES {
                        return Err(ApiError::BodyTooLarge(MOST_OPTION_BYTES));
                    }
                }
                body = Some(typed_json::<JobBody>(&bytes, "/options")?);
            }
            Some("evidence") if evidence.len() == MOST_EVIDENCE => {
                return Err(ApiError::invalid("/evidence", format!("at most {MOST_EVIDENCE} files")));
            }
            Some(part @ ("data" | "evidence")) => {
                let is_data = part == "data";
                let extended = extended_file_name(field.headers());
                let name = extended.as_deref().or(field.file_name()).unwrap_or("data.csv");
                let mut file = jobs.receive(name, most_bytes)?;
                while let Some(chunk) = unread.chunk(&mut field).await? {
                    file.write(&chunk)?;
                }
                if is_data { upload = Some(file) } else { evidence.push(file) }
            }
            other => {
                let name = other.unwrap_or_default().chars().take(60).collect::<String>();
                return Err(ApiError::invalid(
                    Violation::child("", &name),
                    "unknown part; known are options, data, evidence",
                ));
            }
        }
    }
    let body = body.ok_or_else(|| ApiError::invalid("/options", "is missing: a part with JSON"))?;
    if body.data.is_some() || body.data_of_job.is_some() {
        return Err(ApiError::invalid("/options/data", "the rows come with this request"));
    }
    let upload = upload.ok_or_else(|| ApiError::invalid("/data", "is missing: a part with the table"))?;
    Ok((body, DataSource::Upload(upload), evidence))
}

/// The parts of a form, and the counter of unread bytes.
async fn open(request: Request) -> Result<(Multipart, Unread), ApiError> {
    let unread = Unread::default();
    let counted = |body: Body| Counted { inner: body.into_data_stream(), unread: unread.clone(), gave: false };
    let mut request = request.map(|body| Body::from_stream(counted(body)));
    // The parts have their own limits.
    DefaultBodyLimit::disable().apply(&mut request);
    let parts = Multipart::from_request(request, &()).await;
    Ok((parts.map_err(|error| ApiError::MalformedBody(error.body_text()))?, unread))
}

/// Bytes that have arrived since the parser's last output.
#[derive(Clone, Default)]
struct Unread(Arc<AtomicUsize>);

impl Unread {
    async fn part<'a>(&self, parts: &'a mut Multipart) -> Result<Option<Field<'a>>, ApiError> {
        let part = parts.next_field().await.map_err(|error| self.malformed(&error))?;
        self.reset();
        Ok(part)
    }

    async fn chunk(&self, field: &mut Field<'_>) -> Result<Option<Bytes>, ApiError> {
        let chunk = field.chunk().await.map_err(|error| self.malformed(&error))?;
        self.reset();
        Ok(chunk)
    }

    fn reset(&self) {
        self.0.store(0, Ordering::Relaxed);
    }

    fn is_over(&self) -> bool {
        self.0.load(Ordering::Relaxed) > MOST_HEAD_BYTES
    }

    fn malformed(&self, error: &MultipartError) -> ApiError {
        ApiError::MalformedBody(match self.is_over() {
            true => format!("the headers of a part, or what stands before it, have more than {MOST_HEAD_BYTES} bytes"),
            false => error.body_text(),
        })
    }
}

/// A body that fails when too many bytes are unread.
struct Counted {
    inner: BodyDataStream,
    unread: Unread,
    /// Whether the last poll returned bytes. The parser polls until a body has no data ready, so every second poll
    /// returns `Pending` and it gets one piece at a time.
    gave: bool,
}

impl Stream for Counted {
    type Item = Result<Bytes, axum::Error>;

    fn poll_next(mut self: Pin<&mut Self>, context: &mut Context<'_>) -> Poll<Option<Self::Item>> {
        if std::mem::take(&mut self.gave) {
            context.waker().wake_by_ref();
            return Poll::Pending;
        }
        if self.unread.is_over() {
            return Poll::Ready(Some(Err(axum::Error::new("too much before a part"))));
        }
        let piece = Pin::new(&mut self.inner).poll_next(context);
        if let Poll::Ready(Some(Ok(bytes))) = &piece {
            self.unread.0.fetch_add(bytes.len(), Ordering::Relaxed);
            self.gave = true;
        }
        piece
    }
}
