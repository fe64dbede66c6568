//! Life cycle of the server: load → self-test → ready → serve → drain → join.
//!
//! Its own so that starting and stopping can be read in one place. Socket and stop signal are arguments:
//! tests bring their own.

use std::future::Future;
use std::sync::Arc;
use std::thread::JoinHandle;
use std::time::{Duration, Instant};

use tokio::net::TcpListener;
use tracing::{info, warn};

use crate::batcher::{Batcher, SubmitError};
use crate::config::Config;
use crate::domain::Sample;
use crate::featurize::featurize;
use crate::http::{Serving, State, router};
use crate::model::{Bundle, DeviceError, probe_samples};
use crate::registry::{Catalogue, CatalogueError};

/// Why the server did not start, or ended badly.
#[derive(Debug, thiserror::Error)]
pub enum AppError {
    /// The device.
    #[error(transparent)]
    Device(#[from] DeviceError),
    /// The models.
    #[error(transparent)]
    Catalogue(#[from] CatalogueError),
    /// A model that loads but does not answer.
    #[error("self-test of {0}: {1}")]
    SelfTest(String, SubmitError),
    /// The socket, or a thread.
    #[error(transparent)]
    Io(#[from] std::io::Error),
    /// The loading task died.
    #[error("loading: {0}")]
    Join(#[from] tokio::task::JoinError),
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
    let state = State::new(config.http.clone());
    // The socket answers from the start (liveness, 503s) while the models load beside it.
    let (stop, stopped) = tokio::sync::watch::channel(false);
    let drain = Duration::try_from_secs_f64(config.drain_seconds).unwrap_or(Duration::MAX);
    let server = axum::serve(listener, router(state.clone())).with_graceful_shutdown(until(stopped.clone()));
    let mut server = tokio::spawn(server.into_future());

    let loading = load(config.clone(), state.clone());
    tokio::pin!(loading, shutdown);
    let loaded = tokio::select! {
        loaded = &mut loading => loaded.map(Some),
        () = &mut shutdown => Ok(None),
    };
    let device_thread = match loaded {
        Ok(Some(thread)) => {
            shutdown.await;
            Some(thread)
        }
        Ok(None) => None,
        Err(error) => {
            server.abort();
            return Err(error);
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

/// Opens the device, loads every model and has each answer real passes.
async fn load(config: Config, state: State) -> Result<JoinHandle<()>, AppError> {
    let start = Instant::now();
    let batching = config.batcher;
    let (device, catalogue) = tokio::task::spawn_blocking(move || {
        let device = config.device.parse::<crate::model::DeviceChoice>()?.open()?;
        info!(device = device.name, how = device.note, "device chosen");
        let catalogue = Catalogue::load(&config.models_dirs, &device.device, config.allow_batch_dependent)?;
        Ok::<_, AppError>((device.name, catalogue))
    })
    .await??;
    let (batcher, thread) = Batcher::start(batching)?;
    for bundle in catalogue.iter() {
        self_test(bundle, &batcher).await?;
        let manifest = bundle.manifest();
        info!(model = manifest.name, version = manifest.version, route = manifest.route, "model answers");
    }
    state.set_ready(Serving { catalogue, batcher });
    info!(device, seconds = start.elapsed().as_secs_f64(), "ready");
    Ok(thread)
}

/// Real passes of plausible samples: one alone and one batch, which also warms the device up.
async fn self_test(bundle: &Arc<Bundle>, batcher: &Batcher) -> Result<(), AppError> {
    let manifest = bundle.manifest();
    let raw = probe_samples(&manifest.schema, 32, 1);
    let samples = raw.iter().filter_map(|raw| Sample::parse(raw, &manifest.schema, "").ok());
    let features: Vec<_> = samples.map(|sample| featurize(&sample, &manifest.schema, &manifest.features)).collect();
    for part in [&features[..features.len().min(1)], &features[..]] {
        let answer = batcher.submit(Arc::clone(bundle) as _, part.to_vec()).await;
        answer.map_err(|error| AppError::SelfTest(manifest.name.clone(), error))?;
    }
    Ok(())
}
