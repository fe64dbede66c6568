//! Administration: retraining jobs, versions, promotions, the audit log.
//!
//! Its own because it is another surface, with keys, for other people; it may even listen elsewhere. Every
//! action that changes something, or was refused, leaves a line in the audit log.

mod act;
mod audit;
mod documented;
mod events;
mod file_name;
mod form;
mod job_body;
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

/// The admin routes.
pub(super) fn routes() -> OpenApiRouter<AppState> {
    OpenApiRouter::new()
        .routes(routes!(jobs::create_job, jobs::list_jobs))
        .routes(routes!(jobs::show_job, job_ends::remove_job))
        .routes(routes!(job_ends::cancel_job))
        .routes(routes!(events::job_events))
        .routes(routes!(models::create_model))
        .routes(routes!(versions::list_versions))
        .routes(routes!(versions::show_version, removal::remove_version))
        .routes(routes!(versions::show_plot))
        .routes(routes!(versions::promote))
        .routes(routes!(versions::roll_back))
        .routes(routes!(audit::audit_log))
}
