//! `POST /admin/models`: creates a model from a recipe.

use axum::body::Body;
use axum::extract::State;
use axum::http::{HeaderMap, StatusCode};
use axum::response::Response;
use serde::Serialize;
use serde_json::json;
use utoipa::ToSchema;

use super::super::body::extract::typed_json;
use super::super::body::media::essence;
use super::super::error::{ApiError, Problem};
use super::super::predict::{glass, steel};
use super::super::state::AppState;
use super::act::{Asked, Done};
use super::documented::{ActionProblems, IdempotencyKey};
use super::keys::Caller;
use super::notes::blocking;
use crate::data::Recipe;
use crate::keys::Scope;

/// Largest size of a recipe, in bytes.
const MOST_RECIPE_BYTES: usize = 256_000;

/// A new model: it has a recipe, but no version yet.
#[derive(Serialize, ToSchema)]
pub(super) struct NewModel {
    /// Name of the model, as in the `model` field of a job.
    #[schema(example = "steel-lab42")]
    name: String,
    /// The route that will serve it.
    #[schema(example = "/predict/steel")]
    route: String,
    /// Columns that its training data must have.
    columns: Vec<String>,
}

/// Create a model from a recipe. Scope `train`.
///
/// The recipe is TOML (`application/toml`), or the same content as JSON. It defines which columns of a table are
/// composition, process parameters (numbers or categories) and targets. The model can be used after a job has trained a
/// version and this version was promoted.
#[utoipa::path(
    post, path = "/admin/models", tag = "admin", security(("admin_key" = [])),
    params(IdempotencyKey),
    request_body(content((String = "application/toml"), (Object = "application/json"))),
    responses(
        (status = 201, body = NewModel, description = "The model; see the Location header",
            headers(("location" = String, description = "URL of its versions, relative to the request's URL")),
            links(("its versions" = (operation_id = "list_versions", parameters(("name" = "$response.body#/name")))))),
        (status = 409, body = Problem, content_type = "application/problem+json",
            description = "conflict: the name is taken"),
        ActionProblems,
    )
)]
pub(super) async fn create_model(
    State(state): State<AppState>,
    headers: HeaderMap,
    body: Body,
) -> Result<Response, ApiError> {
    let caller = Caller::identify(&state, &headers, Scope::Train, "model.create", "").await?;
    let serving = state.serving()?;
    let read = state.admin_admission().read(&headers, body, MOST_RECIPE_BYTES).await?;
    let (recipe, text) = read_recipe(&headers, &read.bytes)?;
    drop(read);
    check_route(&recipe)?;
    let (name, route) = (recipe.name.clone(), recipe.route.clone());
    let (writer, model) = (caller.admin.writer.clone(), name.clone());
    let wanted = route.clone().filter(|_| recipe.default);
    let route = route.unwrap_or_else(|| format!("/models/{name}/predict"));
    let made = NewModel { columns: recipe.columns(), name: name.clone(), route };
    let asked = Asked { action: "model.create", target: &name, with: json!({ "recipe": text }) };
    let work = async move {
        if let Some(wanted) = wanted
            && let Some(other) = serving.catalogue.default_of(&wanted).filter(|other| other.manifest().name != model)
        {
            let detail = format!("{} is the default of {wanted}", other.manifest().name);
            return Err(ApiError::Conflict(detail, Vec::new()));
        }
        blocking(move || {
            if writer.library().has(&model).map_err(ApiError::internal)? {
                return Err(ApiError::Conflict(format!("there is a model {model} already"), Vec::new()));
            }
            writer.write_recipe(&model, &text).map_err(ApiError::internal)
        })
        .await?;
        let location = format!("models/{}/versions", made.name);
        Ok(Done::new(StatusCode::CREATED, &made, String::new())?.found_at(location))
    };
    caller.act(&headers, asked, work).await
}

fn read_recipe(headers: &HeaderMap, bytes: &[u8]) -> Result<(Recipe, String), ApiError> {
    let text = match essence(headers).as_str() {
        "application/json" => {
            // The typed reading names wrong fields. The text is made from what was sent, so that what was left out
            // stays left out.
            let _: Recipe = typed_json(bytes, "")?;
            let mut sent: serde_json::Value = typed_json(bytes, "")?;
            drop_nulls(&mut sent);
            toml::to_string(&sent).map_err(|error| ApiError::invalid("", error.to_string()))?
        }
        "application/toml" => {
            let text = std::str::from_utf8(bytes).map_err(|_| ApiError::MalformedBody("not UTF-8".to_owned()))?;
            text.to_owned()
        }
        _ => return Err(ApiError::UnsupportedMediaType("send application/toml or application/json".to_owned())),
    };
    let recipe = Recipe::parse(&text).map_err(|error| ApiError::invalid("", error.to_string()))?;
    Ok((recipe, text))
}

/// Removes the fields of objects that are `null`, which TOML cannot state.
fn drop_nulls(value: &mut serde_json::Value) {
    match value {
        serde_json::Value::Object(fields) => {
            fields.retain(|_, field| !field.is_null());
            fields.values_mut().for_each(drop_nulls);
        }
        serde_json::Value::Array(items) => items.iter_mut().for_each(drop_nulls),
        _ => {}
    }
}

/// Checks that a model's outputs fit the form of its route, if it has one.
fn check_route(recipe: &Recipe) -> Result<(), ApiError> {
    let fitting = if recipe.class.is_some() { glass::ROUTE } else { steel::ROUTE };
    if recipe.route.as_deref().is_none_or(|route| route == fitting) {
        return Ok(());
    }
    let what = if recipe.class.is_some() { "[class]" } else { "[[targets]]" };
    Err(ApiError::invalid("/route", format!("a recipe with {what} is for {fitting}, or for no route")))
}
