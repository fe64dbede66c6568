//! The page of all fields of a recipe, made from the types that read one: names, types, defaults, bounds, and what
//! each field means, which is its comment in the code. A test holds `docs/recipe.md` against it.

use std::collections::BTreeMap;
use std::fmt::Write;

use schemars::schema_for;
use serde_json::{Map, Value};

use crate::data::bounds::Bounds;
use crate::data::defaults;
use crate::data::recipe::Recipe;

/// A section of the page.
struct Section {
    /// How a recipe heads it.
    heading: &'static str,
    /// Name of the type; empty for the recipe itself.
    of: &'static str,
    /// Beginning of the names under which the bounds of its fields are checked.
    at: &'static str,
}

const fn section(heading: &'static str, of: &'static str, at: &'static str) -> Section {
    Section { heading, of, at }
}

/// The sections, in the order of the page.
const SECTIONS: [Section; 24] = [
    section("Top of the file", "", ""),
    section("[[limits]]", "ConditionalLimit", "limits"),
    section("limits.when", "Condition", "limits.when"),
    section("[composition]", "CompositionRecipe", "composition"),
    section("[[processing]]", "ParameterRecipe", "processing"),
    section("[[targets]]", "TargetRecipe", "targets"),
    section("[class]", "ClassRecipe", "class"),
    section("[[evidence]]", "EvidenceRecipe", "evidence"),
    section("[filter]", "RowFilter", "filter"),
    section("[features]", "FeatureSpec", "features"),
    section("[features.image]", "ImageSpec", "features.image"),
    section("[scaling]", "ScalingRecipe", "scaling"),
    section("[network]", "Architecture", "network"),
    section("[network.image]", "ImageChannel", "network.image"),
    section("[network], by name", "Preset", "network"),
    section("[training]", "Training", "training"),
    section("share", "Share", "share"),
    section("[[committee]] with kind = \"kernel\"", "MemberRecipe:kernel", "kernel"),
    section("[[committee]] with kind = \"forest\"", "MemberRecipe:forest", "forest"),
    section("[[committee]] with kind = \"boosting\"", "MemberRecipe:boosting", "boosting"),
    section("[[committee]] with kind = \"network\"", "MemberRecipe:network", "network_member"),
    section("[teacher]", "TeacherRecipe", "teacher"),
    section("[calibration]", "CalibrationRecipe", "calibration"),
    section("[[committee]]", "MemberRecipe", "committee"),
];

/// A recipe with every section whose numbers have bounds.
const EXAMPLE: &str = r#"
name = "x"
title = "x"
group = "heat"
composition = { basis = "weight_percent", elements = ["C"] }
class = { column = "x", levels = ["a", "b"] }
features = { image = { basis = "atomic_percent", balance = true } }
network = { attention = "none", heads = 1, norm = "pre", activation = "silu", row = [1], head = [1], image = { channels = [1], activation = "silu", width = 1 } }
teacher = { samples = 1, batch = 1, weight = 0.5, committee = [{ kind = "forest", trees = 1, min_leaf = 1 }] }
committee = [
    { kind = "kernel", keys = 2, steps = 1, learning_rate = 0.1 },
    { kind = "forest", trees = 1, min_leaf = 1 },
    { kind = "boosting", rounds = 1, depth = 1, learning_rate = 0.1, rows = 1.0, columns = 1.0, min_weight = 1.0, penalty = 1.0 },
]
"#;

/// The page, in Markdown.
pub fn recipe_reference() -> String {
    let schema = schema_for!(Recipe).to_value();
    let page = Page { schema: &schema, limits: limits() };
    let mut text = String::new();
    // Writing into a string cannot fail.
    let _ = page.write(&mut text);
    text
}

/// The bounds of numbers, by section and field.
fn limits() -> BTreeMap<String, Vec<String>> {
    let mut limits: BTreeMap<String, Vec<String>> = BTreeMap::new();
    let Ok(example) = Recipe::parse(EXAMPLE) else { return limits };
    let kinds = ["kernel", "forest", "boosting"];
    let members = kinds.iter().zip(&example.committee).flat_map(|(kind, member)| {
        let mut bounds = Bounds::default();
        bounds.committee(kind, std::slice::from_ref(member));
        bounds.stated()
    });
    for (field, limit) in example.bounds().stated().into_iter().chain(members) {
        // Two bounds of one field: of its numbers, and of how many it has.
        let (field, limit) = match field.split_once(", its ") {
            Some((field, what)) => (field.to_owned(), format!("{limit} {what}")),
            None => (field, limit),
        };
        let known = limits.entry(field).or_default();
        if !known.contains(&limit) {
            known.push(limit);
        }
    }
    limits
}

struct Page<'a> {
    schema: &'a Value,
    limits: BTreeMap<String, Vec<String>>,
}

