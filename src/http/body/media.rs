//! Media types in `Content-Type` and `Accept` headers.

use axum::http::{HeaderMap, header};
use utoipa::openapi::KnownFormat::Binary;
use utoipa::openapi::RefOr;
use utoipa::openapi::schema::{ObjectBuilder, Schema, SchemaFormat, Type};
use utoipa::{PartialSchema, ToSchema};

/// The content type of CSV responses.
pub(in crate::http) const CSV: &str = "text/csv; charset=utf-8";
/// The content type of workbook responses.
pub(in crate::http) const WORKBOOK: &str = "application/vnd.openxmlformats-officedocument.spreadsheetml.sheet";
/// The content type of NDJSON responses.
pub(in crate::http) const NDJSON: &str = "application/x-ndjson";

/// The `Content-Type` header as given; empty if there is none.
pub(in crate::http) fn content_type(headers: &HeaderMap) -> &str {
    headers.get(header::CONTENT_TYPE).and_then(|value| value.to_str().ok()).unwrap_or_default()
}

/// The media type of a body without its parameters, in lower case. More lenient than common parsers, which refuse what
/// real clients send, such as a `;` at the end.
pub(in crate::http) fn essence(headers: &HeaderMap) -> String {
    content_type(headers).split(';').next().unwrap_or_default().trim().to_ascii_lowercase()
}

/// Whether the `Accept` headers contain a media type with this prefix.
pub(in crate::http) fn accepts(headers: &HeaderMap, start: &str) -> bool {
    let accepted = headers.get_all(header::ACCEPT).iter().filter_map(|value| value.to_str().ok());
    accepted.flat_map(|value| value.split(',')).any(|kind| kind.trim().starts_with(start))
}

/// The bytes of a workbook, for the OpenAPI document.
pub(in crate::http) struct Workbook;

impl PartialSchema for Workbook {
    fn schema() -> RefOr<Schema> {
        ObjectBuilder::new().schema_type(Type::String).format(Some(SchemaFormat::KnownFormat(Binary))).into()
    }
}

impl ToSchema for Workbook {}
