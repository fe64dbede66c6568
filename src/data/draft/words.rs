//! Names of measured properties and process steps, in the languages of tables. To support another name, add it to a
//! list.

use crate::data::source::Censored;
use crate::tables::normal;

/// A property known by name.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) struct Property {
    /// Name in the API.
    pub(super) name: &'static str,
    /// The usual unit.
    pub(super) unit: &'static str,
}

/// Names of properties: first complete names, then parts of names. In small letters and without punctuation.
#[rustfmt::skip]
const PROPERTIES: [(Property, &[&str], &[&str]); 12] = [
    (Property { name: "yield_strength", unit: "MPa" }, &["ys", "rp02", "rp", "re", "reh", "rel", "sigma02", "σ02", "σy", "02ps"],
     &["yieldstrength", "yieldstress", "proofstress", "proofstrength", "streckgrenze", "dehngrenze", "屈服"]),
    (Property { name: "tensile_strength", unit: "MPa" }, &["uts", "rm", "ts", "σb", "σuts"],
     &["tensilestrength", "ultimatestrength", "zugfestigkeit", "抗拉"]),
    (Property { name: "elongation", unit: "%" }, &["el", "a", "a5", "a50", "te", "elo"],
     &["elongation", "bruchdehnung", "延伸率", "伸长率"]),
    (Property { name: "reduction_of_area", unit: "%" }, &["ra", "z", "roa"],
     &["reductionofarea", "reductioninarea", "einschnürung", "断面收缩"]),
    (Property { name: "hardness", unit: "HV" }, &["hv", "hv1", "hv5", "hv10", "hv30", "hb", "hbw", "hrc", "hrb"],
     &["hardness", "härte", "haerte", "硬度"]),
    (Property { name: "fatigue_strength", unit: "MPa" }, &[], &["fatiguestrength", "fatiguelimit", "endurancelimit", "dauerfestigkeit", "疲劳"]),
    (Property { name: "fracture_strength", unit: "MPa" }, &[], &["fracturestrength", "fracturestress"]),
    (Property { name: "impact_energy", unit: "J" }, &["kv", "kv2", "cvn", "akv"], &["impactenergy", "impacttoughness", "charpy", "kerbschlag", "冲击"]),
    (Property { name: "creep_life", unit: "h" }, &["tr"], &["creeplife", "rupturelife", "rupturetime", "timetorupture", "creeprupture", "lifetime", "寿命"]),
    (Property { name: "grain_size", unit: "µm" }, &[], &["grainsize", "grainsizes", "korngröße", "korngroesse", "晶粒"]),
    (Property { name: "d_max", unit: "mm" }, &["dmax"], &["criticaldiameter", "criticalcastingdiameter", "criticalthickness"]),
    (Property { name: "youngs_modulus", unit: "GPa" }, &["e"], &["youngsmodulus", "elasticmodulus", "modulusofelasticity", "emodul", "弹性模量"]),
];

/// Process steps, and the words for them in names.
#[rustfmt::skip]
const STEPS: [(&str, &[&str]); 12] = [
    ("normalizing", &["normaliz", "normalis", "normalglüh", "正火"]),
    ("quenching", &["quench", "abschreck", "härtetemp", "haertetemp", "austeniti", "hardening", "淬火"]),
    ("tempering", &["temper", "anlass", "回火"]),
    ("annealing", &["anneal", "glüh", "退火"]),
    ("solution_treatment", &["solution", "lösung", "固溶"]),
    ("aging", &["aging", "ageing", "auslager", "时效"]),
    ("test", &["test", "prüf", "pruef", "试验", "测试"]),
    ("rolling", &["roll", "walz", "轧制"]),
    ("forging", &["forg", "schmied", "锻"]),
    ("casting", &["cast", "gieß", "giess", "浇"]),
    ("cooling", &["cool", "abkühl", "冷却"]),
    ("holding", &["hold", "soak", "halte", "保温"]),
];

/// Quantities of a process step, with their usual units and the words for them.
#[rustfmt::skip]
const QUANTITIES: [(&str, &str, &[&str]); 8] = [
    ("temperature", "°C", &["temperatur", "温度", "temp"]),
    ("time", "h", &["time", "zeit", "dauer", "duration", "时间"]),
    ("rate", "°C/s", &["rate", "geschwindigkeit", "速率", "速度"]),
    ("ratio", "", &["ratio", "verhältnis", "grad", "比"]),
    ("thickness", "mm", &["thickness", "dicke", "厚"]),
    ("diameter", "mm", &["diameter", "durchmesser", "直径"]),
    ("pressure", "MPa", &["pressure", "druck", "压力"]),
    ("stress", "MPa", &["stress", "spannung", "应力"]),
];

