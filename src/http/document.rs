//! The OpenAPI document: the common part, and what the served models add to it.
//!
//! The request types describe the bodies in general. The valid content depends on the model, so each model's name,
//! process parameters and limits are inserted.

use utoipa::openapi::content::{Content, ContentBuilder};
use utoipa::openapi::path::{Operation, Parameter};
use utoipa::openapi::schema::{OneOfBuilder, Schema};
use utoipa::openapi::security::{HttpAuthScheme, HttpBuilder, SecurityScheme};
use utoipa::openapi::{OpenApi as Described, PathItem, Ref, RefOr};
use utoipa::{Modify, OpenApi};

use super::error::{Problem, common_problems};
use super::predict::{generic, glass, steel};
use crate::domain::Outputs;
use crate::model::Manifest;
use crate::wire::model_schema::{Naming, requests_of, sample_name, sample_of};
use crate::wire::schema::{COMPOSITION, composition_schema};

/// The common part of the OpenAPI document.
#[derive(OpenApi)]
#[openapi(
    info(
        title = "mcvn",
        description = "Alloy property prediction with the Materials Composition Visualization Network.\n\n\
            Every error is an RFC 9457 problem (`application/problem+json`). Every response has an \
            `x-request-id` header; a client can choose the id by sending the header. A W3C `traceparent` header is \
            accepted and logged.\n\n\
            The admin routes exist only where admin keys are configured, and may be served on a separate address.\n\n\
            A running server adds its models: `GET /openapi.yaml` has one `/models/{name}/predict` path per model, \
            with its process parameters and their limits.",
        license(name = "MIT", identifier = "MIT")
    ),
    modifiers(&AdminKey),
    components(schemas(Problem)),
    tags(
        (name = "prediction", description = "Properties and classes of alloys"),
        (name = "models", description = "The served models with their inputs and outputs"),
        (name = "health", description = "Health checks, metrics and server information, for operators and schedulers"),
        (name = "admin", description = "Retraining, versions and promotion; an admin key is required"),
    )
)]
pub(super) struct Document;

/// Adds the security scheme of admin keys.
struct AdminKey;

impl Modify for AdminKey {
    fn modify(&self, document: &mut utoipa::openapi::OpenApi) {
        let scheme = SecurityScheme::Http(HttpBuilder::new().scheme(HttpAuthScheme::Bearer).build());
        document.components.get_or_insert_with(Default::default).add_security_scheme("admin_key", scheme);
    }
}

/// The operations of a path.
fn operations(item: &mut PathItem) -> impl Iterator<Item = &mut Operation> {
    [&mut item.get, &mut item.post, &mut item.put, &mut item.delete, &mut item.patch].into_iter().flatten()
}

/// Completes a document with the common error responses and the inputs of the models. `models` are the served models,
/// each with whether it is the default of its route.
pub(super) fn complete(document: &mut Described, models: &[(&Manifest, bool)]) {
    let common = common_problems();
    let shared = |status: &str| format!("Problem{status}");
    for operation in document.paths.paths.values_mut().flat_map(operations) {
        for status in common.keys() {
            let response = || RefOr::Ref(Ref::from_response_name(shared(status)));
            operation.responses.responses.entry(status.clone()).or_insert_with(response);
        }
    }
    let components = document.components.get_or_insert_with(Default::default);
    components.responses.extend(common.into_iter().map(|(status, response)| (shared(&status), response)));
    components.schemas.insert(COMPOSITION.to_owned(), composition_schema());
    for (manifest, _) in models {
        components.schemas.insert(sample_name(manifest), sample_of(manifest));
    }
    for route in [steel::ROUTE, glass::ROUTE] {
        let on_route = models.iter().filter(|(manifest, _)| manifest.is_on(route));
        let bodies = on_route.flat_map(|(manifest, default)| {
            requests_of(manifest, if *default { Naming::Optional } else { Naming::Required })
        });
        let bodies: Vec<RefOr<Schema>> = bodies.collect();
        if let Some(operation) = document.paths.paths.get_mut(route).and_then(|item| item.post.as_mut())
            && !bodies.is_empty()
        {
            take_json(operation, bodies);
        }
    }
    let classifiers = |route| models.iter().any(|(manifest, _)| manifest.is_on(route) && is_classifier(manifest));
    if classifiers(glass::ROUTE)
        && let Some(operation) = document.paths.paths.get_mut(glass::ROUTE).and_then(|item| item.post.as_mut())
    {
        without_parameters(operation, &["confidence"]);
    }
    add_paths_of_models(document, models);
}

fn is_classifier(manifest: &Manifest) -> bool {
    matches!(manifest.schema.outputs, Outputs::Classification { .. })
}

/// Replaces the path `/models/{name}/predict` by one path per model.
fn add_paths_of_models(document: &mut Described, models: &[(&Manifest, bool)]) {
    if models.is_empty() {
        return;
    }
    let Some(any) = document.paths.paths.remove(generic::ROUTE) else { return };
    for (manifest, _) in models {
        let mut own = any.clone();
        for operation in operations(&mut own) {
            let id = operation.operation_id.take().unwrap_or_default();
            operation.operation_id = Some(format!("{id}_{}", manifest.name));
            operation.summary = Some(format!("What {} predicts.", manifest.name));
            take_json(operation, requests_of(manifest, Naming::Optional).into());
            without_parameters(operation, &["name", "model"]);
            if is_classifier(manifest) {
                without_parameters(operation, &["confidence"]);
            }
        }
        document.paths.paths.insert(generic::ROUTE.replace("{name}", &manifest.name), own);
    }
}

/// Sets the JSON body of an operation to one of these schemas.
fn take_json(operation: &mut Operation, bodies: Vec<RefOr<Schema>>) {
    let one = bodies.into_iter().fold(OneOfBuilder::new(), OneOfBuilder::item);
    let Some(RefOr::T(body)) = &mut operation.request_body else { return };
    let content: Content = ContentBuilder::new().schema(Some(one)).build();
    body.content.insert("application/json".to_owned(), content.into());
}

fn without_parameters(operation: &mut Operation, names: &[&str]) {
    let stays = |parameter: &RefOr<Parameter>| match parameter {
        RefOr::T(parameter) => !names.contains(&parameter.name.as_str()),
        RefOr::Ref(_) => true,
    };
    operation.parameters.iter_mut().for_each(|parameters| parameters.retain(stays));
}
