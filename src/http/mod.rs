//! The HTTP server: routes, request bodies, connections, and errors as problem details.
//!
//! It uses all lower modules, but no candle types and no file paths.

mod admin;
mod body;
mod connection;
mod document;
mod error;
mod limits;
mod middleware;
mod ops;
mod predict;
mod request_id;
mod routes;
mod server;
mod state;

pub use limits::HttpConfig;
pub use middleware::cors::is_origin;
pub use routes::{Surface, openapi_document, router};
pub use server::listen::serve;
pub use state::AppState;
