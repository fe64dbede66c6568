//! Tests of formulas in the ways people write them.

use proptest::prelude::*;

use super::*;

fn amounts(text: &str) -> Vec<(&'static str, f64)> {
    let composition = parse_formula(text).unwrap();
    composition.amounts().iter().map(|(element, amount)| (element.symbol(), *amount)).collect()
}

fn percent(text: &str) -> Vec<(&'static str, f64)> {
    let composition = parse_formula(text).unwrap().scaled_to(100.0);
    composition.amounts().iter().map(|(element, amount)| (element.symbol(), (amount * 100.0).round() / 100.0)).collect()
}

#[test]
fn plain_and_nested() {
    assert_eq!(amounts("AlCrMoSiTi").len(), 5);
    assert_eq!(amounts("Zr53Ti5Cu20Ni12Al15").iter().map(|(_, amount)| amount).sum::<f64>(), 105.0);
    assert_eq!(amounts("Al40Cu60T"), [("Al", 40.0), ("Cu", 60.0)]);
    assert_eq!(amounts("AlTi"), [("Al", 1.0), ("Ti", 1.0)]);
    assert_eq!(amounts(" Fe56B44 ").len(), 2);
    assert_eq!(amounts("Fe10B20Fe30"), [("B", 20.0), ("Fe", 40.0)]);
    assert_eq!(amounts("Fe9e-05Ni0.99991"), [("Fe", 9e-5), ("Ni", 0.99991)]);
    assert_eq!(amounts("Fe9Er5"), [("Fe", 9.0), ("Er", 5.0)]);
}

#[test]
fn brackets_multiply_or_are_shares() {
    for (text, wanted) in [
        ("(Fe0.5Co0.5)70B30", vec![("B", 30.0), ("Fe", 35.0), ("Co", 35.0)]),
        ("(Fe50Co50)70B30", vec![("B", 30.0), ("Fe", 35.0), ("Co", 35.0)]),
        ("(CaCu)70Mg30", vec![("Mg", 30.0), ("Ca", 35.0), ("Cu", 35.0)]),
        ("(Fe0.75B0.25)96Nb4", vec![("B", 24.0), ("Fe", 72.0), ("Nb", 4.0)]),
        ("(Fe0.5Co0.5)60(Nb0.5B0.5)40", vec![("B", 20.0), ("Fe", 30.0), ("Co", 30.0), ("Nb", 20.0)]),
        ("(CoNi)0.9Al0.1", vec![("Al", 10.0), ("Co", 45.0), ("Ni", 45.0)]),
        ("[(Fe50Co50)75B25]96Nb4", vec![("B", 24.0), ("Fe", 36.0), ("Co", 36.0), ("Nb", 4.0)]),
        ("Al(NiB)2", vec![("B", 40.0), ("Al", 20.0), ("Ni", 40.0)]),
        ("Al11(CrSi2)3", vec![("Al", 55.0), ("Si", 30.0), ("Cr", 15.0)]),
        ("Al0.25(CoNi)", vec![("Al", 11.11), ("Co", 44.44), ("Ni", 44.44)]),
    ] {
        assert_eq!(percent(text), wanted, "{text}");
    }
    let notes = |text: &str| read_formula(text).unwrap().notes;
    assert_eq!(
        notes("Al(NiB)2"),
        ["read as B 40, Al 20, Ni 40 at%: a number behind a bracket multiplies, as in chemistry"]
    );
    assert!(notes("(Fe50Co50)70B30")[0].ends_with("so its number is its share"));
    for text in ["(Fe0.5Co0.5)70B30", "(Fe50Co50)", "Zr55Al10Ni5Cu30", "(Fe0.75B0.25)96Nb4"] {
        assert_eq!(notes(text), Vec::<String>::new(), "{text}");
    }
}

#[test]
fn typesetting_says_nothing() {
    for text in [
        "Zr41.2 Ti13.8 Cu12.5 Ni10 Be22.5",
        "Zr₄₁.₂Ti₁₃.₈Cu₁₂.₅Ni₁₀Be₂₂.₅",
        "Zr_{41.2}Ti_{13.8}Cu_{12.5}Ni_{10}Be_{22.5}",
        "$Zr_{41.2}Ti_{13.8}Cu_{12.5}Ni_{10}Be_{22.5}$",
        "Zr<sub>41.2</sub>Ti<sub>13.8</sub>Cu<sub>12.5</sub>Ni<sub>10</sub>Be<sub>22.5</sub>",
        "Ｚｒ４１．２Ti13.8Cu12.5Ni10Be22.5",
        "Zr41.2\u{a0}Ti13.8\u{2009}Cu12.5Ni10Be22.5",
    ] {
        assert_eq!(amounts(text), amounts("Zr41.2Ti13.8Cu12.5Ni10Be22.5"), "{text}");
    }
}

