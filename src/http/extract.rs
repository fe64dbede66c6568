//! Bodies: their kind, their size, and small ones as typed JSON.
//!
//! Its own because every route reads bodies within the same limits; what the bytes mean is [`crate::wire`]'s.

use axum::body::{Body, to_bytes};
use axum::http::{HeaderMap, header};
use http_body_util::LengthLimitError;

use super::error::ApiError;
use crate::domain::Violation;
use crate::wire::{explain, without_mark};

/// What a body holds, by its content type.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum BodyKind {
    Json,
    Csv,
    Workbook,
    Ndjson,
}

/// The kind of a body.
///
/// # Errors
/// 415 for anything but JSON, tables and NDJSON.
pub(super) fn body_kind(headers: &HeaderMap) -> Result<BodyKind, ApiError> {
    let text = headers.get(header::CONTENT_TYPE).and_then(|value| value.to_str().ok()).unwrap_or_default();
    let essence = text.split(';').next().unwrap_or_default().trim().to_ascii_lowercase();
    match essence.as_str() {
        "application/json" => Ok(BodyKind::Json),
        // Windows calls CSV files by Excel's name, and some clients call every file a stream of bytes; their first
        // bytes tell.
        "text/csv"
        | "text/tab-separated-values"
        | "text/plain"
        | "application/csv"
        | "application/vnd.ms-excel"
        | "application/octet-stream" => Ok(BodyKind::Csv),
        "application/vnd.openxmlformats-officedocument.spreadsheetml.sheet"
        | "application/vnd.ms-excel.sheet.macroenabled.12"
        | "application/vnd.ms-excel.sheet.binary.macroenabled.12"
        | "application/vnd.oasis.opendocument.spreadsheet" => Ok(BodyKind::Workbook),
        "application/x-ndjson" | "application/ndjson" | "application/jsonl" => Ok(BodyKind::Ndjson),
        _ => {
            let got = if text.is_empty() { "no content type was given".to_owned() } else { format!("got \"{text}\"") };
            Err(ApiError::UnsupportedMediaType(format!(
                "send application/json, text/csv, an Excel workbook or application/x-ndjson; {got}"
            )))
        }
    }
}

/// Reads a body up to a limit.
///
/// # Errors
/// 413 over the limit, 400 where the client broke off.
pub(super) async fn read_body(headers: &HeaderMap, body: Body, limit: usize) -> Result<Vec<u8>, ApiError> {
    let announced = headers.get(header::CONTENT_LENGTH).and_then(|value| value.to_str().ok()?.parse::<usize>().ok());
    if announced.is_some_and(|length| length > limit) {
        return Err(ApiError::BodyTooLarge(limit));
    }
    to_bytes(body, limit).await.map(Vec::from).map_err(|error| match error.into_inner().is::<LengthLimitError>() {
        true => ApiError::BodyTooLarge(limit),
        false => ApiError::MalformedBody("the body broke off".to_owned()),
    })
}

/// Reads a small JSON body of the admin routes. `base` is the pointer to it.
///
/// # Errors
/// 400 where it is not JSON, 422 naming the field that is unknown or ill-typed.
pub(super) fn typed_json<T: serde::de::DeserializeOwned>(bytes: &[u8], base: &str) -> Result<T, ApiError> {
    let bytes = without_mark(bytes);
    let mut reader = serde_json::Deserializer::from_slice(bytes);
    let value = serde_path_to_error::deserialize(&mut reader).map_err(|error| {
        let inner = error.inner();
        if inner.is_syntax() || inner.is_eof() {
            return ApiError::MalformedBody(explain(bytes, inner));
        }
        let path = error.path().iter().map(|segment| segment.to_string());
        let pointer = path.filter(|part| part != "?").fold(base.to_owned(), |at, part| Violation::child(&at, &part));
        ApiError::invalid(pointer, inner.to_string())
    })?;
    reader.end().map_err(|error| ApiError::MalformedBody(explain(bytes, &error)))?;
    Ok(value)
}
