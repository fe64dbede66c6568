//! Authentication and authorisation of admin requests.
//!
//! Handlers reach jobs and versions only through a [`Caller`], so none can forget the check.

use std::sync::Arc;
use std::time::Duration;

use axum::http::HeaderMap;
use headers::HeaderMapExt;
use headers::authorization::{Authorization, Bearer};

use super::super::error::ApiError;
use super::super::state::AppState;
use super::notes::{begun, blocking, note};
use crate::admin::Admin;
use crate::keys::{KeyRecord, Scope};

/// How often the key of a long request is checked again.
const BETWEEN_LOOKS: Duration = Duration::from_secs(1);

/// A client whose key has the required scope.
pub(super) struct Caller {
    /// The name of the key's owner.
    pub(super) name: String,
    /// The administration.
    pub(super) admin: Arc<Admin>,
    key: String,
}

impl Caller {
    /// Checks the key of a request. A key without the required scope leaves a line in the audit log. An unknown key
    /// does not, because otherwise anyone could fill the disk.
    ///
    /// # Errors
    /// 401 without a known key, 403 if the key does not have the scope.
    pub(super) async fn identify(
        state: &AppState,
        headers: &HeaderMap,
        scope: Scope,
        action: &str,
        target: &str,
    ) -> Result<Self, ApiError> {
        let admin = state.admin()?;
        let given = headers.typed_get::<Authorization<Bearer>>().ok_or(ApiError::Unauthorized)?;
        let key = given.token().trim().to_owned();
        let found = look_up(&admin, &key).await?;
        let record: KeyRecord = found.ok_or(ApiError::Unauthorized)?;
        if !record.may(scope) {
            let refused = ApiError::Forbidden(scope);
            let told = (refused.code(), refused.detail());
            note(&admin, begun(headers, &record.name, action, target), told).await;
            return Err(refused);
        }
        Ok(Self { name: record.name, admin, key })
    }

    /// Resolves when the key no longer has the scope.
    pub(super) async fn revoked(self, scope: Scope) {
        loop {
            tokio::time::sleep(BETWEEN_LOOKS).await;
            let found = look_up(&self.admin, &self.key).await;
            if !found.is_ok_and(|record| record.is_some_and(|record| record.may(scope))) {
                return;
            }
        }
    }
}

async fn look_up(admin: &Arc<Admin>, key: &str) -> Result<Option<KeyRecord>, ApiError> {
    let (admin, key) = (Arc::clone(admin), key.to_owned());
    blocking(move || admin.authenticate(&key).map_err(ApiError::internal)).await
}
