//! Schemas of requests to any model, for the OpenAPI document.

use utoipa::openapi::schema::{ObjectBuilder, OneOfBuilder, Schema, SchemaType, Type};
use utoipa::openapi::{Ref, RefOr};

use super::limits::limits_schema;
use crate::domain::Element;

/// Name of the composition schema in the document.
pub(crate) const COMPOSITION: &str = "Composition";

/// A reference to the composition schema.
pub(super) fn composition() -> RefOr<Schema> {
    Ref::from_schema_name(COMPOSITION).into()
}

/// A composition: amounts by element symbol, or a formula.
pub(crate) fn composition_schema() -> RefOr<Schema> {
    let symbols = ObjectBuilder::new().schema_type(Type::String).enum_values(Some(Element::ALL.map(Element::symbol)));
    let amount = ObjectBuilder::new()
        .schema_type(SchemaType::from_iter([Type::Number, Type::Null]))
        .minimum(Some(0.0))
        .maximum(Some(100.0));
    let amounts = ObjectBuilder::new()
        .description(Some(
            "Amounts by element symbol, in percent of the basis; the sum must be above 0 and at most 100. The model's \
             balance element makes up the rest; alternatively, one amount may be \"bal.\". An amount of null was not \
             measured: a model that can estimate it from the others does, and others refuse it. An element that is left \
             out is absent, unless it is one of the model's residuals: then it was not measured.",
        ))
        .property_names(Some(symbols.build()))
        .additional_properties(Some(amount))
        .min_properties(Some(1))
        .examples([serde_json::json!({"C": 0.4, "Si": 0.25, "Mn": 0.8, "Cr": 1.0, "Mo": 0.2})]);
    let formula = ObjectBuilder::new()
        .schema_type(Type::String)
        .description(Some("A formula, in atomic parts if no basis is given; the sum must be at most 100."))
        .min_length(Some(1))
        .format(Some(utoipa::openapi::SchemaFormat::Custom("chemical-formula".to_owned())))
        .examples(["Zr41.2Ti13.8Cu12.5Ni10Be22.5"]);
    let both = OneOfBuilder::new().item(amounts).item(formula);
    both.description(Some("Amounts by element symbol, or a formula")).into()
}

/// The basis of amounts; null means not given.
pub(super) fn basis() -> RefOr<Schema> {
    ObjectBuilder::new()
        .schema_type(SchemaType::from_iter([Type::String, Type::Null]))
        .description(Some("Basis of the amounts; the default is the model's basis"))
        .enum_values(Some([serde_json::json!("weight_percent"), "atomic_percent".into(), serde_json::Value::Null]))
        .into()
}

/// Process parameters of any model.
pub(super) fn any_processing() -> RefOr<Schema> {
    let value = ObjectBuilder::new().schema_type(SchemaType::from_iter([Type::Number, Type::String]));
    object_or_null()
        .description(Some(
            "Process parameters by name; `GET /models/{name}` lists them with units, ranges and defaults",
        ))
        .additional_properties(Some(value))
        .into()
}

/// Limits of properties of any model.
pub(super) fn any_specification() -> RefOr<Schema> {
    object_or_null()
        .description(Some("Limits that the properties should keep, by property"))
        .additional_properties(Some(limits_schema()))
        .examples([serde_json::json!({"fatigue_strength": {"min": 600}, "hardness": {"max": 360}})])
        .into()
}

pub(super) fn object_or_null() -> ObjectBuilder {
    ObjectBuilder::new().schema_type(SchemaType::from_iter([Type::Object, Type::Null]))
}