impl Page<'_> {
    fn write(&self, out: &mut String) -> std::fmt::Result {
        writeln!(
            out,
            "# Fields of a recipe\n\n\
             Written by `mcvn recipe reference`, from the types that read a recipe. A recipe is a file in TOML \
             (`recipe.toml`).\nIt says what the columns of a table are, and how a model learns from them. Fields that are \
             not listed here are\nerrors. `mcvn recipe new` writes a first recipe for a table; `mcvn recipe show` prints a \
             recipe with all its defaults."
        )?;
        for section in &SECTIONS {
            let Some(own) = self.definition(section.of) else { continue };
            writeln!(out, "\n## {}\n", heading(section))?;
            writeln!(out, "{}", described(own))?;
            match own.get("properties").and_then(Value::as_object) {
                Some(fields) => self.fields(section, own, fields, out)?,
                None => self.list_choices(own, out)?,
            }
        }
        writeln!(
            out,
            "\n## Default learners\n\nA regression without `[network]`, `[training]` and `[[committee]]` is trained as if \
             it had these sections. A\nclassification has `label_smoothing = 0.05`.\n\n```toml{}```",
            defaults::text(false)
        )
    }

    /// The schema of a type; that of the recipe for an empty name; that of a kind for `Type:kind`.
    fn definition(&self, name: &str) -> Option<&Value> {
        if name.is_empty() {
            return Some(self.schema);
        }
        let (name, kind) = name.split_once(':').unwrap_or((name, ""));
        let own = self.schema.get("$defs")?.get(name)?;
        let Some(kinds) = own.get("oneOf").and_then(Value::as_array).filter(|_| !kind.is_empty()) else {
            return Some(own);
        };
        kinds.iter().find(|own| own.pointer("/properties/kind/const").and_then(Value::as_str) == Some(kind))
    }

    fn fields(
        &self,
        section: &Section,
        own: &Value,
        fields: &Map<String, Value>,
        out: &mut String,
    ) -> std::fmt::Result {
        let required = |name: &str| {
            own.get("required").and_then(Value::as_array).is_some_and(|names| names.iter().any(|other| other == name))
        };
        writeln!(out, "\n| field | type | if left out | meaning |\n|---|---|---|---|")?;
        let mut choices = String::new();
        for (name, field) in fields {
            let default = if required(name) { "an error".to_owned() } else { self.default(field) };
            let place = if section.at.is_empty() { name.clone() } else { format!("{}.{name}", section.at) };
            let limits =
                self.limits.get(&place).map(|limits| format!(" Limit: {}.", limits.join(", "))).unwrap_or_default();
            writeln!(out, "| `{name}` | {} | {default} | {}{limits} |", self.kind(field), described(field))?;
            if let Some(of) = self.referred(field).filter(|of| self.heading_of(of).is_none()) {
                let mut own = String::new();
                self.list_choices(self.definition(of).unwrap_or(&Value::Null), &mut own)?;
                if !own.is_empty() {
                    write!(choices, "\n`{name}`:\n{own}")?;
                }
            }
        }
        out.write_str(&choices)
    }

    /// The variants of an enumeration, with what each means.
    fn list_choices(&self, of: &Value, out: &mut String) -> std::fmt::Result {
        let variants = ["oneOf", "anyOf"].into_iter().find_map(|key| of.get(key)).and_then(Value::as_array);
        let variants: Vec<&Value> = variants.into_iter().flatten().collect();
        if !variants.is_empty() {
            out.write_char('\n')?;
        }
        variants.into_iter().try_for_each(|variant| {
            let inner = variant.get("properties").and_then(Value::as_object).into_iter().flatten();
            let inner = inner.filter_map(|(_, field)| field.get("properties")).filter_map(Value::as_object).flatten();
            let inner: String = inner.map(|(name, field)| format!(" `{name}`: {}", described(field))).collect();
            writeln!(out, "- {}: {}{inner}", self.kind(variant), described(variant))
        })
    }

    /// The value of a field that is left out.
    fn default(&self, field: &Value) -> String {
        match field.get("default") {
            Some(Value::Null) | None if field.get("type") != Some(&Value::from("boolean")) => "not given".to_owned(),
            None => "`false`".to_owned(),
            Some(_)
                if self
                    .referred(field)
                    .and_then(|of| self.heading_of(of))
                    .is_some_and(|heading| heading != "share") =>
            {
                "the defaults of its section".to_owned()
            }
            Some(value) => format!("`{}`", defaults::inline(value)),
        }
    }

    /// Name of the type that a field, or each item of a list, refers to.
    fn referred<'s>(&self, field: &'s Value) -> Option<&'s str> {
        let own = |value: &'s Value| value.get("$ref")?.as_str()?.rsplit('/').next();
        let optional = || field.get("anyOf")?.as_array()?.iter().find_map(own);
        own(field).or_else(optional).or_else(|| field.get("items").and_then(own))
    }

    /// The heading of the section that describes a type.
    fn heading_of(&self, of: &str) -> Option<&'static str> {
        let of = if of == "NetworkRecipe" { "Architecture" } else { of };
        SECTIONS.iter().find(|section| section.of == of).map(|section| section.heading)
    }

    /// The type of a field in words.
    fn kind(&self, field: &Value) -> String {
        if let Some(value) = field.get("const") {
            return format!("`{}`", defaults::inline(value));
        }
        if let Some(of) = field.get("$ref").and_then(|_| self.referred(field)) {
            return self.named(of, field);
        }
        if let Some(of) = field.get("anyOf").and_then(|_| self.referred(field)) {
            return self.named(of, field);
        }
        let name = match field.get("type") {
            Some(Value::Array(kinds)) => kinds.iter().find(|kind| *kind != "null").and_then(Value::as_str),
            kind => kind.and_then(Value::as_str),
        };
        match name {
            Some("string") => "text".to_owned(),
            Some("integer") => "whole number".to_owned(),
            Some("number") => "number".to_owned(),
            Some("boolean") => "`true` or `false`".to_owned(),
            Some("array") => {
                let items = field.get("items").unwrap_or(&Value::Null);
                match self.referred(items).and_then(|of| self.heading_of(of)) {
                    Some(heading) => format!("list of {heading}", heading = linked(heading)),
                    None => format!("list of {}", self.kind(items)),
                }
            }
            Some("object") => match field.get("properties").and_then(Value::as_object) {
                Some(fields) => {
                    let names: Vec<String> = fields.keys().map(|name| format!("{name} = …")).collect();
                    format!("`{{ {} }}`", names.join(", "))
                }
                None => "table of texts".to_owned(),
            },
            _ => "one of several".to_owned(),
        }
    }

    fn named(&self, of: &str, field: &Value) -> String {
        if let Some(heading) = self.heading_of(of) {
            // A member of a committee says its kind.
            let kind = field.get("properties").and_then(|fields| fields.get("kind"));
            return match kind.and_then(|kind| kind.get("const")) {
                Some(kind) => format!("`kind = {}`", defaults::inline(kind)),
                None => linked(heading),
            };
        }
        let variants =
            self.definition(of).and_then(|own| own.get("oneOf").or(own.get("anyOf"))).and_then(Value::as_array);
        let kinds: Vec<String> = variants.into_iter().flatten().map(|variant| self.kind(variant)).collect();
        kinds.join(" or ")
    }
}

