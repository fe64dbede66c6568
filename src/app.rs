//! Life cycle of the server: load → self-test → ready → serve → drain → join.
//!
//! Socket and stop signal are arguments, so that tests can use their own.

use std::future::Future;
use std::sync::Arc;
use std::time::Duration;

use tokio::net::TcpListener;
use tokio::task::JoinHandle;
use tracing::{info, warn};

use crate::admin::{Admin, AdminError};
use crate::bulk::{Pool, Priority};
use crate::config::Config;
use crate::http::{AppState, Surface, router, serve};
use crate::metrics::Metrics;
use crate::serving::{Live, ServingError};
use crate::telemetry;

/// Why the server did not start, or did not end cleanly.
#[derive(Debug, thiserror::Error)]
pub enum AppError {
    /// The device, or the models.
    #[error(transparent)]
    Serving(#[from] ServingError),
    /// Administration is configured, but does not work.
    #[error(transparent)]
    Admin(#[from] AdminError),
    /// No threads for bulk work.
    #[error("threads for bulk work: {0}")]
    Io(#[from] std::io::Error),
    /// Requests were still under way when the drain deadline passed.
    #[error("stopped with requests under way after {0:?}")]
    DrainDeadline(Duration),
    /// No pass can succeed in this process any more; a new process may work.
    #[error("the device is lost to this process: {0}")]
    DeviceLost(String),
}

/// Serves on a listener until `shutdown` resolves, then finishes the accepted requests. The admin routes, if
/// configured, are served on the same listener or on their own.
///
/// # Errors
/// [`AppError`]; if no model answers, nothing is served.
pub async fn run(
    config: &Config,
    listener: TcpListener,
    admin_listener: Option<TcpListener>,
    shutdown: impl Future<Output = ()> + Send + 'static,
) -> Result<(), AppError> {
    // Opened first, because it may remove what an earlier process left unfinished in the folders that are read next.
    let admin = Admin::open(&config.admin, &config.jobs, &config.models_dirs)?;
    let jobs = admin.as_ref().map(|admin| admin.jobs.clone());
    let surface = match (&admin, &admin_listener) {
        (Some(_), None) => Surface::Whole,
        _ => Surface::Public,
    };
    let metrics = Arc::new(Metrics::new().dropping(telemetry::dropped_lines));
    let bulk = Pool::start(config.bulk, Priority::Lowest)?;
    let state = AppState::new(config.http.clone(), bulk, Arc::clone(&metrics), admin);
    // The sockets answer from the start (liveness, 503s) while the models load in parallel.
    let (stop, stopped) = tokio::sync::watch::channel(false);
    let spawn = |listener, surface| {
        tokio::spawn(serve(listener, router(state.clone(), surface), state.clone(), stopped.clone()))
    };
    let mut servers = vec![spawn(listener, surface)];
    servers.extend(admin_listener.map(|listener| spawn(listener, Surface::Admin)));

    let loading = Live::load(config.serving(), metrics);
    tokio::pin!(loading, shutdown);
    let loaded = tokio::select! {
        loaded = &mut loading => loaded.map(Some),
        () = &mut shutdown => Ok(None),
    };
    let mut lost = None;
    let device_thread = match loaded {
        Ok(Some((live, thread))) => {
            let (runner, house) = (jobs.clone(), tokio::spawn(state.clone().keep_house()));
            let runner = runner.map(|jobs| tokio::spawn(jobs.run(live.device().to_owned())));
            let health = Arc::clone(live.current().batcher.health());
            state.set_ready(live);
            lost = tokio::select! {
                () = state.clone().probe_until_healthy() => None,
                () = &mut shutdown => None,
                cause = health.lost() => Some(cause),
            };
            Some((thread, runner, house))
        }
        Ok(None) => None,
        Err(error) => {
            servers.iter().for_each(JoinHandle::abort);
            return Err(error.into());
        }
    };

    info!("stopping: finishing what was accepted");
    state.start_draining();
    // The running job is ended and listed as interrupted; streams that watch jobs end.
    if let Some(jobs) = jobs {
        jobs.stop();
    }
    let _ = stop.send(true);
    let drain = Duration::try_from_secs_f64(config.drain_seconds).unwrap_or(Duration::MAX);
    let drained = tokio::time::timeout(drain, futures_util::future::join_all(servers.iter_mut())).await;
    drop(state);
    if drained.is_err() {
        servers.iter().for_each(JoinHandle::abort);
        warn!("the drain deadline passed with requests under way");
    }
    if let Some(cause) = lost {
        return Err(AppError::DeviceLost(cause));
    }
    if drained.is_err() {
        return Err(AppError::DrainDeadline(drain));
    }
    if let Some((thread, runner, house)) = device_thread {
        let _ = house.await;
        if let Some(runner) = runner {
            let _ = runner.await;
        }
        // Every handle is dropped, so the thread has at most one pass left.
        let _ = tokio::task::spawn_blocking(move || thread.join()).await;
    }
    info!("stopped");
    Ok(())
}
