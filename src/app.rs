//! Life cycle of the server: load → self-test → ready → serve → drain → join.
//!
//! Its own so that starting and stopping can be read in one place. Socket and stop signal are arguments:
//! tests bring their own.

use std::future::Future;
use std::sync::Arc;
use std::time::Duration;

use tokio::net::TcpListener;
use tracing::{info, warn};

use crate::config::Config;
use crate::http::{State, router};
use crate::metrics::Metrics;
use crate::serving::{Live, ServingError};

/// Why the server did not start, or ended badly.
#[derive(Debug, thiserror::Error)]
pub enum AppError {
    /// The device, or the models.
    #[error(transparent)]
    Serving(#[from] ServingError),
    /// Requests were still under way when the drain deadline passed.
    #[error("stopped with requests under way after {0:?}")]
    DrainDeadline(Duration),
}

/// Serves on a listener until `shutdown` resolves, then finishes what was accepted.
///
/// # Errors
/// [`AppError`]; nothing is served by a server whose models do not all answer.
pub async fn run(
    config: &Config,
    listener: TcpListener,
    shutdown: impl Future<Output = ()> + Send + 'static,
) -> Result<(), AppError> {
    let metrics = Arc::new(Metrics::new());
    let state = State::new(config.http.clone(), Arc::clone(&metrics));
    // The socket answers from the start (liveness, 503s) while the models load beside it.
    let (stop, stopped) = tokio::sync::watch::channel(false);
    let drain = Duration::try_from_secs_f64(config.drain_seconds).unwrap_or(Duration::MAX);
    let server = axum::serve(listener, router(state.clone())).with_graceful_shutdown(until(stopped.clone()));
    let mut server = tokio::spawn(server.into_future());

    let loading = Live::load(config.serving(), metrics);
    tokio::pin!(loading, shutdown);
    let loaded = tokio::select! {
        loaded = &mut loading => loaded.map(Some),
        () = &mut shutdown => Ok(None),
    };
    let device_thread = match loaded {
        Ok(Some((live, thread))) => {
            state.set_ready(live);
            shutdown.await;
            Some(thread)
        }
        Ok(None) => None,
        Err(error) => {
            server.abort();
            return Err(error.into());
        }
    };

    info!("stopping: finishing what was accepted");
    state.start_draining();
    let _ = stop.send(true);
    let drained = tokio::time::timeout(drain, &mut server).await;
    drop(state);
    if drained.is_err() {
        server.abort();
        warn!("the drain deadline passed with requests under way");
        return Err(AppError::DrainDeadline(drain));
    }
    if let Some(thread) = device_thread {
        // Every handle is gone, so the thread has at most one pass left.
        let _ = tokio::task::spawn_blocking(move || thread.join()).await;
    }
    info!("stopped");
    Ok(())
}

async fn until(mut stopped: tokio::sync::watch::Receiver<bool>) {
    // An error means that the sender is gone, which is a stop too.
    let _ = stopped.wait_for(|stopped| *stopped).await;
}
