//! The lists of routes, and the OpenAPI document that is made from them.

use std::sync::LazyLock;

use axum::Router;
use axum::http::{Uri, header};
use axum::response::{IntoResponse, Response};
use utoipa::openapi::security::{HttpAuthScheme, HttpBuilder, SecurityScheme};
use utoipa::{Modify, OpenApi};
use utoipa_axum::router::OpenApiRouter;
use utoipa_axum::routes;

use super::admin;
use super::error::ApiError;
use super::middleware::{layers, observe};
use super::ops::{health, info, models};
use super::predict::{echo, glass, steel};
use super::state::AppState;

/// What the OpenAPI document says of the whole.
#[derive(OpenApi)]
#[openapi(
    info(
        title = "mcvn",
        description = "Alloy property prediction with the Materials Composition Visualization Network.\n\n\
            Every error is an RFC 9457 problem (`application/problem+json`). Every answer carries the request's \
            `x-request-id` header; send one to choose it. A W3C `traceparent` is accepted and logged.\n\n\
            The admin routes exist only where admin keys are configured, perhaps on an address of their own.",
        license(name = "MIT", identifier = "MIT")
    ),
    modifiers(&AdminKey),
    tags(
        (name = "prediction", description = "Properties and classes of alloys"),
        (name = "models", description = "What can be asked of which model"),
        (name = "health", description = "For operators and schedulers"),
        (name = "admin", description = "Retraining, versions, promotion; with an admin key"),
    )
)]
struct Document;

/// How admin keys are sent.
struct AdminKey;

impl Modify for AdminKey {
    fn modify(&self, document: &mut utoipa::openapi::OpenApi) {
        let scheme = SecurityScheme::Http(HttpBuilder::new().scheme(HttpAuthScheme::Bearer).build());
        document.components.get_or_insert_with(Default::default).add_security_scheme("admin_key", scheme);
    }
}

/// The list of routes that everyone may use; `admin::routes` is the other one.
fn public_routes() -> OpenApiRouter<AppState> {
    OpenApiRouter::with_openapi(Document::openapi())
        .routes(routes!(steel::predict_steel))
        .routes(routes!(glass::classify_glass))
        .routes(routes!(models::list_models))
        .routes(routes!(models::show_model))
        .routes(routes!(health::livez))
        .routes(routes!(health::startupz))
        .routes(routes!(health::readyz))
        .routes(routes!(info::info))
        .routes(routes!(info::metrics))
        .routes(routes!(openapi_yaml))
}

/// The OpenAPI 3.1 document, as YAML.
///
/// # Errors
/// A failure to write YAML.
pub fn openapi_document() -> Result<String, String> {
    public_routes().merge(admin::routes()).into_openapi().to_yaml().map_err(|error| error.to_string())
}

/// Which routes a listener serves.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Surface {
    /// What everyone may use.
    Public,
    /// Administration alone.
    Admin,
    /// Both.
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

/// This document.
#[utoipa::path(
    get,
    path = "/openapi.yaml",
    tag = "health",
    responses((status = 200, body = String, content_type = "application/yaml", description = "OpenAPI 3.1"))
)]
async fn openapi_yaml() -> Response {
    static DOCUMENT: LazyLock<Result<String, String>> = LazyLock::new(super::openapi_document);
    match &*DOCUMENT {
        Ok(text) => ([(header::CONTENT_TYPE, "application/yaml")], text.as_str()).into_response(),
        Err(error) => ApiError::InferenceFailed(error.clone()).into_response(),
    }
}