/// Names of columns that group related rows, the most likely first.
const GROUPS: [&str; 20] = [
    "heat",
    "charge",
    "schmelze",
    "炉号",
    "炉次",
    "melt",
    "cast",
    "batch",
    "lot",
    "alloycode",
    "alloy",
    "legierung",
    "合金",
    "牌号",
    "grade",
    "steel",
    "material",
    "werkstoff",
    "sample",
    "specimen",
];

/// Names of columns with notes, not process parameters.
const NOTES: [&str; 16] = [
    "note",
    "remark",
    "comment",
    "bemerkung",
    "备注",
    "source",
    "reference",
    "doi",
    "author",
    "quelle",
    "date",
    "datum",
    "日期",
    "operator",
    "file",
    "url",
];

/// The property that a column's name means, if it is known.
pub(super) fn property(base: &str) -> Option<Property> {
    let name = normal(base);
    let whole = PROPERTIES.iter().find(|(_, whole, _)| whole.contains(&name.as_str()));
    let part = || PROPERTIES.iter().find(|(.., parts)| parts.iter().any(|part| name.contains(&normal(part))));
    whole.or_else(part).map(|(property, ..)| *property)
}

/// The process parameter that a column's name means: its API name and usual unit.
pub(super) fn condition(base: &str) -> Option<(String, &'static str)> {
    let name = normal(base);
    let has = |words: &[&str]| words.iter().any(|word| name.contains(&normal(word)));
    // Remove "temperatur" first, because it contains "temper".
    let steps = name.replace("temperatur", "");
    let says = |words: &[&str]| words.iter().any(|word| steps.contains(&normal(word)));
    let step = STEPS.iter().find(|(_, words)| says(words)).map(|(step, _)| *step);
    let quantity = QUANTITIES.iter().find(|(.., words)| has(words)).map(|(quantity, unit, _)| (*quantity, *unit));
    match (step, quantity, name.as_str()) {
        (Some(step), Some((quantity, unit)), _) => Some((format!("{step}_{quantity}"), unit)),
        (None, Some((quantity, unit)), _) => Some((plain(base).unwrap_or_else(|| quantity.to_owned()), unit)),
        (_, None, "nt") => Some(("normalizing_temperature".to_owned(), "°C")),
        (_, None, "qt") => Some(("quenching_temperature".to_owned(), "°C")),
        (_, None, "tt") => Some(("tempering_temperature".to_owned(), "°C")),
        _ => None,
    }
}

/// A name for the API: small letters and underscores. `None` if nothing is left.
pub(super) fn plain(base: &str) -> Option<String> {
    let words: Vec<String> = base
        .split(|c: char| !c.is_ascii_alphanumeric())
        .filter(|word| !word.is_empty())
        .map(str::to_ascii_lowercase)
        .collect();
    let name = words.join("_");
    (name.chars().any(|c| c.is_ascii_alphabetic()) && base.is_ascii()).then_some(name)
}

/// Rank of a column's name as the name of a group; the smallest is the most likely.
pub(super) fn group_rank(base: &str) -> Option<usize> {
    let name = normal(base);
    // `heat treatment` is a process, not a group.
    let treatment = ["treat", "behandlung", "处理"].iter().any(|word| name.contains(word));
    GROUPS.iter().position(|word| name.contains(word)).filter(|_| !treatment)
}

/// Whether a text column contains notes.
pub(super) fn is_note(base: &str) -> bool {
    let name = normal(base);
    NOTES.iter().any(|word| name.contains(word))
}

/// A property whose values span at least this factor is learned on a logarithmic scale.
pub(super) const DECADES: f64 = 100.0;

/// How a draft treats censored values.
pub(super) const CENSORED: Censored = Censored::Drop;

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn names_of_many_kinds() {
        for (text, name) in [
            ("YS", "yield_strength"),
            ("Rp0,2", "yield_strength"),
            ("Streckgrenze Rp0,2", "yield_strength"),
            ("屈服强度", "yield_strength"),
            ("UTS", "tensile_strength"),
            ("Zugfestigkeit", "tensile_strength"),
            ("A5", "elongation"),
            ("Hardness", "hardness"),
            ("Creep rupture life", "creep_life"),
        ] {
            assert_eq!(property(text).map(|known| known.name), Some(name), "{text}");
        }
        assert_eq!(property("heat"), None);
        for (text, name) in [
            ("Anlasstemperatur", "tempering_temperature"),
            ("Tempering temp", "tempering_temperature"),
            ("回火温度", "tempering_temperature"),
            ("Aging time", "aging_time"),
            ("Temperature", "temperature"),
            ("Reduction ratio", "reduction_ratio"),
        ] {
            assert_eq!(condition(text).map(|(name, _)| name).as_deref(), Some(name), "{text}");
        }
        assert_eq!(condition("note"), None);
        assert!(group_rank("Heat no.") < group_rank("Alloy") && group_rank("heat treatment").is_none());
        assert_eq!(plain("Melting method"), Some("melting_method".to_owned()));
        assert_eq!(plain("状态"), None);
    }
}
