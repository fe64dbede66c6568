//! The admin API: retraining jobs, versions, promotions, the audit log.
//!
//! It requires admin keys and can listen on a separate address. Every action that changes something, and every refused
//! one, is recorded in the audit log.

mod act;
mod audit;
mod documented;
mod events;
mod file_name;
mod form;
mod job_body;
mod job_data;
mod job_ends;
mod jobs;
mod keys;
mod models;
mod notes;
mod removal;
mod versions;

use utoipa_axum::router::OpenApiRouter;
use utoipa_axum::routes;

use super::state::AppState;

/// All admin routes.
pub(super) fn routes() -> OpenApiRouter<AppState> {
    OpenApiRouter::new()
        .routes(routes!(jobs::create_job, jobs::list_jobs))
        .routes(routes!(jobs::show_job, job_ends::remove_job))
        .routes(routes!(job_ends::cancel_job))
        .routes(routes!(job_data::job_data))
        .routes(routes!(events::job_events))
        .routes(routes!(models::create_model))
        .routes(routes!(removal::remove_model))
        .routes(routes!(versions::list_versions))
        .routes(routes!(versions::show_version, removal::remove_version))
        .routes(routes!(versions::show_plot))
        .routes(routes!(versions::promote))
        .routes(routes!(versions::roll_back))
        .routes(routes!(audit::audit_log))
}
