//! The state shared by all handlers.

use std::sync::atomic::{AtomicBool, Ordering};
use std::sync::{Arc, OnceLock};
use std::time::{Duration, Instant};

use super::body::admission::Admission;
use super::body::room::{Asker, Room, Taken};
use super::error::ApiError;
use super::limits::HttpConfig;
use crate::admin::Admin;
use crate::bulk::Pool;
use crate::metrics::Metrics;
use crate::serving::{Live, Serving};

/// Largest total size of queued recipes and job options, in bytes.
const ADMIN_WAITING_BYTES: usize = 1_000_000;

struct Shared {
    http: HttpConfig,
    admission: Admission,
    /// Separate, so that operators are served however many predictions wait.
    admin_admission: Admission,
    bulk: Pool,
    streams: Room,
    metrics: Arc<Metrics>,
    started: Instant,
    live: OnceLock<Arc<Live>>,
    admin: Option<Arc<Admin>>,
    draining: AtomicBool,
}

/// Shared state; cheap to clone.
#[derive(Clone)]
pub struct AppState(Arc<Shared>);

impl AppState {
    /// A server that has not loaded its models yet.
    pub fn new(http: HttpConfig, bulk: Pool, metrics: Arc<Metrics>, admin: Option<Admin>) -> Self {
        let (live, draining, admin) = (OnceLock::new(), AtomicBool::new(false), admin.map(Arc::new));
        let least = http.least_bytes_per_second;
        let admission = Admission::new(http.waiting_bytes, http.json_body_bytes, least);
        let admin_admission = Admission::new(ADMIN_WAITING_BYTES, ADMIN_WAITING_BYTES, least);
        let streams = Room::new(bulk.config().streams, 0, least);
        let started = Instant::now();
        Self(Arc::new(Shared {
            http,
            admission,
            admin_admission,
            bulk,
            streams,
            metrics,
            started,
            live,
            admin,
            draining,
        }))
    }

    /// Sets the loaded models, after real passes have succeeded.
    pub fn set_ready(&self, live: Live) {
        // After a second call the first value is kept.
        let _ = self.0.live.set(Arc::new(live));
    }

    /// Makes the server not ready. Running requests and late ones are still answered.
    pub fn start_draining(&self) {
        self.0.draining.store(true, Ordering::Relaxed);
    }

    pub(super) fn http(&self) -> &HttpConfig {
        &self.0.http
    }

    pub(super) fn admission(&self) -> &Admission {
        &self.0.admission
    }

    /// Admission for small bodies of admin requests.
    pub(super) fn admin_admission(&self) -> &Admission {
        &self.0.admin_admission
    }

    pub(super) fn bulk(&self) -> &Pool {
        &self.0.bulk
    }

    /// Takes a slot for one stream, held until it ends; starts waiting for its client.
    ///
    /// # Errors
    /// 429 if all slots are taken and no client is slow.
    pub(super) fn place(&self) -> Result<Taken, ApiError> {
        let mut place = self.0.streams.enter();
        if !place.take(1, true, Asker::Part) {
            return Err(ApiError::Overloaded);
        }
        place.wait();
        Ok(place)
    }

    pub(super) fn metrics(&self) -> &Arc<Metrics> {
        &self.0.metrics
    }

    pub(super) fn uptime(&self) -> Duration {
        self.0.started.elapsed()
    }

    /// The loaded models; `None` before.
    pub(super) fn live(&self) -> Option<&Arc<Live>> {
        self.0.live.get()
    }

    /// The models for a request that begins now; it keeps them to its end.
    ///
    /// # Errors
    /// 503 while nothing is loaded.
    pub(super) fn serving(&self) -> Result<Arc<Serving>, ApiError> {
        self.loaded().map(|live| live.current())
    }

    /// The models as they change.
    ///
    /// # Errors
    /// 503 while nothing is loaded.
    pub(super) fn loaded(&self) -> Result<&Arc<Live>, ApiError> {
        self.live().ok_or(ApiError::NotReady)
    }

    /// Administration.
    ///
    /// # Errors
    /// 404 if it is off.
    pub(super) fn admin(&self) -> Result<Arc<Admin>, ApiError> {
        let off = || ApiError::NotFound("administration is off: no admin keys are configured".to_owned());
        self.0.admin.clone().ok_or_else(off)
    }

    /// Keeps removing old jobs and candidates until the jobs stop; does nothing if administration is off.
    pub async fn keep_house(self) {
        if let Some(admin) = self.0.admin.clone() {
            drop(self);
            admin.keep_house().await;
        }
    }

    /// What is wrong with administration, in words; `None` if it is off.
    pub(super) async fn admin_troubles(&self) -> Option<Vec<String>> {
        let admin = Arc::clone(self.0.admin.as_ref()?);
        tokio::task::spawn_blocking(move || admin.troubles()).await.ok()
    }

    /// The number of jobs in each state; empty if administration is off.
    pub(super) fn count_jobs(&self) -> Vec<(&'static str, u64)> {
        self.0.admin.as_ref().map_or_else(Vec::new, |admin| admin.jobs.count())
    }

    /// Longest time for an admin request.
    pub(super) fn admin_deadline(&self) -> Duration {
        let seconds = self.0.admin.as_ref().map_or(0.0, |admin| admin.config.deadline_seconds);
        Duration::try_from_secs_f64(seconds).unwrap_or(Duration::MAX)
    }

    /// Whether the server accepts new work.
    ///
    /// # Errors
    /// 503 while nothing is loaded, passes keep failing, or the server is shutting down.
    pub(super) fn readiness(&self) -> Result<(), ApiError> {
        let live = self.live().filter(|_| !self.0.draining.load(Ordering::Relaxed)).ok_or(ApiError::NotReady)?;
        if live.current().batcher.health().is_healthy() { Ok(()) } else { Err(ApiError::DeviceFailing) }
    }

    /// Probes the device while passes keep failing. Returns only if nothing is loaded.
    pub async fn probe_until_healthy(self) {
        if let Some(live) = self.live() {
            live.probe_until_healthy().await;
        }
    }
}
