//! `mcvn featurize` of tables and formulas as people have them.

use std::process::{Command, Output};

fn featurize(arguments: &[&str]) -> Output {
    Command::new(env!("CARGO_BIN_EXE_mcvn")).arg("featurize").args(arguments).output().unwrap()
}

/// Standard error, and the first descriptors of each row.
fn table(text: &str) -> (bool, String, Vec<String>) {
    let folder = tempfile::tempdir().unwrap();
    let (input, output) = (folder.path().join("in.csv"), folder.path().join("out.csv"));
    std::fs::write(&input, text).unwrap();
    let run = featurize(&["--csv", input.to_str().unwrap(), "--output", output.to_str().unwrap()]);
    let rows = std::fs::read_to_string(&output).unwrap_or_default();
    (run.status.success(), String::from_utf8(run.stderr).unwrap(), rows.lines().skip(1).map(str::to_owned).collect())
}

#[test]
fn tables_are_read_or_refused_in_words() {
    let (_, _, plain) = table("formula\nCe70Al10Cu19Zn1\n");
    let (ok, said, rows) = table("id,Alloy Formula,Hf,Tm,K\n1,Ce70Al10Cu19Zn1,0.0038,0.0998,0.215\n");
    assert!(ok && said.contains("were not read as amounts: Hf, Tm, K"), "{said}");
    assert_eq!(rows, plain);
    for (text, words) in [
        ("id,formula,Zr,Cu\n1,Cu60Zr40,10,90\n", "line 2: Zr: both a formula and amounts are given"),
        ("id,C,SI,Mn,cr,Fe\n1,0.4,0.25,0.8,1.0,97.5\n", "SI: looks like the element Si"),
        ("id,formula\r\n1,Cu60Zr40\r\n2,Zr60(Cu40\r\n", "line 3: the bracket at character 5"),
        ("a,b\n1,2\n", "no column states a composition; ".trim_end_matches("; ")),
    ] {
        let (ok, said, rows) = table(text);
        assert!(!ok && said.contains(words), "{said}");
        assert!(rows.is_empty(), "nothing is half written");
    }
}

#[test]
fn a_formula_is_repeated_as_it_was_understood() {
    let run = featurize(&["Al(NiB)2", "--format", "csv"]);
    let (said, out) = (String::from_utf8(run.stderr).unwrap(), String::from_utf8(run.stdout).unwrap());
    assert!(said.contains("multiplies, as in chemistry") && said.contains("read as B 40.0000, Al 20.0000"), "{said}");
    let mean: f64 = out.lines().find_map(|line| line.strip_prefix("ave:atomic_number,")).unwrap().parse().unwrap();
    assert!((mean - 15.8).abs() < 1e-9, "{mean}");
    let json: serde_json::Value = serde_json::from_slice(&featurize(&["Cu60Zr40"]).stdout).unwrap();
    assert_eq!(json["composition"]["atomic_percent"], serde_json::json!({"Cu": 60.0, "Zr": 40.0}));
    for text in ["NaN", "42CrMo4"] {
        assert!(!featurize(&[text]).status.success(), "{text}");
    }
}
