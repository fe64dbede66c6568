//! What handlers share.
//!
//! Its own so that handlers can be read without knowing how the server starts.

use std::sync::atomic::{AtomicBool, Ordering};
use std::sync::{Arc, OnceLock};
use std::time::{Duration, Instant};

use super::door::Door;
use super::error::ApiError;
use super::limits::HttpConfig;
use super::room::{Asker, Room, Taken};
use crate::admin::Admin;
use crate::bulk::Pool;
use crate::metrics::Metrics;
use crate::model::Bundle;
use crate::serving::{Live, Serving};

struct Shared {
    http: HttpConfig,
    door: Door,
    bulk: Pool,
    streams: Room,
    metrics: Arc<Metrics>,
    started: Instant,
    live: OnceLock<Live>,
    admin: Option<Arc<Admin>>,
    draining: AtomicBool,
}

/// Shared state; cheap to clone.
#[derive(Clone)]
pub struct State(Arc<Shared>);

impl State {
    /// A server that is alive but has nothing loaded yet.
    pub fn new(http: HttpConfig, bulk: Pool, metrics: Arc<Metrics>, admin: Option<Admin>) -> Self {
        let (live, draining, admin) = (OnceLock::new(), AtomicBool::new(false), admin.map(Arc::new));
        let door = Door::new(&http);
        let streams = Room::new(bulk.config().streams, 0, http.least_bytes_per_second);
        Self(Arc::new(Shared { http, door, bulk, streams, metrics, started: Instant::now(), live, admin, draining }))
    }

    /// Hands over what answers, after real passes have succeeded.
    pub fn set_ready(&self, live: Live) {
        // A second call would mean two loads; the first one keeps serving.
        let _ = self.0.live.set(live);
    }

    /// From now on readiness is denied; requests under way and late ones are still answered.
    pub fn start_draining(&self) {
        self.0.draining.store(true, Ordering::Relaxed);
    }

    pub(super) fn http(&self) -> &HttpConfig {
        &self.0.http
    }

    pub(super) fn door(&self) -> &Door {
        &self.0.door
    }

    pub(super) fn bulk(&self) -> &Pool {
        &self.0.bulk
    }

    /// A place for one stream, held while it is answered; from now on its client has the turn.
    ///
    /// # Errors
    /// 429 where all are taken, and nobody is slow.
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

    /// What has been loaded; `None` before.
    pub(super) fn live(&self) -> Option<&Live> {
        self.0.live.get()
    }

    /// What answers a request that begins now, to its end.
    ///
    /// # Errors
    /// 503 while nothing is loaded.
    pub(super) fn serving(&self) -> Result<Arc<Serving>, ApiError> {
        self.loaded().map(Live::current)
    }

    /// What answers, as it changes.
    ///
    /// # Errors
    /// 503 while nothing is loaded.
    pub(super) fn loaded(&self) -> Result<&Live, ApiError> {
        self.live().ok_or(ApiError::NotReady)
    }

    /// Administration.
    ///
    /// # Errors
    /// 404 where it is off.
    pub(super) fn admin(&self) -> Result<Arc<Admin>, ApiError> {
        let off = || ApiError::NotFound("administration is off: no admin keys are configured".to_owned());
        self.0.admin.clone().ok_or_else(off)
    }

    /// Removes old jobs and candidates as they come about, until the jobs stop; none where administration is off.
    pub async fn keep_house(self) {
        if let Some(admin) = self.0.admin.clone() {
            drop(self);
            admin.keep_house().await;
        }
    }

    /// What keeps administration from working, in words; `None` where it is off.
    pub(super) async fn admin_troubles(&self) -> Option<Vec<String>> {
        let admin = Arc::clone(self.0.admin.as_ref()?);
        tokio::task::spawn_blocking(move || admin.troubles()).await.ok()
    }

    /// How many jobs are in each state; none where administration is off.
    pub(super) fn count_jobs(&self) -> Vec<(&'static str, u64)> {
        self.0.admin.as_ref().map_or_else(Vec::new, |admin| admin.jobs.count())
    }

    /// Longest time for an admin request.
    pub(super) fn admin_deadline(&self) -> Duration {
        let seconds = self.0.admin.as_ref().map_or(0.0, |admin| admin.config.deadline_seconds);
        Duration::try_from_secs_f64(seconds).unwrap_or(Duration::MAX)
    }

    /// Whether new work is welcome.
    ///
    /// # Errors
    /// 503 while nothing is loaded, passes keep failing, or the server is stopping.
    pub(super) fn readiness(&self) -> Result<(), ApiError> {
        let live = self.live().filter(|_| !self.0.draining.load(Ordering::Relaxed)).ok_or(ApiError::NotReady)?;
        if live.current().batcher.health().is_healthy() { Ok(()) } else { Err(ApiError::DeviceFailing) }
    }

    /// While passes keep failing, tries them without being asked. Does not return, except where nothing is loaded.
    pub async fn try_while_failing(self) {
        if let Some(live) = self.live() {
            live.try_while_failing().await;
        }
    }
}

/// The model that a request of a route means.
///
/// # Errors
/// 503 for a model whose version in use cannot be loaded; 404 with the names that there are.
pub(super) fn choose<'a>(
    serving: &'a Serving,
    route: &'a str,
    name: Option<&str>,
) -> Result<&'a Arc<Bundle>, ApiError> {
    let catalogue = &serving.catalogue;
    let found = match name {
        Some(name) => catalogue.get(name).filter(|bundle| bundle.manifest().route == route),
        None => catalogue.default_of(route),
    };
    found.ok_or_else(|| {
        let names: Vec<&str> = catalogue.of_route(route).map(|bundle| bundle.manifest().name.as_str()).collect();
        let names = if names.is_empty() { "none".to_owned() } else { names.join(", ") };
        match name {
            Some(name) => unavailable(serving, name).unwrap_or_else(|| {
                let name = name.chars().take(60).collect::<String>();
                ApiError::NotFound(format!("{route} has no model \"{name}\"; it has: {names}"))
            }),
            None => match catalogue.unavailable_on(route).next() {
                Some(fault) => ApiError::ModelUnavailable(format!(
                    "{route} has no default model while {} is unavailable ({}); name one of: {names}",
                    fault.model, fault.reason
                )),
                None => ApiError::NotFound(format!("{route} has no default model; name one of: {names}")),
            },
        }
    })
}

/// The error for a model that should answer but cannot.
pub(super) fn unavailable(serving: &Serving, name: &str) -> Option<ApiError> {
    let fault = serving.catalogue.fault(name).filter(|fault| fault.answers.is_none())?;
    Some(ApiError::ModelUnavailable(format!("its version in use cannot be served: {fault}")))
}
