//! Promotion, rollback and removal of versions.
//!
//! The order of the steps matters. Everything that can fail comes first: files and hashes, the schema, the comparison
//! with the active version, real passes on the device. Then one atomic rename on storage, then one atomic swap in
//! memory. If the server is killed at any point, it finds a complete version at its next start.

use std::sync::Arc;

use super::{Live, Serving, self_test};
use crate::data::{Comparison, ComparisonBasis, NotDoubted, Report};
use crate::domain::{Parameter, ParameterKind, Schema};
use crate::jobs::{JobError, Jobs};
use crate::model::Manifest;
use crate::registry::{self, Catalogue, CatalogueError, LoadError, RegistryError, Version, Writer};

/// A completed change of the active version.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Swap {
    /// The version that is served now.
    pub version: String,
    /// The version that was served before.
    pub before: Option<String>,
    /// The objections that were overridden.
    pub overruled: Vec<String>,
}

/// Why nothing was changed.
#[derive(Debug, thiserror::Error)]
pub enum SwapError {
    /// No such version.
    #[error("{0}")]
    Missing(String),
    /// It is already active.
    #[error("{0} is in use already")]
    InUse(String),
    /// It is served, so it cannot be removed.
    #[error("{0} answers: promote another version first")]
    Answers(String),
    /// Lines were confirmed that are not doubted.
    #[error(transparent)]
    Confirm(#[from] NotDoubted),
    /// The objections; `force` overrides them.
    #[error("{}", .0.join("; "))]
    Objections(Vec<String>),
    /// It is damaged, does not work, or cannot be served with the others. `force` does not override this.
    #[error("{0}")]
    Unfit(String),
    /// Storage failed.
    #[error(transparent)]
    Registry(#[from] RegistryError),
    /// A job of the model has not ended.
    #[error(transparent)]
    Jobs(#[from] JobError),
    /// A task died.
    #[error("promotion: {0}")]
    Join(#[from] tokio::task::JoinError),
}

impl From<CatalogueError> for SwapError {
    fn from(error: CatalogueError) -> Self {
        Self::Unfit(error.to_string())
    }
}

impl From<LoadError> for SwapError {
    fn from(error: LoadError) -> Self {
        Self::Unfit(error.to_string())
    }
}

impl Live {
    /// Makes a version the active one. `force` overrides the objections; `confirm` are lines of doubted training rows
    /// that are right all the same.
    ///
    /// # Errors
    /// [`SwapError`]; then the served version is unchanged.
    pub async fn promote(
        &self,
        writer: &Arc<Writer>,
        (model, version): (&str, &str),
        confirm: Vec<u64>,
        force: bool,
    ) -> Result<Swap, SwapError> {
        let _alone = self.swapping.lock().await;
        let (owned, name, wanted) = (Arc::clone(writer), model.to_owned(), version.to_owned());
        let serving = self.current();
        let looked_up = move || look_up(&serving.catalogue, &owned, (&name, &wanted), &confirm);
        let Found { stored, before, objections } = tokio::task::spawn_blocking(looked_up).await??;
        if !force && !objections.is_empty() {
            return Err(SwapError::Objections(objections));
        }
        let (owned, name, wanted) = (Arc::clone(writer), model.to_owned(), version.to_owned());
        self.swap(model, stored, move || owned.promote(&name, &wanted)).await?;
        Ok(Swap { version: version.to_owned(), before, overruled: objections })
    }

    /// Reactivates the previous version.
    ///
    /// # Errors
    /// [`SwapError`]; then the served version is unchanged.
    pub async fn roll_back(&self, writer: &Arc<Writer>, model: &str) -> Result<Swap, SwapError> {
        let _alone = self.swapping.lock().await;
        let (owned, name, serving) = (Arc::clone(writer), model.to_owned(), self.current());
        let looked_up = move || look_back(&serving.catalogue, &owned, &name);
        let Found { stored, before, .. } = tokio::task::spawn_blocking(looked_up).await??;
        let (owned, name) = (Arc::clone(writer), model.to_owned());
        let version = stored.name.clone();
        self.swap(model, stored, move || owned.rollback(&name).map(|_| ())).await?;
        Ok(Swap { version, before, overruled: Vec::new() })
    }

    /// Removes a version that is not served from storage.
    ///
    /// # Errors
    /// [`SwapError`]
    pub async fn remove(&self, writer: &Arc<Writer>, model: &str, version: &str) -> Result<(), SwapError> {
        let _alone = self.swapping.lock().await;
        let (writer, serving) = (Arc::clone(writer), self.current());
        let (name, unwanted) = (model.to_owned(), version.to_owned());
        let removed = move || {
            let history = registry::known_history(writer.folders(), &name)?;
            // The version may be served in place of a damaged active one.
            if answering(&serving.catalogue, &name, &history).as_ref() == Some(&unwanted) {
                return Err(SwapError::Answers(format!("{name} {unwanted}")));
            }
            Ok(writer.remove(&name, &unwanted)?)
        };
        let removed = tokio::task::spawn_blocking(removed).await?;
        self.versions.forget(model, version);
        removed
    }

    /// Removes a model, with the version that is served: from storage, then from memory. Requests that hold it finish.
    /// No job of the model may wait or run, and none is accepted meanwhile.
    ///
    /// # Errors
    /// [`SwapError`]; then nothing is removed.
    pub async fn remove_model(&self, writer: &Arc<Writer>, jobs: &Jobs, model: &str) -> Result<(), SwapError> {
        let _alone = self.swapping.lock().await;
        let Serving { catalogue, batcher } = (*self.current()).clone();
        let (writer, jobs, name) = (Arc::clone(writer), jobs.clone(), model.to_owned());
        let removed = move || {
            if !writer.library().has(&name)? {
                return Err(SwapError::Missing(format!("there is no model {name}")));
            }
            let left = catalogue.removed(&name)?;
            jobs.while_idle(&name, || writer.remove_model(&name))??;
            Ok(left)
        };
        let catalogue = tokio::task::spawn_blocking(removed).await??;
        self.current.store(Arc::new(Serving { catalogue, batcher }));
        self.versions.forget_model(model);
        Ok(())
    }

    /// Loads and tests a bundle, then changes storage, then memory.
    async fn swap(
        &self,
        model: &str,
        stored: Version,
        on_storage: impl FnOnce() -> Result<(), RegistryError> + Send + 'static,
    ) -> Result<(), SwapError> {
        let device = self.device.device.clone();
        let bundle = tokio::task::spawn_blocking(move || stored.load(&device)).await??;
        let Serving { catalogue, batcher } = (*self.current()).clone();
        let bundle = Arc::new(bundle);
        let catalogue = catalogue.with(model, Arc::clone(&bundle), self.allow_batch_dependent)?;
        self_test(&bundle, &batcher).await.map_err(|error| SwapError::Unfit(error.to_string()))?;
        tokio::task::spawn_blocking(on_storage).await??;
        self.current.store(Arc::new(Serving { catalogue, batcher }));
        Ok(())
    }
}

/// A version that could become active.
struct Found {
    stored: Version,
    before: Option<String>,
    objections: Vec<String>,
}

fn look_up(
    catalogue: &Catalogue,
    writer: &Writer,
    (model, version): (&str, &str),
    confirm: &[u64],
) -> Result<Found, SwapError> {
    let missing = || SwapError::Missing(format!("{model} has no version {version}"));
    let stored = writer.library().version(model, version)?.ok_or_else(missing)?;
    let history = registry::known_history(writer.folders(), model)?;
    let before = answering(catalogue, model, &history);
    let answers = before.as_deref() == Some(version);
    if answers && history.first().is_some_and(|first| first == version) {
        return Err(SwapError::InUse(format!("{model} {version}")));
    }
    // A version that is already served in place of the active one needs no comparison.
    let in_use = catalogue.get(model).map(|bundle| bundle.manifest()).filter(|_| !answers);
    // A candidate that cannot be read cannot be served either.
    let unfit = |error: RegistryError| SwapError::Unfit(error.reason());
    let (manifest, report) = (stored.manifest().map_err(unfit)?, stored.report().map_err(unfit)?);
    let objections = objections(in_use, &manifest, report.as_deref(), confirm)?;
    Ok(Found { stored, before, objections })
}

/// Finds the previous version.
fn look_back(catalogue: &Catalogue, writer: &Writer, model: &str) -> Result<Found, SwapError> {
    let history = registry::known_history(writer.folders(), model)?;
    let missing = || SwapError::Missing(format!("{model} has no version before the one in use"));
    let earlier = history.get(1).ok_or_else(missing)?;
    let stored = writer.library().version(model, earlier)?.ok_or_else(missing)?;
    Ok(Found { stored, before: answering(catalogue, model, &history), objections: Vec::new() })
}

/// The version that is served for a model: the active one, or the one that replaces it.
fn answering(catalogue: &Catalogue, model: &str, history: &[String]) -> Option<String> {
    match catalogue.fault(model) {
        Some(fault) => fault.answers.clone(),
        None => history.first().cloned(),
    }
}

/// The objections to replacing the active version by a candidate that is complete and works. If no version is served,
/// only doubted training rows count. `report` is the candidate's report, as JSON; `confirm` are lines of doubted rows
/// that are right all the same.
///
/// # Errors
/// [`NotDoubted`], if other lines are confirmed.
pub fn objections(
    in_use: Option<&Manifest>,
    candidate: &Manifest,
    report: Option<&str>,
    confirm: &[u64],
) -> Result<Vec<String>, NotDoubted> {
    let report = report.and_then(|text| serde_json::from_str::<Report>(text).ok());
    let doubts = report.as_ref().map(|report| report.doubts.clone()).unwrap_or_default().confirm(confirm)?;
    let mut objections = in_use.map(|active| contract_changes(active, candidate)).unwrap_or_default();
    objections.extend(doubts.objection());
    objections.extend(in_use.and_then(|active| match report {
        None => Some(format!("it carries no report: nothing shows that it is as good as {}", active.version)),
        Some(report) => objection(&report.comparison, &active.version),
    }));
    Ok(objections)
}

/// The objection to a candidate that follows from its report.
fn objection(comparison: &Comparison, in_use: &str) -> Option<String> {
    let Comparison { active, basis, metric, note, .. } = comparison;
    match active {
        Some(compared) if compared.version != in_use => {
            Some(format!("its report compares it with {}, but {in_use} is in use", compared.version))
        }
        None => Some(format!("its report does not compare it with {in_use}: {note}")),
        Some(_) if *basis == ComparisonBasis::None => Some(format!("it could not be compared with {in_use}: {note}")),
        Some(_) if comparison.worse => {
            let figure = |score: Option<f64>| score.map_or_else(|| "?".to_owned(), |score| format!("{score:.3}"));
            let (own, other) = (figure(comparison.candidate_score), figure(comparison.active_score));
            Some(format!("it is worse than {in_use}: {metric} {own} against {other} ({note})"))
        }
        Some(_) => None,
    }
}

/// The changes that clients would notice.
fn contract_changes(active: &Manifest, candidate: &Manifest) -> Vec<String> {
    let mut changes = Vec::new();
    if candidate.route != active.route {
        let on = |route: &Option<String>| route.clone().unwrap_or_else(|| "no route".to_owned());
        changes.push(format!("it answers on {}, not on {}", on(&candidate.route), on(&active.route)));
    }
    if inputs(&candidate.schema) != inputs(&active.schema) {
        changes.push("it takes other inputs than the version in use".to_owned());
    }
    if candidate.schema.outputs != active.schema.outputs {
        changes.push("it gives other outputs than the version in use".to_owned());
    }
    changes
}

/// The parts of a schema that clients depend on; ranges and defaults may change.
fn inputs(schema: &Schema) -> impl PartialEq + use<> {
    let parameter = |parameter: &Parameter| {
        let levels = match &parameter.kind {
            ParameterKind::Numeric { .. } => None,
            ParameterKind::Categorical { levels, .. } => Some(levels.clone()),
        };
        (parameter.name.clone(), parameter.unit.clone(), parameter.required(), levels)
    };
    let parameters: Vec<_> = schema.processing.iter().map(parameter).collect();
    (schema.composition.basis, schema.composition.balance, parameters)
}
