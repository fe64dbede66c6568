//! What requests to one model may hold, for the OpenAPI document: the types that parse them, with the model's name, process
//! parameters and limits in their place.

use utoipa::PartialSchema;
use utoipa::openapi::schema::{AdditionalProperties, ArrayBuilder, Object, ObjectBuilder, Schema, SchemaType, Type};
use utoipa::openapi::{Ref, RefOr};

use super::limits::limits_schema;
use super::request::{ListRequest, SampleInput, SingleRequest};
use super::schema::object_or_null;
use crate::domain::{Outputs, Parameter, ParameterKind};
use crate::model::Manifest;

/// Whether a request must name its model.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Naming {
    /// It must, because another model is the default of the route.
    Required,
    /// It may: the model is the default of the route, or the path names it.
    Optional,
}

/// Name of the schema of a model's samples in the document.
pub(crate) fn sample_name(manifest: &Manifest) -> String {
    format!("{}.Sample", manifest.name)
}

/// The schema of one sample in a list for a model.
pub(crate) fn sample_of(manifest: &Manifest) -> RefOr<Schema> {
    changed(SampleInput::schema(), |sample| with_processing(sample, manifest))
}

/// The schemas of request bodies for a model: one sample, or a list.
pub(crate) fn requests_of(manifest: &Manifest, naming: Naming) -> [RefOr<Schema>; 2] {
    let options = |body: &mut Object| {
        match &manifest.schema.outputs {
            Outputs::Classification { .. } => {
                for field in ["confidence", "specification"] {
                    let none = ObjectBuilder::new().schema_type(Type::Null);
                    let none = none.description(Some("A classifier gives probabilities, not intervals"));
                    body.properties.insert(field.to_owned(), none.into());
                }
            }
            Outputs::Regression { .. } if !manifest.has_chances() => {
                let none = ObjectBuilder::new().schema_type(Type::Null);
                let none = none.description(Some("This version of the model gives no chances"));
                body.properties.insert("specification".to_owned(), none.into());
            }
            Outputs::Regression { targets } => {
                let mut limits = object_or_null()
                    .description(Some("Limits that the properties should keep, by property"))
                    .additional_properties(Some(AdditionalProperties::<Schema>::FreeForm(false)));
                for target in targets {
                    limits = limits.property(&target.name, limits_schema());
                }
                body.properties.insert("specification".to_owned(), limits.into());
            }
        }
        let mut model = ObjectBuilder::new().description(Some("Name of the model"));
        model = match naming {
            Naming::Required => model.schema_type(Type::String).enum_values(Some([manifest.name.as_str()])),
            Naming::Optional => {
                let values = [serde_json::json!(manifest.name), serde_json::Value::Null];
                model.schema_type(SchemaType::from_iter([Type::String, Type::Null])).enum_values(Some(values))
            }
        };
        body.properties.insert("model".to_owned(), model.into());
        if naming == Naming::Required {
            body.required.push("model".to_owned());
        }
    };
    let single = changed(SingleRequest::schema(), |body| {
        options(body);
        with_processing(body, manifest);
    });
    let list = changed(ListRequest::schema(), |body| {
        options(body);
        let samples = ArrayBuilder::new().items(Ref::from_schema_name(sample_name(manifest))).min_items(Some(1));
        body.properties
            .insert("samples".to_owned(), samples.description(Some("The samples; predictions have this order")).into());
    });
    [single, list]
}

/// Changes an object schema.
fn changed(schema: RefOr<Schema>, change: impl FnOnce(&mut Object)) -> RefOr<Schema> {
    match schema {
        RefOr::T(Schema::Object(mut object)) => {
            change(&mut object);
            object.into()
        }
        other => other,
    }
}

/// Adds a model's process parameters to the schema of a sample or body.
fn with_processing(sample: &mut Object, manifest: &Manifest) {
    let parameters = &manifest.schema.processing;
    let needed = parameters.iter().any(Parameter::required);
    let mut processing = if needed { ObjectBuilder::new().schema_type(Type::Object) } else { object_or_null() };
    processing = processing
        .description(Some("Process parameters by name"))
        .additional_properties(Some(AdditionalProperties::<Schema>::FreeForm(false)));
    for parameter in parameters {
        processing = processing.property(&parameter.name, parameter_schema(parameter));
        if parameter.required() {
            processing = processing.required(&parameter.name);
        }
    }
    sample.properties.insert("processing".to_owned(), processing.into());
    if needed {
        sample.required.push("processing".to_owned());
    }
}

/// The schema of a process parameter. Values beyond the training range are accepted, and the prediction is then out of
/// domain.
fn parameter_schema(parameter: &Parameter) -> ObjectBuilder {
    let schema = ObjectBuilder::new();
    match &parameter.kind {
        ParameterKind::Numeric { default, physical_min, physical_max, .. } => {
            let words = [parameter.description.as_str(), parameter.unit.as_str()];
            let words = words.into_iter().filter(|text| !text.is_empty()).collect::<Vec<_>>().join(", in ");
            schema
                .schema_type(Type::Number)
                .description(Some(words).filter(|text| !text.is_empty()))
                .minimum(*physical_min)
                .maximum(*physical_max)
                .default(default.map(Into::into))
        }
        ParameterKind::Categorical { levels, default } => schema
            .schema_type(Type::String)
            .description(Some(&parameter.description).filter(|text| !text.is_empty()))
            .enum_values(Some(levels.iter().map(String::as_str)))
            .default(default.clone().map(Into::into)),
    }
}
