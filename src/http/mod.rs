//! The HTTP surface: the lists of routes, from which the OpenAPI document is made too.
//!
//! Its own because here the outside world ends: bytes become raw samples, errors become problem details.
//! It knows everything below, but neither candle's types nor file paths.

mod activity;
mod admin;
mod answer;
mod bulk;
mod classify;
mod client;
mod cors;
mod crowd;
mod degraded;
mod door;
mod echo;
mod error;
mod extract;
mod heads;
mod health;
mod info;
mod input;
mod layers;
mod limits;
mod listen;
mod models;
mod notes;
mod observe;
mod outlet;
mod pace;
mod pack;
mod predict;
mod query;
mod refusal;
mod request_id;
mod rest;
mod room;
mod socket;
mod state;
mod timing;
mod traceparent;
mod unpack;
mod unread;

use axum::Router;
use axum::http::Uri;
use utoipa::openapi::security::{HttpAuthScheme, HttpBuilder, SecurityScheme};
use utoipa::{Modify, OpenApi};
use utoipa_axum::router::OpenApiRouter;
use utoipa_axum::routes;

pub use cors::is_origin;
pub use limits::HttpConfig;
pub use listen::serve;
pub use state::State;

use error::ApiError;

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
fn public_routes() -> OpenApiRouter<State> {
    OpenApiRouter::with_openapi(Document::openapi())
        .routes(routes!(predict::predict_steel))
        .routes(routes!(classify::classify_glass))
        .routes(routes!(models::list_models))
        .routes(routes!(models::show_model))
        .routes(routes!(health::livez))
        .routes(routes!(health::startupz))
        .routes(routes!(health::readyz))
        .routes(routes!(info::info))
        .routes(routes!(info::metrics))
        .routes(routes!(health::openapi_yaml))
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
pub fn router(state: State, surface: Surface) -> Router {
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
