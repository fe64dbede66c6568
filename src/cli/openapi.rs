//! `mcvn openapi`: the document that is checked in as `openapi.yaml`.

use std::io::Write;

use anyhow::{Result, anyhow};

pub(super) fn run() -> Result<()> {
    let document = crate::http::openapi_document().map_err(|error| anyhow!(error))?;
    Ok(std::io::stdout().write_all(document.as_bytes())?)
}
