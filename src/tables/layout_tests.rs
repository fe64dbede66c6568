//! Tests of reading headers and cells for a model.

use super::*;
use crate::domain::{CompositionSchema, ElementRange, Outputs, Parameter, ParameterKind};
use crate::tables::{Limits, ReadOptions, read_table};

fn parameter(name: &str, column: &str, unit: &str, default: Option<f64>) -> Parameter {
    let kind = ParameterKind::Numeric { min: 0.0, max: 1.0, default, physical_min: None, physical_max: None };
    Parameter {
        name: name.into(),
        column: column.into(),
        aliases: vec!["Anlasstemperatur".to_owned()],
        unit: unit.into(),
        description: String::new(),
        tolerance: 0.0,
        kind,
    }
}

fn steel() -> Schema {
    let element = |element| ElementRange { element, min: 0.0, max: 1.0 };
    Schema {
        composition: CompositionSchema {
            columns: [("AlT".to_owned(), Element::Al)].into(),
            elements: [Element::C, Element::Si, Element::Mn, Element::V, Element::N].map(element).into(),
            ..CompositionSchema::new(Basis::WeightPercent, Some(Element::Fe))
        },
        processing: vec![parameter("tempering_temperature", "TT", "°C", Some(600.0))],
        outputs: Outputs::Classification { classes: Vec::new() },
    }
}

fn glass() -> Schema {
    let composition = CompositionSchema {
        formula_column: Some("alloy".into()),
        ..CompositionSchema::new(Basis::AtomicPercent, None)
    };
    Schema { composition, processing: Vec::new(), ..steel() }
}

