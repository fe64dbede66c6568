//! Who asks, and whether they may.
//!
//! Its own so that no admin handler can forget: they get at jobs and versions only through a [`Caller`].

use std::sync::Arc;

use axum::http::{HeaderMap, header};

use super::super::error::ApiError;
use super::super::state::State;
use super::{blocking, note};
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
            let refused = Err::<((), String), _>(ApiError::Forbidden(scope));
            note(&admin, headers, &record.name, action, target, &refused).await;
            return Err(ApiError::Forbidden(scope));
        }
        Ok(Self { name: record.name, admin })
    }

    /// Does something, and notes that it was done or why not.
    pub(super) async fn act<T>(
        &self,
        headers: &HeaderMap,
        action: &str,
        target: &str,
        work: impl Future<Output = Result<(T, String), ApiError>>,
    ) -> Result<T, ApiError> {
        let outcome = work.await;
        note(&self.admin, headers, &self.name, action, target, &outcome).await;
        outcome.map(|(done, _)| done)
    }
}
