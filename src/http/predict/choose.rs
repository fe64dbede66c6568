//! Which model a request means.

use std::sync::Arc;

use super::super::error::ApiError;
use crate::model::Bundle;
use crate::serving::Serving;

/// The model that a request of a route means.
///
/// # Errors
/// 503 for a model whose version in use cannot be loaded; 404 with the names that there are.
pub(in crate::http) fn choose<'a>(
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
pub(in crate::http) fn unavailable(serving: &Serving, name: &str) -> Option<ApiError> {
    let fault = serving.catalogue.fault(name).filter(|fault| fault.answers.is_none())?;
    Some(ApiError::ModelUnavailable(format!("its version in use cannot be served: {fault}")))
}
