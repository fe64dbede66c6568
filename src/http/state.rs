//! What handlers share.
//!
//! Its own so that handlers can be read without knowing how the server starts.

use std::sync::atomic::{AtomicBool, Ordering};
use std::sync::{Arc, OnceLock};
use std::time::Duration;

use serde::{Deserialize, Serialize};

use super::error::ApiError;
use crate::batcher::Batcher;
use crate::model::Bundle;
use crate::registry::Catalogue;

/// Limits of the HTTP surface.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
#[serde(deny_unknown_fields, default)]
pub struct HttpConfig {
    /// Largest JSON body, in bytes.
    pub json_body_bytes: usize,
    /// Largest CSV body, in bytes.
    pub csv_body_bytes: usize,
    /// Most samples in one request, JSON or CSV.
    pub max_samples: usize,
    /// Longest time for one answer.
    pub deadline_seconds: f64,
}

impl Default for HttpConfig {
    fn default() -> Self {
        Self { json_body_bytes: 2_000_000, csv_body_bytes: 16_000_000, max_samples: 10_000, deadline_seconds: 30.0 }
    }
}

impl HttpConfig {
    pub(super) fn deadline(&self) -> Duration {
        Duration::try_from_secs_f64(self.deadline_seconds).unwrap_or(Duration::MAX)
    }
}

/// What answers, once it is loaded.
pub struct Serving {
    /// The models in use.
    pub catalogue: Catalogue,
    /// The way to the device.
    pub batcher: Batcher,
}

struct Shared {
    http: HttpConfig,
    serving: OnceLock<Arc<Serving>>,
    draining: AtomicBool,
}

/// Shared state; cheap to clone.
#[derive(Clone)]
pub struct State(Arc<Shared>);

impl State {
    /// A server that is alive but has nothing loaded yet.
    pub fn new(http: HttpConfig) -> Self {
        Self(Arc::new(Shared { http, serving: OnceLock::new(), draining: AtomicBool::new(false) }))
    }

    /// Hands over what answers, after a real pass of every model has succeeded.
    pub fn set_ready(&self, serving: Serving) {
        // A second call would mean two loads; the first one keeps serving.
        let _ = self.0.serving.set(Arc::new(serving));
    }

    /// From now on readiness is denied; requests under way and late ones are still answered.
    pub fn start_draining(&self) {
        self.0.draining.store(true, Ordering::Relaxed);
    }

    pub(super) fn http(&self) -> &HttpConfig {
        &self.0.http
    }

    /// # Errors
    /// 503 while nothing is loaded.
    pub(super) fn serving(&self) -> Result<&Arc<Serving>, ApiError> {
        self.0.serving.get().ok_or(ApiError::NotReady)
    }

    pub(super) fn is_ready(&self) -> bool {
        self.0.serving.get().is_some() && !self.0.draining.load(Ordering::Relaxed)
    }
}

impl Serving {
    /// The model that a request of a route means.
    ///
    /// # Errors
    /// 404 with the names that there are.
    pub(super) fn choose<'a>(&'a self, route: &'a str, name: Option<&str>) -> Result<&'a Arc<Bundle>, ApiError> {
        let found = match name {
            Some(name) => self.catalogue.get(name).filter(|bundle| bundle.manifest().route == route),
            None => self.catalogue.default_of(route),
        };
        found.ok_or_else(|| {
            let names: Vec<&str> =
                self.catalogue.of_route(route).map(|bundle| bundle.manifest().name.as_str()).collect();
            let names = if names.is_empty() { "none".to_owned() } else { names.join(", ") };
            ApiError::NotFound(match name {
                Some(name) => {
                    format!("{route} has no model \"{}\"; it has: {names}", name.chars().take(60).collect::<String>())
                }
                None => format!("{route} has no default model; name one of: {names}"),
            })
        })
    }
}
