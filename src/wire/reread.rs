//! The slow second read of an invalid body: it checks every value separately and collects every complaint.
//!
//! It runs only when the fast read of [`super::request`] has failed.

use std::borrow::Cow;
use std::collections::HashSet;

use serde::Deserialize;
use serde_json::value::RawValue as RawJson;

use super::entries::Entries;
use crate::domain::{
    MOST_VIOLATIONS, NotMeasured, RawComposition, RawLimits, RawSample, RawValue, Violation, is_balance,
};
use crate::tables::says_nothing;

pub(super) type Fields<'a> = Vec<(Cow<'a, str>, &'a RawJson)>;

#[derive(Default)]
pub(super) struct Reader {
    pub(super) violations: Vec<Violation>,
}

impl Reader {
    pub(super) fn complain(&mut self, pointer: String, detail: impl Into<String>) {
        if self.violations.len() <= MOST_VIOLATIONS {
            self.violations.push(Violation::new(pointer, detail));
        }
    }

    /// The fields of an object; complains about unknown and repeated ones.
    pub(super) fn fields<'a>(&mut self, value: &'a RawJson, pointer: &str, known: &[&str]) -> Option<Fields<'a>> {
        let fields = self.entries(value, pointer, "must be an object")?;
        for (name, _) in fields.iter().filter(|(name, _)| !known.contains(&name.as_ref())) {
            let detail = format!("unknown field; known are {}", known.join(", "));
            self.complain(Violation::child(pointer, name), detail);
        }
        Some(fields)
    }

    fn entries<'a>(&mut self, value: &'a RawJson, pointer: &str, otherwise: &str) -> Option<Fields<'a>> {
        let Ok(Entries(entries)) = serde_json::from_str::<Entries<&RawJson>>(value.get()) else {
            self.complain(pointer.to_owned(), otherwise);
            return None;
        };
        let mut seen = HashSet::new();
        for (name, _) in &entries {
            if !seen.insert(name) {
                self.complain(Violation::child(pointer, name), "given twice");
            }
        }
        Some(entries)
    }

    pub(super) fn samples<'a>(&mut self, list: &'a RawJson) -> Vec<RawSample<'a>> {
        let Some(items) = typed::<Vec<&RawJson>>(list) else {
            self.complain("/samples".to_owned(), "must be a list of samples");
            return Vec::new();
        };
        let mut samples = Vec::with_capacity(items.len());
        for (index, item) in items.into_iter().enumerate() {
            let base = format!("/samples/{index}");
            let fields = self.fields(item, &base, &["composition", "basis", "processing"]);
            samples.push(self.sample(&fields.unwrap_or_default(), &base));
        }
        samples
    }

    pub(super) fn sample<'a>(&mut self, fields: &Fields<'a>, base: &str) -> RawSample<'a> {
        let mut sample = RawSample::default();
        for (name, value) in fields.iter().filter(|(_, value)| !is_null(value)) {
            let pointer = Violation::child(base, name);
            match name.as_ref() {
                "composition" => self.composition(value, &pointer, &mut sample),
                "basis" => {
                    sample.basis = typed(value);
                    if sample.basis.is_none() {
                        self.complain(pointer, "must be \"weight_percent\" or \"atomic_percent\"");
                    }
                }
                "processing" => sample.processing = self.processing(value, &pointer),
                _ => {}
            }
        }
        sample
    }

    fn composition<'a>(&mut self, value: &'a RawJson, pointer: &str, sample: &mut RawSample<'a>) {
        if let Some(text) = typed::<String>(value) {
            sample.composition = Some(RawComposition::Formula(text));
            return;
        }
        let wanted = "must be a map of element symbols to amounts, or a formula string";
        let Some(entries) = self.entries(value, pointer, wanted) else { return };
        let mut amounts = Vec::with_capacity(entries.len());
        for (symbol, amount) in entries {
            let (field, text) = (Violation::child(pointer, &symbol), typed::<String>(amount));
            match (number(amount), text) {
                (Some(amount), _) => amounts.push((symbol, amount)),
                (None, None) if is_null(amount) => sample.not_measured.push((symbol, NotMeasured::Stated)),
                (None, Some(word)) if says_nothing(word.trim()) => {
                    sample.not_measured.push((symbol, NotMeasured::Stated));
                }
                (None, Some(word)) if is_balance(&word) => match sample.balance {
                    None => sample.balance = Some(symbol),
                    Some(_) => self.complain(field, "only one element can be the rest"),
                },
                (None, Some(text)) if text.trim().parse::<f64>().is_ok() => {
                    self.complain(field, "the amount must be a number: write it without quotes");
                }
                (None, _) => self.complain(
                    field,
                    "the amount must be a number, \"bal.\" for what is left to 100, or null if it was not measured",
                ),
            }
        }
        sample.composition = Some(RawComposition::Amounts(amounts));
    }

    fn processing<'a>(&mut self, value: &'a RawJson, pointer: &str) -> Vec<(Cow<'a, str>, RawValue)> {
        let wanted = "must be a map of process parameters to values";
        let entries = self.entries(value, pointer, wanted).unwrap_or_default();
        let mut values = Vec::with_capacity(entries.len());
        for (name, value) in entries {
            match (number(value), typed::<String>(value)) {
                (Some(number), _) => values.push((name, RawValue::Number(number))),
                (None, Some(text)) => values.push((name, RawValue::Text(text))),
                (None, None) => self.complain(Violation::child(pointer, &name), "must be a number or a text"),
            }
        }
        values
    }

    /// The limits of a specification.
    pub(super) fn specification<'a>(&mut self, value: &'a RawJson) -> Vec<RawLimits<'a>> {
        let wanted = "must be a map of properties to limits, such as {\"hardness\": {\"max\": 360}}";
        let entries = self.entries(value, "/specification", wanted).unwrap_or_default();
        let mut limits = Vec::with_capacity(entries.len());
        for (property, value) in entries {
            let pointer = Violation::child("/specification", &property);
            let Some(fields) = self.fields(value, &pointer, &["min", "max"]) else { continue };
            let complaints = self.violations.len();
            let mut limit = |name: &str| {
                let (_, value) = fields.iter().find(|(known, _)| known == name)?;
                let limit = number(value);
                if limit.is_none() {
                    self.complain(Violation::child(&pointer, name), "must be a number");
                }
                limit
            };
            let (min, max) = (limit("min"), limit("max"));
            if self.violations.len() == complaints {
                limits.push(RawLimits { property, min, max });
            }
        }
        limits
    }

    pub(super) fn text(&mut self, value: &RawJson, pointer: &str) -> Option<String> {
        let text = typed(value);
        if text.is_none() {
            self.complain(pointer.to_owned(), "must be a text");
        }
        text
    }
}

pub(super) fn typed<'a, T: Deserialize<'a>>(value: &'a RawJson) -> Option<T> {
    serde_json::from_str(value.get()).ok()
}

/// A JSON number. A number beyond the range of a double becomes infinite here and causes a complaint later.
pub(super) fn number(value: &RawJson) -> Option<f64> {
    let text = value.get();
    let first = text.bytes().next()?;
    if first == b'-' || first.is_ascii_digit() { text.parse().ok() } else { None }
}

pub(super) fn is_null(value: &RawJson) -> bool {
    value.get() == "null"
}
