//! Who asks, and whether they may.
//!
//! Its own so that no admin handler can forget: they get at jobs and versions only through a [`Caller`].

use std::sync::Arc;

use axum::http::{HeaderMap, header};
use tracing::Instrument;

use super::super::error::ApiError;
use super::super::state::State;
use super::{begun, blocking, keep, note, told};
use crate::admin::Admin;
use crate::keys::{KeyRecord, Scope};

/// Someone with a key that is for what they ask.
pub(super) struct Caller {
    /// Whose key it is.
    pub(super) name: String,
    /// What they may use.
    pub(super) admin: Arc<Admin>,
}

impl Caller {
    /// Looks at the key of a request. A key that is not for this leaves a line in the audit log; a text that
    /// is no key does not, or anyone could fill the disk.
    ///
    /// # Errors
    /// 401 without a key, 403 with one that is for other things.
    pub(super) async fn identify(
        state: &State,
        headers: &HeaderMap,
        scope: Scope,
        action: &str,
        target: &str,
    ) -> Result<Self, ApiError> {
        let admin = state.admin()?;
        let given = headers.get(header::AUTHORIZATION).and_then(|value| value.to_str().ok());
        let (scheme, key) = given.and_then(|given| given.split_once(' ')).ok_or(ApiError::Unauthorized)?;
        if !scheme.eq_ignore_ascii_case("bearer") {
            return Err(ApiError::Unauthorized);
        }
        let (keeper, key) = (Arc::clone(&admin), key.trim().to_owned());
        let found = blocking(move || keeper.authenticate(&key).map_err(ApiError::internal)).await?;
        let record: KeyRecord = found.ok_or(ApiError::Unauthorized)?;
        if !record.may(scope) {
            let refused = ApiError::Forbidden(scope);
            let told = (refused.code(), refused.detail());
            note(&admin, begun(headers, &record.name, action, target), told).await;
            return Err(refused);
        }
        Ok(Self { name: record.name, admin })
    }

    /// Does something: notes that it begins, does it, and notes that it was done or why not. All of it in a task of its
    /// own, so that a client which hangs up leaves nothing half done and nothing unsaid.
    ///
    /// # Errors
    /// 503 where the beginning cannot be noted: then nothing is done.
    pub(super) async fn act<T: Send + 'static>(
        &self,
        headers: &HeaderMap,
        action: &str,
        target: &str,
        work: impl Future<Output = Result<(T, String), ApiError>> + Send + 'static,
    ) -> Result<T, ApiError> {
        let (admin, begun) = (Arc::clone(&self.admin), begun(headers, &self.name, action, target));
        let whole = async move {
            keep(&admin, begun.clone()).await?;
            let outcome = work.await;
            note(&admin, begun, told(&outcome)).await;
            outcome.map(|(done, _)| done)
        };
        let ended = tokio::spawn(whole.in_current_span()).await;
        ended.unwrap_or_else(|error| Err(ApiError::internal(error)))
    }
}
