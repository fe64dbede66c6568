//! The kind of a body by its content type, and parsing of small JSON bodies.
//!
//! The content of prediction requests is parsed in [`crate::wire`].

use axum::http::HeaderMap;

use super::super::error::ApiError;
use super::media::{content_type, essence};
use crate::domain::Violation;
use crate::wire::{explain, without_mark};

/// The format of a body, by its content type.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(in crate::http) enum BodyKind {
    Json,
    Csv,
    Workbook,
    Ndjson,
}

/// The kind of a body.
///
/// # Errors
/// 415 for anything but JSON, tables and NDJSON.
pub(in crate::http) fn body_kind(headers: &HeaderMap) -> Result<BodyKind, ApiError> {
    match essence(headers).as_str() {
        "application/json" => Ok(BodyKind::Json),
        // Windows sends CSV files with Excel's type, and some clients send every file as a byte stream. The first bytes
        // tell CSV from a workbook.
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
            let text = content_type(headers);
            let got = if text.is_empty() { "no content type was given".to_owned() } else { format!("got \"{text}\"") };
            Err(ApiError::UnsupportedMediaType(format!(
                "send application/json, text/csv, an Excel workbook or application/x-ndjson; {got}"
            )))
        }
    }
}

/// Parses a small JSON body of an admin route. `base` is the JSON pointer to it.
///
/// # Errors
/// 400 if it is not JSON, 422 naming the field that is unknown or has the wrong type.
pub(in crate::http) fn typed_json<T: serde::de::DeserializeOwned>(bytes: &[u8], base: &str) -> Result<T, ApiError> {
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
