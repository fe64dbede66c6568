//! The list of public routes, and the OpenAPI document made from all routes.

use axum::Router;
use axum::extract::State;
use axum::http::{Uri, header};
use axum::response::{IntoResponse, Response};
use utoipa::OpenApi;
use utoipa_axum::router::OpenApiRouter;
use utoipa_axum::routes;

use super::admin;
use super::document::{Document, complete};
use super::error::ApiError;
use super::middleware::{layers, observe};
use super::ops::{health, info, models};
use super::predict::{echo, generic, glass, steel};
use super::state::AppState;
use crate::model::Manifest;
use crate::registry::Catalogue;

/// The public routes; `admin::routes` lists the others.
fn public_routes() -> OpenApiRouter<AppState> {
    OpenApiRouter::with_openapi(Document::openapi())
        .routes(routes!(steel::predict_steel))
        .routes(routes!(glass::classify_glass))
        .routes(routes!(generic::predict_model))
        .routes(routes!(models::list_models))
        .routes(routes!(models::show_model))
        .routes(routes!(health::livez))
        .routes(routes!(health::startupz))
        .routes(routes!(health::readyz))
        .routes(routes!(info::info))
        .routes(routes!(info::metrics))
        .routes(routes!(openapi_yaml))
}

/// The OpenAPI 3.1 document of a server with these models, as YAML. Each model comes with whether it is the default of
/// its route.
///
/// # Errors
/// A failure to write YAML.
pub fn openapi_document(models: &[(&Manifest, bool)]) -> Result<String, String> {
    let mut document = public_routes().merge(admin::routes()).into_openapi();
    complete(&mut document, models);
    document.to_yaml().map_err(|error| error.to_string())
}

/// Which routes a listener serves.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Surface {
    /// The public routes.
    Public,
    /// Only the admin routes.
    Admin,
    /// Public and admin routes.
    Whole,
}

async fn no_route(uri: Uri) -> ApiError {
    let path = uri.path();
    let odd = path.contains("//") || path.len() > 1 && path.ends_with('/');
    let hint = if odd { ": paths are written without \"//\" and without \"/\" at the end" } else { "" };
    ApiError::NotFound(format!("there is no {}{hint}; see /openapi.yaml", observe::shown(path)))
}

/// The service of one listener.
pub fn router(state: AppState, surface: Surface) -> Router {
    let mut router = Router::new();
    if surface != Surface::Admin {
        let (routes, _) = public_routes().split_for_parts();
        let routes = match state.http().debug_routes {
            true => routes.route(echo::ROUTE, axum::routing::post(echo::echo)),
            false => routes,
        };
        router = router.merge(layers::within(routes, state.http().deadline()));
    }
    if surface != Surface::Public {
        let (routes, _) = admin::routes().split_for_parts();
        router = router.merge(layers::within(routes, state.admin_deadline()));
    }
    let router = router.fallback(no_route).method_not_allowed_fallback(|| async { ApiError::MethodNotAllowed });
    layers::wrap(router, &state).with_state(state)
}

/// Get this document, with the models that are served.
#[utoipa::path(
    get,
    path = "/openapi.yaml",
    tag = "health",
    responses((status = 200, body = String, content_type = "application/yaml", description = "OpenAPI 3.1"))
)]
async fn openapi_yaml(State(state): State<AppState>) -> Result<Response, ApiError> {
    let serving = state.live().map(|live| live.current());
    let catalogue = serving.as_ref().map(|serving| &serving.catalogue);
    let models: Vec<(&Manifest, bool)> = catalogue.into_iter().flat_map(Catalogue::manifests).collect();
    let text = openapi_document(&models).map_err(ApiError::internal)?;
    Ok(([(header::CONTENT_TYPE, "application/yaml")], text).into_response())
}
