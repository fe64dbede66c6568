//! Checks a header as a whole: columns that look like inputs, occur twice, or are missing.

use super::meaning::{Column, Reader};
use super::name::{Name, normal, words};
use super::symbols::{Spelling, element, is_analysed, resembles};
use super::units::{Conversion, amount_unit};
use crate::domain::{Element, Parameter, ParameterKind, RawValue, Violation};

/// Names with at least this Jaro-Winkler similarity are misspellings of each other.
const ALIKE: f64 = 0.93;

impl Reader<'_> {
    /// Refuses columns that look like inputs but were not read as such. They are never ignored silently.
    pub(super) fn suspects(&mut self, open: &[usize], set: &[(String, RawValue)]) {
        let formula = self.columns.contains(&Column::Formula);
        let known: Vec<Element> = self.schema.composition.elements.iter().map(|range| range.element).collect();
        for at in open.iter().copied() {
            let text = self.head.names[at].clone();
            let Name { base, unit } = self.head.name(at);
            let amount = unit.as_ref().is_none_or(|unit| amount_unit(unit).is_some());
            let spelt = match element(&base) {
                Some(Spelling::Small(own) | Spelling::Capital(own)) => {
                    let likely = known.contains(&own) || base.len() > 1 && is_analysed(own);
                    likely.then(|| (format!("looks like the element {own}, whose symbol is written {own}"), own))
                }
                Some(Spelling::Right(_)) => None,
                None => resembles(&base),
            };
            if let Some((what, own)) = spelt.filter(|_| amount && !formula) {
                let detail = format!(
                    "{what}, but it was not read: rename the column, or say what it is (--map \"{text}={own}\" or \
                     ?map={text}:{own} for an amount of {own}, {text}=other for something else)"
                );
                self.complain(at, detail);
            } else if let Some(own) = self.misspelt(&base).map(|index| &self.schema.processing[index])
                // A missing required parameter is reported anyway, with the similar column.
                && (!own.required() || set.iter().any(|(name, _)| *name == own.name))
            {
                let name = own.name.clone();
                let detail = format!(
                    "looks like {name}, but it was not read: rename the column, or say what it is (--map \
                     \"{text}={name}\" or ?map={text}:{name}, {text}=other for something else)"
                );
                self.complain(at, detail);
            }
        }
    }

    fn is_given(&self, index: usize) -> bool {
        let name = &self.schema.processing[index].name;
        self.columns.iter().any(|column| match column {
            Column::Numeric { name: own, .. } | Column::Categorical(own) => own == name,
            _ => false,
        })
    }

    /// The parameter that has no column of its own and a name similar to this one.
    fn misspelt(&self, base: &str) -> Option<usize> {
        let own_words = words(base);
        let alike = |known: &String| {
            let shared = words(known).iter().filter(|word| own_words.contains(word)).count();
            shared > 1 || strsim::jaro_winkler(&normal(known), &normal(base)) >= ALIKE && normal(base).len() > 4
        };
        let names = |own: &Parameter| [&own.name, &own.column].into_iter().chain(&own.aliases).any(alike);
        (0..self.schema.processing.len()).find(|index| !self.is_given(*index) && names(&self.schema.processing[*index]))
    }

    /// Checks for columns that occur twice or are missing, and for mixed bases.
    pub(super) fn check(&mut self, amounts: &[(Element, f64)], processing: &[(String, RawValue)]) {
        for at in 1..self.columns.len() {
            let same = |other: &Column| match (other, &self.columns[at]) {
                (Column::Other | Column::Elsewhere | Column::Beside(_), _) => false,
                (Column::Amount { element, .. }, Column::Amount { element: own, .. }) => element == own,
                (
                    Column::Numeric { name, .. } | Column::Categorical(name),
                    Column::Numeric { name: own, .. } | Column::Categorical(own),
                ) => name == own,
                (other, own) => other == own,
            };
            if let Some(first) = (0..at).find(|earlier| same(&self.columns[*earlier])) {
                let detail = match self.head.names[first] == self.head.names[at] {
                    true => "the column is there twice".to_owned(),
                    false => format!("means the same as the column \"{}\"", self.head.names[first]),
                };
                self.complain(at, detail);
            }
        }
        let states = |column: &Column| matches!(column, Column::Formula | Column::Amount { .. });
        let suspected = self.violations.iter().any(|violation| violation.detail.contains("looks like"));
        if !self.columns.iter().any(states) && amounts.is_empty() && !suspected {
            let detail = format!(
                "no column states a composition: use `formula`, or element symbols such as `C`; the columns are {}",
                listed(&self.head.names)
            );
            self.violations.push(Violation::new("", detail));
        }
        for index in 0..self.schema.processing.len() {
            let own = &self.schema.processing[index];
            if own.required() && !self.is_given(index) && !processing.iter().any(|(name, _)| *name == own.name) {
                let detail = self.missing(own);
                self.violations.push(Violation::new(Violation::child("", &own.name), detail));
            }
        }
    }

    /// The message for a missing parameter, with the most similar column.
    fn missing(&self, own: &Parameter) -> String {
        let wanted = match &own.kind {
            ParameterKind::Categorical { levels, .. } => format!("one of {}", levels.join(", ")),
            ParameterKind::Numeric { .. } if own.unit.is_empty() => "a number".to_owned(),
            ParameterKind::Numeric { .. } => format!("a number in {}", own.unit),
        };
        let known = [&own.name, &own.column].into_iter().chain(&own.aliases).flat_map(|name| words(name));
        let known: Vec<String> = known.collect();
        let nearness = |at: &usize| {
            let Name { base, unit } = self.head.name(*at);
            let shared = words(&base).iter().filter(|word| known.contains(word)).count();
            let unit = unit.is_some_and(|unit| !own.unit.is_empty() && Conversion::between(&unit, &own.unit).is_ok());
            2 * shared + usize::from(unit)
        };
        let free = (0..self.columns.len()).filter(|at| self.columns[*at] == Column::Other);
        let likely = free.filter(|at| nearness(at) > 0).max_by_key(|at| (nearness(at), usize::MAX - at));
        let name = &own.name;
        match likely {
            Some(at) => {
                let column = &self.head.names[at];
                format!(
                    "is missing ({wanted}); \"{column}\" looks like it: rename the column, or say so (--map \
                     \"{column}={name}\" or ?map={column}:{name})"
                )
            }
            None => format!(
                "is missing ({wanted}): add a column, or one value for all rows (--set {name}=… or ?set={name}:…)"
            ),
        }
    }
}

fn listed(names: &[String]) -> String {
    let shown: Vec<&str> = names.iter().take(12).map(String::as_str).collect();
    let more = if names.len() > shown.len() { " …" } else { "" };
    format!("{}{more}", shown.join(", "))
}
