//! Changing what answers: a version is checked, tried, made the one in use on storage, and swapped in.
//!
//! Its own because the order matters. Everything that can fail comes first: files and hashes, the schema,
//! the comparison with the version in use, real passes on the device. Then one atomic rename on storage, then
//! one atomic swap in memory. Killed at any point, a server finds a whole version at its next start.

use std::sync::Arc;

use super::{Live, Serving, self_test};
use crate::data::{Comparison, ComparisonBasis, Report};
use crate::domain::{Parameter, ParameterKind, Schema};
use crate::model::Manifest;
use crate::registry::{self, Catalogue, CatalogueError, LoadError, RegistryError, Version, Writer};

/// A change of what answers.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Swap {
    /// The version that answers now.
    pub version: String,
    /// The one that answered before.
    pub before: Option<String>,
    /// What spoke against it, and was overruled.
    pub overruled: Vec<String>,
}

/// Why nothing was changed.
#[derive(Debug, thiserror::Error)]
pub enum SwapError {
    /// No such version.
    #[error("{0}")]
    Missing(String),
    /// It answers already.
    #[error("{0} is in use already")]
    InUse(String),
    /// It answers, and is to be removed.
    #[error("{0} answers: promote another version first")]
    Answers(String),
    /// What speaks against it; may be overruled.
    #[error("{}", .0.join("; "))]
    Objections(Vec<String>),
    /// It is damaged, does not answer, or cannot be served beside the others. Not to be overruled.
    #[error("{0}")]
    Unfit(String),
    /// Storage said no.
    #[error(transparent)]
    Registry(#[from] RegistryError),
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
    /// Makes a version the one that answers. `force` overrules what speaks against it.
    ///
    /// # Errors
    /// [`SwapError`]; what answers is then what answered before.
    pub async fn promote(
        &self,
        writer: &Arc<Writer>,
        model: &str,
        version: &str,
        force: bool,
    ) -> Result<Swap, SwapError> {
        let _alone = self.swapping.lock().await;
        let (owned, name, wanted) = (Arc::clone(writer), model.to_owned(), version.to_owned());
        let serving = self.current();
        let looked_up = move || look_up(&serving.catalogue, &owned, &name, &wanted);
        let Found { stored, before, objections } = tokio::task::spawn_blocking(looked_up).await??;
        if !force && !objections.is_empty() {
            return Err(SwapError::Objections(objections));
        }
        let (owned, name, wanted) = (Arc::clone(writer), model.to_owned(), version.to_owned());
        self.swap(model, stored, move || owned.promote(&name, &wanted)).await?;
        Ok(Swap { version: version.to_owned(), before, overruled: objections })
    }

    /// Makes the version before the one in use the one that answers.
    ///
    /// # Errors
    /// [`SwapError`]; what answers is then what answered before.
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

    /// Removes a version that does not answer from storage.
    ///
    /// # Errors
    /// [`SwapError`]; then it is there as before.
    pub async fn remove(&self, writer: &Arc<Writer>, model: &str, version: &str) -> Result<(), SwapError> {
        let _alone = self.swapping.lock().await;
        let (writer, serving) = (Arc::clone(writer), self.current());
        let (name, unwanted) = (model.to_owned(), version.to_owned());
        let removed = move || {
            let history = registry::known_history(writer.folders(), &name)?;
            // It may stand in for the one in use.
            if answering(&serving.catalogue, &name, &history).as_ref() == Some(&unwanted) {
                return Err(SwapError::Answers(format!("{name} {unwanted}")));
            }
            Ok(writer.remove(&name, &unwanted)?)
        };
        let removed = tokio::task::spawn_blocking(removed).await?;
        self.versions.forget(model, version);
        removed
    }

    /// Loads and tries a bundle, changes storage, then memory.
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

/// A version that could be made the one in use.
struct Found {
    stored: Version,
    before: Option<String>,
    objections: Vec<String>,
}

fn look_up(catalogue: &Catalogue, writer: &Writer, model: &str, version: &str) -> Result<Found, SwapError> {
    let missing = || SwapError::Missing(format!("{model} has no version {version}"));
    let stored = writer.library().version(model, version)?.ok_or_else(missing)?;
    let history = registry::known_history(writer.folders(), model)?;
    let before = answering(catalogue, model, &history);
    let answers = before.as_deref() == Some(version);
    if answers && history.first().is_some_and(|first| first == version) {
        return Err(SwapError::InUse(format!("{model} {version}")));
    }
    // What answers already, as a stand-in, is only made the version in use.
    let in_use = catalogue.get(model).map(|bundle| bundle.manifest()).filter(|_| !answers);
    // A candidate that cannot be read cannot be served either.
    let unfit = |error: RegistryError| SwapError::Unfit(error.reason());
    let (manifest, report) = (stored.manifest().map_err(unfit)?, stored.report().map_err(unfit)?);
    let objections = objections(in_use, &manifest, report.as_deref());
    Ok(Found { stored, before, objections })
}

/// The version before the one in use.
fn look_back(catalogue: &Catalogue, writer: &Writer, model: &str) -> Result<Found, SwapError> {
    let history = registry::known_history(writer.folders(), model)?;
    let missing = || SwapError::Missing(format!("{model} has no version before the one in use"));
    let earlier = history.get(1).ok_or_else(missing)?;
    let stored = writer.library().version(model, earlier)?.ok_or_else(missing)?;
    Ok(Found { stored, before: answering(catalogue, model, &history), objections: Vec::new() })
}

/// The version that answers for a model: the one in use, or the one that stands in for it.
fn answering(catalogue: &Catalogue, model: &str, history: &[String]) -> Option<String> {
    match catalogue.fault(model) {
        Some(fault) => fault.answers.clone(),
        None => history.first().cloned(),
    }
}

/// What speaks against a version that is whole and answers, for one that is in use. Nothing does where none answers.
/// `report` is the candidate's, as JSON.
pub fn objections(in_use: Option<&Manifest>, candidate: &Manifest, report: Option<&str>) -> Vec<String> {
    let Some(active) = in_use else { return Vec::new() };
    let mut objections = contract_changes(active, candidate);
    let report = report.and_then(|text| serde_json::from_str::<Report>(text).ok());
    objections.extend(match report {
        None => Some(format!("it carries no report: nothing shows that it is as good as {}", active.version)),
        Some(report) => objection(&report.comparison, &active.version),
    });
    objections
}

/// What a report says against a candidate.
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

/// What clients would notice.
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

/// What a request must know of a schema: ranges and defaults may change.
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
