//! Chooses the model and version of a request.

use std::sync::Arc;

use super::super::error::ApiError;
use crate::domain::Violation;
use crate::model::Bundle;
use crate::serving::{Serving, VersionError};

/// The path of a request.
#[derive(Clone, Debug)]
pub(in crate::http) enum Address {
    /// A route, which may have several models.
    Route(&'static str),
    /// The path of one model, independent of its route.
    Model(String),
}

/// The model that answers a request.
pub(in crate::http) enum Choice<'a> {
    /// The active version of a model.
    InUse(&'a Arc<Bundle>),
    /// Another version, which may have to be loaded.
    Version {
        /// The model.
        model: String,
        /// The version.
        version: String,
    },
}

/// Chooses what answers a request to this path that names a model, a version, both or neither.
///
/// # Errors
/// 503 for a model whose active version cannot be loaded; 404 with a list of the existing names; 422 if the path and
/// the request name different models.
pub(in crate::http) fn choose<'a>(
    serving: &'a Serving,
    address: &Address,
    model: Option<&str>,
    version: Option<&str>,
) -> Result<Choice<'a>, ApiError> {
    let found = match address {
        Address::Route(route) => of_route(serving, route, model),
        Address::Model(name) => match model.filter(|model| model != name) {
            Some(other) => {
                let detail = format!("the address names {name}, the request \"{}\"", shown(other));
                return Err(vec![Violation::new("/model", detail)].into());
            }
            None => serving.catalogue.get(name).ok_or_else(|| missing(serving, name)),
        },
    };
    let Some(version) = version else { return found.map(Choice::InUse) };
    let name = match (&found, address, model) {
        (Ok(bundle), ..) if bundle.manifest().version == version => return found.map(Choice::InUse),
        (Ok(bundle), ..) => bundle.manifest().name.as_str(),
        // If the active version is damaged, another version may still work.
        (Err(ApiError::ModelUnavailable(_)), Address::Model(name), _) => name,
        (Err(ApiError::ModelUnavailable(_)), _, Some(name)) => name,
        (Err(_), ..) => return found.map(Choice::InUse),
    };
    Ok(Choice::Version { model: name.to_owned(), version: version.to_owned() })
}

fn of_route<'a>(serving: &'a Serving, route: &'static str, model: Option<&str>) -> Result<&'a Arc<Bundle>, ApiError> {
    let catalogue = &serving.catalogue;
    let found = match model {
        Some(name) => catalogue.get(name).filter(|bundle| bundle.manifest().is_on(route)),
        None => catalogue.default_of(route),
    };
    found.ok_or_else(|| {
        let names: Vec<&str> = catalogue.of_route(route).map(|bundle| bundle.manifest().name.as_str()).collect();
        let names = if names.is_empty() { "none".to_owned() } else { names.join(", ") };
        match model {
            Some(name) => unavailable(serving, name).unwrap_or_else(|| {
                ApiError::NotFound(format!("{route} has no model \"{}\"; it has: {names}", shown(name)))
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

/// The error for a model that does not answer.
fn missing(serving: &Serving, name: &str) -> ApiError {
    unavailable(serving, name).unwrap_or_else(|| {
        let names: Vec<&str> = serving.catalogue.iter().map(|bundle| bundle.manifest().name.as_str()).collect();
        ApiError::NotFound(format!("there is no model \"{}\"; there are: {}", shown(name), names.join(", ")))
    })
}

/// The error for a model that should answer but cannot.
pub(in crate::http) fn unavailable(serving: &Serving, name: &str) -> Option<ApiError> {
    let fault = serving.catalogue.fault(name).filter(|fault| fault.answers.is_none())?;
    Some(ApiError::ModelUnavailable(format!("its version in use cannot be served: {fault}")))
}

/// A client's text, shortened for an error message.
fn shown(text: &str) -> String {
    text.chars().take(60).collect()
}

impl From<VersionError> for ApiError {
    fn from(error: VersionError) -> Self {
        match error {
            VersionError::Unknown { .. } => Self::NotFound(error.to_string()),
            VersionError::Unfit(..) => Self::ModelUnavailable(error.to_string()),
            VersionError::Storage(cause) => Self::Internal(cause),
        }
    }
}