/// The layout, the samples, and the notes of a table.
type Read = Result<(TableLayout, Vec<Result<RawSample<'static>, Vec<Violation>>>, Vec<String>), Vec<Violation>>;

fn read_mapped(schema: &Schema, text: &str, mapping: &Mapping) -> Read {
    let (head, chunk) = read_table(text.as_bytes(), &ReadOptions::default(), Limits::default()).unwrap();
    let layout: &'static TableLayout = Box::leak(Box::new(TableLayout::new(&head, schema, mapping, &[])?));
    let mut tally = Tally::default();
    let rows: Vec<Row> = head.rows(&chunk).filter(|row| !row.is_blank()).collect();
    layout.check_first(&rows)?;
    let samples = rows.iter().map(|row| layout.sample(row, &mut tally)).collect();
    let notes = layout.notes().iter().cloned().chain(tally.notes()).collect();
    Ok((layout.clone(), samples, notes))
}

fn read(schema: &Schema, text: &str) -> Read {
    read_mapped(schema, text, &Mapping::default())
}

/// The amounts of the first row, their basis, and the notes.
fn amounts(schema: &Schema, text: &str) -> (String, Option<Basis>, Vec<String>) {
    let (_, mut samples, notes) = read(schema, text).unwrap();
    let sample = samples.swap_remove(0).unwrap();
    let words = match &sample.composition {
        Some(RawComposition::Amounts(amounts)) => {
            amounts.iter().map(|(symbol, amount)| format!("{symbol} {amount}")).collect::<Vec<_>>().join(", ")
        }
        Some(RawComposition::Formula(text)) => text.clone(),
        _ => String::new(),
    };
    (words, sample.basis, notes)
}

fn refused(schema: &Schema, text: &str) -> String {
    let violations = read(schema, text).unwrap_err();
    violations
        .iter()
        .map(|violation| format!("{}: {}", violation.pointer, violation.detail))
        .collect::<Vec<_>>()
        .join("; ")
}

#[test]
fn columns_are_known_by_all_their_names() {
    for name in
        ["TT", "tempering_temperature", "Tempering Temperature (°C)", "Anlasstemperatur", "tempering temperature"]
    {
        let (_, samples, _) = read(&steel(), &format!("heat,C,{name}\nH1,0.4,650\n")).unwrap();
        let sample = samples[0].clone().unwrap();
        assert_eq!(sample.processing, [("tempering_temperature".into(), RawValue::Number(650.0))], "{name}");
    }
    let (layout, samples, notes) = read(&steel(), "heat,C,Tempering temperature (°F)\nH1,0.4,1112\n").unwrap();
    assert_eq!(layout.others().collect::<Vec<_>>(), [(0, "heat")]);
    let RawValue::Number(value) = samples[0].as_ref().unwrap().processing[0].1 else { panic!() };
    assert!((value - 600.0).abs() < 1e-9);
    assert_eq!(notes, ["Tempering temperature (°F): converted from °F to °C"]);
    assert_eq!(amounts(&glass(), "alloy\nFe80B20\n").0, "Fe80B20");
}

#[test]
fn symbols_have_units_around_them() {
    let weight = Some(Basis::WeightPercent);
    for header in [
        "C (wt.%),Mn (wt.%)",
        "wt% C,wt% Mn",
        "C_wt,Mn_wt",
        "C mass%,Mn mass%",
        "C [mass %],Mn [mass %]",
        "C 质量分数,Mn 质量分数",
    ] {
        assert_eq!(amounts(&steel(), &format!("{header}\n0.4,0.8\n")).0, "C 0.4, Mn 0.8", "{header}");
        assert_eq!(amounts(&steel(), &format!("{header}\n0.4,0.8\n")).1, weight, "{header}");
    }
    assert_eq!(amounts(&steel(), "C (%),AlT\n0.4,0.02\n").0, "C 0.4, Al 0.02");
    assert_eq!(amounts(&steel(), "Carbon,manganese\n0.4,0.8\n").0, "C 0.4, Mn 0.8");
    let (words, basis, notes) = amounts(&steel(), "C (wt%),N_ppm\n0.4,200\n");
    assert_eq!((words.as_str(), basis), ("C 0.4, N 0.02", weight));
    assert_eq!(notes, ["N_ppm: ppm became percent"]);
    let (_, basis, notes) = amounts(&steel(), "C (at%),Mn\n0.4,0.8\n");
    assert_eq!(basis, Some(Basis::AtomicPercent));
    assert!(notes[0].contains("amounts without a unit, such as Mn, were read as at%"), "{notes:?}");
    assert!(refused(&steel(), "C (at%),Mn (wt%)\n0.4,0.8\n").contains("give all amounts on one basis"));
}

#[test]
fn small_letters_and_capitals_are_read_where_all_are() {
    assert_eq!(amounts(&steel(), "c,si,mn,cr\n0.2,0.3,0.8,1\n").0, "C 0.2, Si 0.3, Mn 0.8, Cr 1");
    assert_eq!(amounts(&steel(), "C,SI,MN,CR\n0.2,0.3,0.8,1\n").0, "C 0.2, Si 0.3, Mn 0.8, Cr 1");
    for (header, pointer) in [("C,Si,MO", "/MO"), ("C,Si,v", "/v"), ("C,SI,Mn", "/SI"), ("C,Si,cr", "/cr")] {
        let words = refused(&steel(), &format!("{header}\n0.2,0.3,0.8\n"));
        assert!(words.starts_with(&format!("{pointer}: looks like the element")), "{words}");
    }
    let (layout, ..) = read(&steel(), "id,C,in,at,RA,n\n1,0.4,1,1,1,1\n").unwrap_err().pop().map_or_else(
        || read(&steel(), "id,C\n1,0.4\n").unwrap(),
        |violation| {
            // N was seen in training, so `n` may mean nitrogen.
            assert_eq!(violation.pointer, "/n");
            read(&steel(), "id,C,in,at,RA\n1,0.4,1,1,1\n").unwrap()
        },
    );
    assert_eq!(layout.others().count(), 4);
}

#[test]
fn what_looks_like_an_input_is_never_passed_over() {
    for (header, words) in [
        ("C,Als", "looks like an amount of Al"),
        ("C,Mn (Min)", "looks like an amount of Mn"),
        ("C,Nb + Ta", "looks like the sum of Nb and Ta"),
        ("C,Tempering temp", "looks like tempering_temperature"),
        ("C,temperingtemperatur", "looks like tempering_temperature"),
    ] {
        let text = format!("{header}\n0.4,0.8\n");
        assert!(refused(&steel(), &text).contains(words), "{}", refused(&steel(), &text));
        let name = header.split_once(',').unwrap().1.to_owned();
        let mapping = Mapping { columns: vec![(name, "other".into())], values: Vec::new() };
        assert!(read_mapped(&steel(), &text, &mapping).is_ok());
    }
    let mapping = Mapping { columns: vec![("Nb + Ta".into(), "Nb".into())], values: vec![("TT".into(), "650".into())] };
    let (_, samples, _) = read_mapped(&steel(), "C,Nb + Ta\n0.4,0.3\n", &mapping).unwrap();
    let sample = samples[0].clone().unwrap();
    assert_eq!(sample.composition, Some(RawComposition::Amounts(vec![("C".into(), 0.4), ("Nb".into(), 0.3)])));
    assert_eq!(sample.processing[0].1, RawValue::Number(650.0));
    let wrong = Mapping {
        columns: vec![("X".into(), "Al".into()), ("C".into(), "Q".into())],
        values: vec![("C".into(), "x".into())],
    };
    assert_eq!(read_mapped(&steel(), "C\n0.4\n", &wrong).unwrap_err().len(), 4);
}

#[test]
fn elements_beside_a_formula_are_something_else() {
    let text = "formula,Tg,Tx,Tm,Dmax\nZr65Al7.5Ni10Cu17.5,625,750,1100,16\n";
    let (words, _, notes) = amounts(&glass(), text);
    assert_eq!(words, "Zr65Al7.5Ni10Cu17.5");
    assert_eq!(notes, ["columns named like elements beside a formula were not read as amounts: Tm"]);
    let text = "Alloy Formula,Hf,Tm,K\nZr65Al7.5Ni10Cu17.5,0.2,0.4,0.1\n";
    assert_eq!(amounts(&glass(), text).0, "Zr65Al7.5Ni10Cu17.5");
    let (_, samples, _) = read(&glass(), "formula,Zr,Cu\nCu60Zr40,10,90\nCu60Zr40,40,60\nCu60Zr40,0.4,0.6\n").unwrap();
    let pointers: Vec<_> = samples[0].as_ref().unwrap_err().iter().map(|found| found.pointer.as_str()).collect();
    assert_eq!(pointers, ["/Zr", "/Cu"]);
    assert!(samples[1].is_ok() && samples[2].is_ok());
    let words = refused(&glass(), "Hf,Tm,K\n0.2,1100,210\n");
    assert!(words.contains("/Tm: read as the amount of Tm, but 1100 is no percentage"), "{words}");
    assert_eq!(amounts(&glass(), "Alloy,formula\nA-1,Cu60Zr40\n").0, "Cu60Zr40");
}

#[test]
fn what_is_missing_is_said_once_with_what_looks_like_it() {
    let mut schema = steel();
    schema.processing = vec![parameter("test_temperature", "temperature", "°C", None)];
    let words = refused(&schema, "heat,C,Temperature of test (°C)\nA1,0.12,27\nA2,0.15,100\n");
    assert!(words.contains("looks like"), "{words}");
    let words = refused(&schema, "heat,C,T (°C)\nA1,0.12,27\n");
    assert!(words.starts_with("/test_temperature: is missing (a number in °C); \"T (°C)\" looks like it"), "{words}");
    let words = refused(&schema, "heat,C\nA1,0.12\n");
    assert!(words.contains("--set test_temperature=…"), "{words}");
    assert!(refused(&schema, "C,C,temperature\n1,1,1\n").contains("/C: the column is there twice"));
    assert!(refused(&schema, "C,temperature,test_temperature\n1,1,1\n").contains("means the same as the column"));
    assert!(refused(&schema, "heat,temperature\n1,1\n").contains("no column states a composition"));
    assert!(refused(&schema, "C,temperature (HRC)\n1,1\n").contains("HRC is not a unit"));
}

#[test]
fn cells_are_read_and_choices_counted() {
    let text = "Fe,C,Si,Mn,N,TT\nBal.,0.4,<0.02,-,n.d.,600\nrest,0.12%,0.2,0.5,,\"1,100\"\nbal,0.1-0.2,x,1,1,1\n";
    let (_, samples, notes) = read(&steel(), text).unwrap();
    let first = samples[0].clone().unwrap();
    assert_eq!(first.composition, Some(RawComposition::Amounts(vec![("C".into(), 0.4), ("Si".into(), 0.01)])));
    assert_eq!(samples[1].as_ref().unwrap().processing[0].1, RawValue::Number(1100.0));
    let details: Vec<_> = samples[2].as_ref().unwrap_err().iter().map(|found| found.detail.as_str()).collect();
    assert_eq!(details, ["\"0.1-0.2\" is a range: give one value", "\"x\" is not a number"]);
    assert_eq!(notes.len(), 8, "{notes:#?}");
    assert!(
        notes.contains(&"Si: below a limit (\"<\"): half of the limit was taken (1 cell)".to_owned()),
        "{notes:#?}"
    );
}
