//! Limits of use: sentences on what a model cannot know. A limit may have a condition; then it is a warning of every
//! answer that meets it.

use schemars::JsonSchema;
use serde::{Deserialize, Serialize};

use crate::domain::{Element, Sample};

/// A limit of use.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(untagged, expecting = "a sentence, or { text = \"…\", when = { elements_at_least, class, element } }")]
pub enum Limit {
    /// A sentence on the model as a whole.
    General(String),
    /// A sentence on certain answers.
    Conditional(ConditionalLimit),
}

/// A limit that concerns certain answers.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub struct ConditionalLimit {
    /// The sentence.
    pub text: String,
    /// The answers that it concerns.
    pub when: Condition,
}

/// Selects answers; all that is given must hold.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub struct Condition {
    /// The alloy has at least this number of elements.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub elements_at_least: Option<usize>,
    /// The answered class.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub class: Option<String>,
    /// The alloy contains this element.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    #[schemars(with = "Option<String>")]
    pub element: Option<Element>,
}

impl Limit {
    /// Why a recipe with these classes cannot have these limits.
    pub fn contradiction(limits: &[Self], classes: &[String]) -> Option<&'static str> {
        let conditions = || limits.iter().filter_map(Self::condition);
        if conditions().any(|condition| *condition == Condition::default()) {
            Some("limits: when must name a condition; a limit of the whole model is a plain sentence")
        } else if conditions().any(|own| own.class.as_ref().is_some_and(|class| !classes.contains(class))) {
            Some("limits: class in when must be one of the class's levels")
        } else {
            None
        }
    }

    /// The sentence.
    pub fn text(&self) -> &str {
        match self {
            Self::General(text) | Self::Conditional(ConditionalLimit { text, .. }) => text,
        }
    }

    /// The condition, if there is one.
    pub fn condition(&self) -> Option<&Condition> {
        match self {
            Self::General(_) => None,
            Self::Conditional(limit) => Some(&limit.when),
        }
    }

    /// Whether it is a warning of the answer for this sample; `class` is the answered class, if there are classes.
    pub fn concerns(&self, sample: &Sample, class: Option<&str>) -> bool {
        let Some(Condition { elements_at_least, class: wanted, element }) = self.condition() else { return false };
        let composition = sample.composition();
        elements_at_least.is_none_or(|least| composition.amounts().len() >= least)
            && wanted.as_deref().is_none_or(|wanted| class == Some(wanted))
            && element.is_none_or(|element| composition.amount(element) > 0.0)
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::domain::parse_formula;

    #[test]
    fn a_limit_concerns_the_answers_that_meet_all_of_its_condition() {
        let sample = |formula: &str| Sample::made_of(parse_formula(formula).unwrap(), Vec::new());
        let limit: Limit =
            serde_json::from_str(r#"{"text": "x", "when": {"elements_at_least": 4, "class": "BMG", "element": "Fe"}}"#)
                .unwrap();
        assert!(limit.concerns(&sample("Fe70Cr10B10C10"), Some("BMG")));
        assert!(!limit.concerns(&sample("Fe70Cr20B10"), Some("BMG")));
        assert!(!limit.concerns(&sample("Fe70Cr10B10C10"), Some("CRA")));
        assert!(!limit.concerns(&sample("Ni70Cr10B10C10"), Some("BMG")) && !limit.concerns(&sample("FeCrBC"), None));
        let general: Limit = serde_json::from_str(r#""a sentence""#).unwrap();
        assert!(general.text() == "a sentence" && !general.concerns(&sample("Fe"), None));
        assert!(serde_json::from_str::<Limit>(r#"{"text": "x", "when": {"colour": "red"}}"#).is_err());
    }
}