#[test]
fn complaints_say_what_and_where() {
    let complaint = |text: &str| parse_formula(text).unwrap_err().to_string();
    for text in ["  ", "NaN", "nan", "None", "null", "N/A", "-"] {
        assert_eq!(parse_formula(text), Err(FormulaError::Empty), "{text}");
    }
    assert_eq!(parse_formula("Fe(Co"), Err(FormulaError::Bracket { at: 3 }));
    assert_eq!(parse_formula("Fe)"), Err(FormulaError::Bracket { at: 3 }));
    assert_eq!(parse_formula("(Fe]2"), Err(FormulaError::Bracket { at: 4 }));
    assert_eq!(parse_formula("()2"), Err(FormulaError::Bracket { at: 2 }));
    assert_eq!(parse_formula("Fe1.2.3"), Err(FormulaError::Number("1.2.3".into())));
    assert_eq!(parse_formula("Xx2"), Err(FormulaError::Element(ElementError::Unknown("Xx".into()))));
    assert_eq!(parse_formula("Fe0"), Err(FormulaError::Composition(CompositionError::Empty)));
    assert_eq!(parse_formula("(Fe0)3"), Err(FormulaError::Bracket { at: 1 }));
    assert_eq!(parse_formula(&"(".repeat(400)), Err(FormulaError::TooDeep));
    assert_eq!(parse_formula(&"Fe".repeat(400)), Err(FormulaError::TooLong));
    for (text, words) in [
        ("T", "\"T\" is not a chemical element"),
        ("LiT", "\"T\" is not a chemical element"),
        ("Сu60Zr40", "character 1 of the formula is U+0421, which looks like C"),
        ("Cu60\u{200b}Zr40", "character 5 of the formula is U+200B, which cannot be seen"),
        ("Al0.3NbTa0.8Ti1.4V0.2Zr1.3[52]", "\"[52]\" at character 27 of the formula looks like the mark of a footnote"),
        ("Cu60Zr40*", "looks like the mark of a footnote"),
        ("Cu60Zr40¹", "looks like the mark of a footnote"),
        ("Fe73.5B14.7Si9.8Nbz", "z looks like a placeholder for an amount"),
        ("Fe70Cox", "x looks like a placeholder"),
        ("NI60NB40", "is Ni60Nb40 meant?"),
        ("CO60B40", "is Co60B40 meant?"),
        ("CU60ZR40", "is Cu60Zr40 meant?"),
        ("Fe-18Cr-8Ni", "is a nominal composition in percent by mass"),
        ("Ti-6Al-4V", "is a nominal composition in percent by mass"),
        ("42CrMo4", "looks like the name of a grade"),
        ("100Cr6", "looks like the name of a grade"),
        ("X5CrNi18-10", "looks like the name of a grade"),
        ("AISI 4140", "looks like the name of a grade"),
        ("316L", "looks like the name of a grade"),
        ("316", "looks like the name of a grade"),
        ("Cu50-Zr50", "has dashes between its parts: is Cu50Zr50 meant?"),
        ("Zr65-xCux", "has the letter x in the place of a number"),
        ("Cu50Zr50 at%", "has a unit behind it: write Cu50Zr50; a formula is in atomic parts anyway"),
        ("La55Al25Ni20 (at.%)", "write La55Al25Ni20"),
        ("Fe74Cr18Ni8 wt%", "write Fe74Cr18Ni8; say \"basis\": \"weight_percent\" instead"),
        ("1.4301", "looks like the name of a grade"),
        ("Inconel 718", "looks like the name of a grade"),
        ("Fe#2", "unexpected '#' at character 3"),
    ] {
        assert!(complaint(text).contains(words), "{text}: {}", complaint(text));
    }
    for text in ["WC", "BN", "VC", "Y2O3", "VN", "C", "H2O"] {
        assert!(parse_formula(text).is_ok(), "{text}");
    }
}

#[test]
fn grades_that_are_formulas_too() {
    for text in ["Ti6Al4V", "Cr12MoV", "Fe18Cr8Ni"] {
        assert!(looks_like_grade(text), "{text}");
    }
    for text in ["AlCrMoSiTi", "Zr55Al10Ni5Cu30", "Cu60Zr40", "Al2O3", "Fe3Al", "(Fe0.5Co0.5)70B30", "Al0.5CoCrFeNi"] {
        assert!(!looks_like_grade(text), "{text}");
    }
}

fn expanded() -> impl Strategy<Value = (String, String)> {
    let symbols = prop::sample::subsequence(vec!["Fe", "Co", "Ni", "B", "Si", "Nb", "Zr", "Al"], 3..6);
    (symbols, prop::collection::vec(1u32..9, 6), 2u32..5).prop_map(|(symbols, counts, factor)| {
        let (inside, outside) = symbols.split_at(2);
        let part = |(symbol, count): (&&str, &u32)| format!("{symbol}{count}");
        let inner: String = inside.iter().zip(&counts).map(part).collect();
        let outer: String = outside.iter().zip(&counts[2..]).map(part).collect();
        let multiplied: String =
            inside.iter().zip(&counts).map(|(symbol, count)| format!("{symbol}{}", count * factor)).collect();
        (format!("{outer}({inner}){factor}"), format!("{outer}{multiplied}"))
    })
}

proptest! {
    #[test]
    fn never_panics(text in ".{0,60}") {
        let _ = read_formula(&text);
        looks_like_grade(&text);
    }

    #[test]
    fn never_panics_on_formula_like_text(text in r"([A-Z][a-z]?|[0-9.]{1,3}|[()\[\]{}_$e -]){0,30}") {
        let _ = read_formula(&text);
        looks_like_grade(&text);
    }

    #[test]
    fn a_bracket_is_what_it_is_written_out((bracket, flat) in expanded()) {
        // These parts are too few to sum to 100, so the brackets multiply.
        prop_assert_eq!(percent(&bracket), percent(&flat));
    }

    #[test]
    fn spaces_say_nothing(parts in prop::collection::vec((0usize..94, 1u32..99), 1..6)) {
        let write = |between: &str| {
            let part = |(index, amount): &(usize, u32)| format!("{}{amount}", crate::domain::Element::ALL[*index]);
            parts.iter().map(part).collect::<Vec<_>>().join(between)
        };
        prop_assert_eq!(read_formula(&write(" ")), read_formula(&write("")));
    }
}