fn heading(section: &Section) -> String {
    if section.of.is_empty() { section.heading.to_owned() } else { format!("`{}`", section.heading) }
}

/// A section as a link to its heading, as GitHub makes them.
fn linked(heading: &str) -> String {
    let plain = |c: &char| c.is_ascii_alphanumeric() || " -_".contains(*c);
    let anchor: String = heading.chars().filter(plain).collect::<String>().to_lowercase().replace(' ', "-");
    format!("[`{heading}`](#{anchor})")
}

/// The comment of a type or field, on one line.
fn described(own: &Value) -> String {
    let text = own.get("description").and_then(Value::as_str).unwrap_or_default();
    text.split_whitespace().collect::<Vec<_>>().join(" ").replace('|', "\\|")
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn every_type_and_every_field_is_on_the_page_with_its_meaning() {
        let schema = schema_for!(Recipe).to_value();
        let page = recipe_reference();
        let (mut seen, mut bare) = (0, Vec::new());
        for (name, own) in schema["$defs"].as_object().unwrap() {
            let Some(fields) = own["properties"].as_object() else { continue };
            assert!(SECTIONS.iter().any(|section| section.of == name), "{name} needs a section in SECTIONS");
            for (field, own) in fields {
                seen += 1;
                assert!(page.contains(&format!("| `{field}` |")), "{name}.{field}");
                bare.extend((described(own).is_empty()).then(|| format!("{name}.{field}")));
            }
        }
        assert!(seen > 60 && bare.is_empty(), "{seen} fields; without a comment: {bare:?}");
        for section in &SECTIONS {
            let page = Page { schema: &schema, limits: limits() };
            assert!(page.definition(section.of).is_some(), "{}", section.of);
        }
        // Comments for people who read the code have links that mean nothing here.
        assert!(!page.contains("[`Training::"), "{page}");
    }

    #[test]
    fn bounds_stand_where_they_are_checked() {
        let page = recipe_reference();
        let line = |field: &str, of: &str| {
            page.lines().any(|line| line.starts_with(&format!("| `{field}` |")) && line.contains(of))
        };
        assert!(line("members", "Limit: at most 64."));
        assert!(line("trees", "Limit: at most 2000."));
        assert!(line("keys", "Limit: at most 4096."));
        assert!(line("row", "at most 16 layers, at most 4096"));
        let known = |name: &&String| SECTIONS.iter().any(|own| own.at.is_empty() || name.starts_with(own.at));
        assert!(limits().keys().all(|name| known(&name)), "{:?}", limits());
    }
}
