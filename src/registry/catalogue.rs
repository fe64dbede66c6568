//! The models in use, loaded on a device, and the models that should be in use but cannot be served.
//!
//! One broken model must not affect another: the catalogue keeps the bundles that answer and, for the others, the
//! reason why they do not.

use std::collections::BTreeMap;
use std::path::PathBuf;
use std::sync::Arc;

use candle_core::Device;

use super::load::{Answering, LoadError, Trouble, answering, check_servable};
use super::{RegistryError, models};
use crate::model::{Bundle, Manifest};

/// Why no models can be served.
#[derive(Debug, thiserror::Error)]
pub enum CatalogueError {
    /// Files that cannot be read.
    #[error(transparent)]
    Registry(#[from] RegistryError),
    /// A bundle that cannot be served.
    #[error(transparent)]
    Load(#[from] LoadError),
    /// A second model that claims to be the default of a route.
    #[error("{0} claims to be the default of {1}, which {2} is")]
    Defaults(String, String, String),
    /// No model at all.
    #[error("no active model in {0}")]
    Empty(String),
    /// The only model that answers cannot be removed.
    #[error("{0} is the only model that answers: promote a version of another model first")]
    OnlyOne(String),
    /// There are models, but none of them answers.
    #[error("no model can be served:\n{}", .0.iter().map(Trouble::to_string).collect::<Vec<_>>().join("\n"))]
    NoneAnswers(Vec<Trouble>),
}

/// The models in use, by name.
#[derive(Clone, Debug, Default)]
pub struct Catalogue {
    bundles: BTreeMap<String, Arc<Bundle>>,
    /// By model: why its active version does not answer.
    faults: BTreeMap<String, Trouble>,
}

impl Catalogue {
    /// Loads and self-tests the active version of every model. Where that version cannot be served, loads the latest
    /// earlier version that can.
    ///
    /// # Errors
    /// A models folder that cannot be read, or no model that answers. Any other trouble affects only its own model
    /// and is listed in [`troubles`](Self::troubles).
    pub fn load(folders: &[PathBuf], device: &Device, allow_batch_dependent: bool) -> Result<Self, CatalogueError> {
        let mut catalogue = Self::default();
        for name in models(folders)? {
            let Answering { found, trouble } = answering(folders, &name, device, allow_batch_dependent);
            catalogue.faults.extend(trouble.map(|trouble| (name.clone(), trouble)));
            catalogue.bundles.extend(found.map(|found| (name, Arc::new(found.bundle))));
        }
        if catalogue.bundles.is_empty() && catalogue.faults.is_empty() {
            let folders: Vec<String> = folders.iter().map(|folder| folder.display().to_string()).collect();
            return Err(CatalogueError::Empty(folders.join(", ")));
        }
        catalogue.some_answer()
    }

    /// The same models, with this bundle in place of one model's bundle, or added as a new model.
    ///
    /// # Errors
    /// A bundle that cannot be served, or that conflicts with the others.
    pub fn with(&self, name: &str, bundle: Arc<Bundle>, allow_batch_dependent: bool) -> Result<Self, CatalogueError> {
        check_servable(name, &bundle, allow_batch_dependent)?;
        let manifest = bundle.manifest();
        if let Some(route) = manifest.route.clone().filter(|_| manifest.default)
            && let Some(other) = self.claimant(&route).filter(|other| other.manifest().name != name)
        {
            let name = name.to_owned();
            return Err(CatalogueError::Defaults(name, route.clone(), other.manifest().name.clone()));
        }
        let mut catalogue = self.clone();
        catalogue.faults.remove(name);
        catalogue.bundles.insert(name.to_owned(), bundle);
        Ok(catalogue)
    }

    /// The same models without this one, which loads but does not answer.
    ///
    /// # Errors
    /// No other model is left.
    pub fn without(mut self, name: &str, reason: String) -> Result<Self, CatalogueError> {
        if let Some(bundle) = self.bundles.remove(name) {
            let manifest = bundle.manifest();
            let (version, route) = (manifest.version.clone(), manifest.route.clone());
            let trouble = Trouble { model: name.to_owned(), version, route, reason, answers: None };
            self.faults.insert(name.to_owned(), trouble);
        }
        self.some_answer()
    }

    /// The same models without one that was removed.
    ///
    /// # Errors
    /// No other model answers.
    pub fn removed(&self, name: &str) -> Result<Self, CatalogueError> {
        let mut catalogue = self.clone();
        catalogue.faults.remove(name);
        match catalogue.bundles.remove(name) {
            Some(_) if catalogue.bundles.is_empty() => Err(CatalogueError::OnlyOne(name.to_owned())),
            _ => Ok(catalogue),
        }
    }

    fn some_answer(self) -> Result<Self, CatalogueError> {
        if self.bundles.is_empty() {
            return Err(CatalogueError::NoneAnswers(self.faults.into_values().collect()));
        }
        Ok(self)
    }

    /// All troubles, by model: active versions that cannot be served, and models that claim to be the default of a
    /// route that has one.
    pub fn troubles(&self) -> Vec<Trouble> {
        let second_claim = |bundle: &Arc<Bundle>| {
            let manifest = bundle.manifest();
            let route = manifest.route.as_ref()?;
            let first = self.claimant(route)?.manifest();
            (manifest.default && first.name != manifest.name).then(|| Trouble {
                model: manifest.name.clone(),
                version: manifest.version.clone(),
                route: Some(route.clone()),
                reason: format!(
                    "it claims to be the default of {}, as {} does: the first by name is, this one answers where it \
                     is named",
                    route, first.name
                ),
                answers: Some(manifest.version.clone()),
            })
        };
        self.faults.values().cloned().chain(self.iter().filter_map(second_claim)).collect()
    }

    /// Why a model's active version does not answer; `None` if it does, or if there is none.
    pub fn fault(&self, name: &str) -> Option<&Trouble> {
        self.faults.get(name)
    }

    /// The models of a route that do not answer at all.
    pub fn unavailable_on<'a>(&'a self, route: &'a str) -> impl Iterator<Item = &'a Trouble> {
        let of_route = move |fault: &&Trouble| fault.answers.is_none() && fault.route.as_deref() == Some(route);
        self.faults.values().filter(of_route)
    }

    /// The bundle of one model.
    pub fn get(&self, name: &str) -> Option<&Arc<Bundle>> {
        self.bundles.get(name)
    }

    /// All bundles, by name.
    pub fn iter(&self) -> impl Iterator<Item = &Arc<Bundle>> {
        self.bundles.values()
    }

    /// The manifests of all bundles, each with whether it is the default of its route.
    pub fn manifests(&self) -> impl Iterator<Item = (&Manifest, bool)> {
        self.iter().map(|bundle| {
            let manifest = bundle.manifest();
            let default = manifest.route.as_deref().and_then(|route| self.default_of(route));
            (manifest, default.is_some_and(|default| default.manifest().name == manifest.name))
        })
    }

    /// The bundles of one route.
    pub fn of_route<'a>(&'a self, route: &'a str) -> impl Iterator<Item = &'a Arc<Bundle>> {
        self.iter().filter(move |bundle| bundle.manifest().is_on(route))
    }

    /// The bundle that answers on a route when the request names no model: the default, or the only one. If one of
    /// several models cannot be loaded, the remaining one does not count as the only one.
    pub fn default_of<'a>(&'a self, route: &'a str) -> Option<&'a Arc<Bundle>> {
        let mut all = self.of_route(route);
        let only = all.next().filter(|_| all.next().is_none() && self.unavailable_on(route).next().is_none());
        self.claimant(route).or(only)
    }

    /// The first model, by name, that claims to be the default of a route.
    fn claimant<'a>(&'a self, route: &'a str) -> Option<&'a Arc<Bundle>> {
        self.of_route(route).find(|bundle| bundle.manifest().default)
    }
}

#[cfg(test)]
mod tests {
    use std::fs;

    use super::super::fixture::Models;
    use super::*;

    fn load(models: &Models) -> Result<Catalogue, CatalogueError> {
        Catalogue::load(&models.folders(), &Device::Cpu, false)
    }

    /// Each trouble as `model version: beginning of the reason`, with the version that answers instead.
    fn told(catalogue: &Catalogue) -> Vec<(String, Option<String>)> {
        catalogue.troubles().into_iter().map(|trouble| (trouble.to_string(), trouble.answers)).collect()
    }

    #[test]
    fn a_model_that_cannot_be_loaded_costs_itself_alone() {
        let models = Models::new();
        models.put("good", "v1", |_| {}).activate("good", "v1\n");
        models.put("torn", "v1", |_| {}).activate("torn", "v1\n");
        fs::write(models.path("torn/v1/weights.safetensors"), "torn").unwrap();
        models.put("other", "v1", |manifest| manifest.name = "good".into()).activate("other", "v1\n");
        models.put("gone", "v1", |_| {}).activate("gone", "v9\n");
        models.put("odd", "v1", |_| {}).activate("odd", "../../etc\n");
        let catalogue = load(&models).unwrap();
        assert_eq!(catalogue.iter().count(), 1);
        let told: Vec<String> =
            told(&catalogue).into_iter().map(|(text, answers)| text + answers.as_deref().unwrap_or("")).collect();
        let expected = [
            ("gone v9: ", "is not there"),
            ("odd: ", "active"),
            ("other v1: ", "holds the model good"),
            ("torn v1: ", "SHA-256"),
        ];
        assert_eq!(told.len(), expected.len(), "{told:#?}");
        for (text, (start, word)) in told.iter().zip(expected) {
            assert!(text.starts_with(start) && text.contains(word), "{text}");
            let place = models.path("").display().to_string();
            assert!(!text.contains(&place), "clients need not know where files lie: {text}");
        }
    }

    #[test]
    fn the_version_before_answers_in_its_place() {
        let models = Models::new();
        models.put("m", "v1", |_| {}).put("m", "v2", |_| {}).put("m", "v3", |_| {}).activate("m", "v3\nv2\nv1\n");
        for version in ["v2", "v3"] {
            fs::write(models.path("m").join(version).join("weights.safetensors"), "torn").unwrap();
        }
        let catalogue = load(&models).unwrap();
        assert_eq!(catalogue.get("m").unwrap().manifest().version, "v1");
        let told = told(&catalogue);
        let [(text, answers)] = told.as_slice() else { panic!("{told:?}") };
        assert!(text.starts_with("m v3: ") && text.contains("; v2 before it: "), "{text}");
        assert_eq!(answers.as_deref(), Some("v1"));
        // It is enough to promote a version that works.
        let good = Arc::clone(catalogue.get("m").unwrap());
        assert!(catalogue.with("m", good, false).unwrap().troubles().is_empty());
    }

    #[test]
    fn of_two_defaults_the_first_by_name_is() {
        let models = Models::new();
        for name in ["a", "b"] {
            models.put(name, "v1", |manifest| manifest.default = true).activate(name, "v1\n");
        }
        let catalogue = load(&models).unwrap();
        assert_eq!(catalogue.default_of("/predict/steel").unwrap().manifest().name, "a");
        let told = told(&catalogue);
        let [(text, answers)] = told.as_slice() else { panic!("{told:?}") };
        assert!(text.starts_with("b v1: it claims to be the default of /predict/steel, as a does"), "{text}");
        assert_eq!(answers.as_deref(), Some("v1"));
        let second = Arc::clone(catalogue.get("b").unwrap());
        assert!(matches!(catalogue.with("b", second, false), Err(CatalogueError::Defaults(..))));
        // A model without a conflict can be promoted as before.
        let first = Arc::clone(catalogue.get("a").unwrap());
        assert!(catalogue.with("a", first, false).is_ok());
    }

    #[test]
    fn a_question_for_a_default_that_is_gone_is_not_anothers() {
        let models = Models::new();
        models.put("a", "v1", |manifest| manifest.default = true).activate("a", "v1\n");
        models.put("b", "v1", |_| {}).activate("b", "v1\n");
        fs::write(models.path("a/v1/weights.safetensors"), "torn").unwrap();
        let catalogue = load(&models).unwrap();
        assert!(catalogue.default_of("/predict/steel").is_none());
        assert_eq!(catalogue.unavailable_on("/predict/steel").count(), 1);
    }

    #[test]
    fn without_a_model_that_answers_all_reasons_are_given() {
        let models = Models::new();
        assert!(matches!(load(&models), Err(CatalogueError::Empty(_))));
        for name in ["a", "b"] {
            models.put(name, "v1", |_| {}).activate(name, "v1\n");
            fs::write(models.path(name).join("v1/manifest.json"), "{}").unwrap();
        }
        let error = load(&models).unwrap_err().to_string();
        assert!(error.contains("a v1: ") && error.contains("b v1: "), "{error}");
        models.put("c", "v1", |_| {}).activate("c", "v1\n");
        let catalogue = load(&models).unwrap();
        assert!(catalogue.without("c", "its passes fail".to_owned()).is_err());
    }
}
