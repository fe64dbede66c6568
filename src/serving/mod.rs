//! The models that are served now, on their device.
//!
//! The models can change while requests are in progress: a request takes one whole [`Serving`] and keeps it to its end.
//! This module knows neither HTTP nor who may change the models.

mod promotion;
mod versions;

pub use promotion::{Swap, SwapError, objections};
pub use versions::VersionError;

use std::path::PathBuf;
use std::sync::Arc;
use std::thread::JoinHandle;
use std::time::{Duration, Instant};

use arc_swap::ArcSwap;
use tracing::{error, info};

use crate::batcher::{Batcher, BatcherConfig, Passes, SubmitError};
use crate::metrics::Metrics;
use crate::model::{Bundle, DeviceChoice, DeviceError, OpenDevice, probe_features};
use crate::registry::{Catalogue, CatalogueError, Library, Trouble};
use versions::KeptVersions;

/// How often to probe while passes fail.
const BETWEEN_TRIES: Duration = Duration::from_secs(1);

/// Why nothing can be served.
#[derive(Debug, thiserror::Error)]
pub enum ServingError {
    /// The device.
    #[error(transparent)]
    Device(#[from] DeviceError),
    /// The models.
    #[error(transparent)]
    Catalogue(#[from] CatalogueError),
    /// The device's thread could not be started.
    #[error(transparent)]
    Io(#[from] std::io::Error),
    /// The loading task died.
    #[error("loading: {0}")]
    Join(#[from] tokio::task::JoinError),
}

/// What is to be served, and on which device.
#[derive(Clone, Debug)]
pub struct ServingConfig {
    /// Folders of models; a later one shadows an earlier one by model name.
    pub models_dirs: Vec<PathBuf>,
    /// The device for the models.
    pub device: DeviceChoice,
    /// Serve models whose answers depend on the batch.
    pub allow_batch_dependent: bool,
    /// Number of versions that stay loaded besides the active ones.
    pub kept_versions: u64,
    /// Limits of the queue and of batches.
    pub batcher: BatcherConfig,
}

/// The active models and the batcher that runs them: what one request uses from start to end.
#[derive(Clone)]
pub struct Serving {
    /// The active models.
    pub catalogue: Catalogue,
    /// Runs forward passes on the device.
    pub batcher: Batcher,
}

/// The active models as they change.
pub struct Live {
    current: ArcSwap<Serving>,
    device: OpenDevice,
    allow_batch_dependent: bool,
    versions: KeptVersions,
    /// Held during a change: one at a time.
    swapping: tokio::sync::Mutex<()>,
}

impl Live {
    /// Opens the device, loads every model and runs real passes with each. A model that fails does not affect the
    /// others: it is logged and listed in the catalogue's troubles. The device's thread ends when the last handle to
    /// the models is dropped.
    ///
    /// # Errors
    /// [`ServingError`], if no model works.
    pub async fn load(config: ServingConfig, metrics: Arc<Metrics>) -> Result<(Self, JoinHandle<()>), ServingError> {
        let start = Instant::now();
        let (batching, allow_batch_dependent) = (config.batcher, config.allow_batch_dependent);
        let (library, kept) = (Library::new(&config.models_dirs), config.kept_versions);
        let (device, mut catalogue) = tokio::task::spawn_blocking(move || {
            let device = config.device.open()?;
            info!(device = device.name, how = device.note, "device chosen");
            let catalogue = Catalogue::load(&config.models_dirs, &device.device, allow_batch_dependent)?;
            Ok::<_, ServingError>((device, catalogue))
        })
        .await??;
        let passes = if device.device.is_cpu() { Passes::OnWorkers } else { Passes::OnItsThread };
        let (batcher, thread) = Batcher::start(batching, passes, metrics)?;
        for bundle in catalogue.iter().cloned().collect::<Vec<_>>() {
            let manifest = bundle.manifest();
            match self_test(&bundle, &batcher).await {
                Ok(()) => {
                    info!(
                        model = manifest.name,
                        version = manifest.version,
                        route = manifest.route.as_deref().unwrap_or_default(),
                        "model answers"
                    )
                }
                Err(error) => catalogue = catalogue.without(&manifest.name, format!("self-test: {error}"))?,
            }
        }
        for Trouble { model, version, reason, answers, .. } in catalogue.troubles() {
            let answers = answers.as_deref().unwrap_or("none");
            error!(model, version, reason, answers, "model does not answer as it should");
        }
        info!(device = device.name, seconds = start.elapsed().as_secs_f64(), "ready");
        let current = ArcSwap::from_pointee(Serving { catalogue, batcher });
        let swapping = tokio::sync::Mutex::new(());
        let versions = KeptVersions::new(library, device.clone(), allow_batch_dependent, kept);
        Ok((Self { current, device, allow_batch_dependent, versions, swapping }, thread))
    }

    /// The models and the batcher at this moment.
    pub fn current(&self) -> Arc<Serving> {
        self.current.load_full()
    }

    /// The device: `cpu` or `cuda:N`.
    pub fn device(&self) -> &str {
        &self.device.name
    }

    /// How the device was chosen, in words.
    pub fn device_note(&self) -> &str {
        &self.device.note
    }
}

impl Live {
    /// Probes the device while passes keep failing. A server that is not ready gets no requests, so it would not notice
    /// that the device has recovered. Does not return.
    pub async fn probe_until_healthy(&self) {
        loop {
            let serving = self.current();
            serving.batcher.health().failing().await;
            tokio::time::sleep(BETWEEN_TRIES).await;
            for bundle in self.current().catalogue.iter() {
                // The batcher records and logs the result.
                let _ = self_test(bundle, &serving.batcher).await;
            }
        }
    }
}

/// Runs real passes with plausible samples: one alone and one batch, which also warms up the device.
async fn self_test(bundle: &Arc<Bundle>, batcher: &Batcher) -> Result<(), SubmitError> {
    let features = probe_features(bundle.manifest(), 32);
    for part in [&features[..features.len().min(1)], &features[..]] {
        // Waits for queue space, so that a promotion also works under full load.
        batcher.submit_waiting(Arc::clone(bundle) as _, part.to_vec()).await?;
    }
    Ok(())
}
