//! How far answers can be trusted: intervals, and what is outside of the models' experience.

use std::process::Command;

use serde_json::{Value, json};

use crate::support::{Server, pointers, shipped_models, steel_4140, tensile_steel};

fn with_confidence(mut body: Value, level: Value) -> Value {
    body["confidence"] = level;
    body
}

/// Value and interval of each property.
fn intervals(answer: &Value) -> Vec<(f64, [f64; 2])> {
    let properties = answer["properties"].as_object().unwrap();
    let number = |value: &Value| value.as_f64().unwrap();
    let ends = |property: &Value| [number(&property["interval"][0]), number(&property["interval"][1])];
    properties.values().map(|property| (number(&property["value"]), ends(property))).collect()
}

#[tokio::test]
async fn intervals_hold_their_value_and_grow_with_confidence() {
    let server = Server::start().await;
    for steel in [steel_4140(), tensile_steel(27.0), tensile_steel(650.0)] {
        let usual = server.answer("/predict/steel", &steel).await;
        assert_eq!(usual["confidence"], 0.9);
        let mut last: Option<Value> = None;
        for level in [0.5, 0.555, 0.8, 0.9, 0.95, 0.99] {
            let answer = server.answer("/predict/steel", &with_confidence(steel.clone(), json!(level))).await;
            assert_eq!(answer["confidence"], level);
            for (value, [low, high]) in intervals(&answer) {
                assert!(0.0 <= low && low <= value && value <= high && low < high, "{answer:#}");
            }
            for (property, unit) in [("elongation", "%"), ("reduction_of_area", "%")] {
                let property = &answer["properties"][property];
                assert!(
                    property.is_null() || property["unit"] == unit && property["interval"][1].as_f64() <= Some(100.0)
                );
            }
            for (inner, outer) in last.iter().flat_map(intervals).zip(intervals(&answer)) {
                assert_eq!(inner.0, outer.0, "the value does not depend on the confidence");
                assert!(outer.1[0] <= inner.1[0] && inner.1[1] <= outer.1[1], "{inner:?} {outer:?}");
            }
            if level == 0.9 {
                assert_eq!(answer, usual);
            }
            last = Some(answer);
        }
    }
}

#[tokio::test]
async fn the_confidence_of_the_body_goes_before_that_of_the_query() {
    let server = Server::start().await;
    let path = "/predict/steel?confidence=0.6";
    assert_eq!(server.answer(path, &steel_4140()).await["confidence"], 0.6);
    assert_eq!(server.answer(path, &with_confidence(steel_4140(), Value::Null)).await["confidence"], 0.6);
    assert_eq!(server.answer(path, &with_confidence(steel_4140(), json!(0.7))).await["confidence"], 0.7);
    let list = json!({"confidence": 0.8, "samples": [steel_4140(), steel_4140()]});
    let many = server.answer("/predict/steel", &list).await;
    let mut alone = server.answer("/predict/steel", &with_confidence(steel_4140(), json!(0.8))).await;
    alone.as_object_mut().unwrap().remove("model");
    for prediction in many["predictions"].as_array().unwrap() {
        assert_eq!(*prediction, alone);
    }
}

#[tokio::test]
async fn a_confidence_that_cannot_be_is_named() {
    let server = Server::start().await;
    for level in [json!(0.49), json!(0.995), json!(90), json!(-1), json!("0.9"), json!(true), json!([0.9]), json!({})] {
        for body in
            [with_confidence(steel_4140(), level.clone()), json!({"confidence": level, "samples": [steel_4140()]})]
        {
            let problem = Server::problem(server.post("/predict/steel", &body).await).await;
            assert_eq!((&problem["status"], &problem["code"]), (&json!(422), &json!("invalid_sample")), "{level}");
            assert_eq!(pointers(&problem), ["/confidence"], "{level}");
            assert_eq!(problem["errors"][0]["detail"], "must be a number from 0.5 to 0.99");
        }
    }
    // A complaint among others.
    let mut body = with_confidence(steel_4140(), json!("high"));
    body["composition"]["Xx"] = json!(1);
    let problem = Server::problem(server.post("/predict/steel", &body).await).await;
    assert_eq!(pointers(&problem), ["/confidence", "/composition/Xx"]);
    // Beyond a double, and not JSON at all.
    for (literal, status) in [("1e999", 422), ("NaN", 400)] {
        let body = with_confidence(steel_4140(), json!(0.75)).to_string().replace("0.75", literal);
        let response = server.post_raw("/predict/steel", "application/json", body).await;
        assert_eq!(response.status(), status, "{literal}");
    }
    let table = "C,Cr,test_temperature\n0.1,1,300\n";
    for level in ["1", "NaN", "", "high", "0.9%25"] {
        let path = format!("/predict/steel?model=steel-tensile&confidence={level}");
        let problem = Server::problem(server.post_raw(&path, "text/csv", table).await).await;
        assert_eq!((&problem["code"], pointers(&problem)), (&json!("invalid_sample"), vec!["/confidence"]), "{level}");
        let problem = Server::problem(server.post(&path, &tensile_steel(27.0)).await).await;
        assert_eq!(pointers(&problem), ["/confidence"], "{level}");
    }
}

#[tokio::test]
async fn a_classifier_has_no_intervals() {
    let server = Server::start().await;
    let glass = json!({"composition": "Cu60Zr40"});
    let answer = server.answer("/classify/glass", &glass).await;
    assert!(answer["confidence"].is_null() && answer["novelty_percentile"].as_u64() <= Some(100));
    let csv = server.post_raw("/classify/glass?confidence=0.9", "text/csv", "formula\nCu60Zr40\n").await;
    let query = server.post("/classify/glass?confidence=0.9", &glass).await;
    let body = server.post("/classify/glass", &with_confidence(glass, json!(0.9))).await;
    for response in [csv, query, body] {
        let problem = Server::problem(response).await;
        assert_eq!((&problem["status"], pointers(&problem)), (&json!(422), vec!["/confidence"]));
        assert_eq!(problem["errors"][0]["detail"], "a classifier gives probabilities, not intervals");
    }
}

#[tokio::test]
async fn tables_have_columns_for_intervals_and_novelty() {
    let server = Server::start().await;
    let steel = &tensile_steel(27.0)["composition"];
    let (mut header, mut row) = (String::new(), String::new());
    for (symbol, amount) in steel.as_object().unwrap() {
        header += &format!("{symbol},");
        row += &format!("{amount},");
    }
    let text = format!("{header}test_temperature\n{row}27\n{row}-300\n");
    let path = "/predict/steel?model=steel-tensile&confidence=0.8";
    let response = server.post_raw(path, "text/csv", text).await;
    assert_eq!(response.status(), 200);
    let text = response.text().await.unwrap();
    let mut reader = csv::Reader::from_reader(text.as_bytes());
    let headers: Vec<String> = reader.headers().unwrap().iter().map(str::to_owned).collect();
    let wanted = ["yield_strength", "yield_strength_low", "yield_strength_high", "tensile_strength"];
    assert_eq!(headers[..4], wanted);
    let rows: Vec<csv::StringRecord> = reader.records().collect::<Result<_, _>>().unwrap();
    let cell = |row: usize, name: &str| &rows[row][headers.iter().position(|header| header == name).unwrap()];
    let alone = server.answer("/predict/steel", &with_confidence(tensile_steel(27.0), json!(0.8))).await;
    for (name, property) in alone["properties"].as_object().unwrap() {
        for (column, value) in [
            (name.clone(), &property["value"]),
            (format!("{name}_low"), &property["interval"][0]),
            (format!("{name}_high"), &property["interval"][1]),
        ] {
            assert_eq!(json!(cell(0, &column).parse::<f64>().unwrap()), *value, "{column}");
            assert_eq!(cell(1, &column), "");
        }
    }
    assert_eq!((cell(0, "confidence"), cell(0, "in_domain"), cell(1, "confidence")), ("0.8", "true", ""));
    assert_eq!(cell(0, "novelty_percentile"), alone["novelty_percentile"].to_string());
    assert!(cell(1, "error").contains("not physical"), "{}", cell(1, "error"));
}

#[tokio::test]
async fn an_ordinary_steel_is_in_domain_and_foreign_alloys_are_not() {
    let server = Server::start().await;
    let ordinary = server.answer("/predict/steel", &steel_4140()).await;
    assert_eq!((&ordinary["in_domain"], &ordinary["reasons"]), (&json!(true), &Value::Null), "{ordinary:#}");
    assert!(ordinary["novelty_percentile"].as_u64().unwrap() < 100);
    let foreign = [
        ("stainless 304", json!({"C": 0.05, "Cr": 18.5, "Ni": 9.0, "Mn": 1.2, "Si": 0.5}), "Cr"),
        ("tool steel D2", json!({"C": 1.5, "Cr": 12.0, "Mo": 0.8, "V": 0.9}), "C"),
        ("grey cast iron", json!({"C": 3.3, "Si": 2.1, "Mn": 0.6}), "C"),
    ];
    for model in ["steel-fatigue", "steel-tensile"] {
        for (name, composition, element) in &foreign {
            let mut body = if model == "steel-fatigue" { steel_4140() } else { tensile_steel(27.0) };
            body["composition"] = composition.clone();
            let answer = server.answer("/predict/steel", &body).await;
            assert_eq!((&answer["model"]["name"], &answer["in_domain"]), (&json!(model), &json!(false)), "{name}");
            let reasons: Vec<&str> =
                answer["reasons"].as_array().unwrap().iter().map(|r| r.as_str().unwrap()).collect();
            let word = format!("{element} ");
            assert!(reasons.iter().any(|reason| reason.starts_with(&word)), "{name}: {reasons:?}");
            // Not by a hair beyond a range only: by distance too.
            assert!(reasons.iter().any(|reason| reason.starts_with("unlike the training data")), "{name}: {reasons:?}");
            assert_eq!(answer["novelty_percentile"], 100, "{name}");
        }
    }
    let salt = server.answer("/classify/glass", &json!({"composition": "NaCl"})).await;
    // Sodium and chlorine are no features of the model: how far off they are, it cannot tell.
    assert_eq!((&salt["in_domain"], &salt["novelty_percentile"]), (&json!(false), &Value::Null), "{salt:#}");
    assert!(salt["reasons"].to_string().contains("Cl (50.0000 at%) was never seen in training"), "{salt:#}");
}

#[tokio::test]
async fn the_metric_counts_by_what_the_answers_say() {
    let server = Server::start().await;
    let formulas = ["Cu60Zr40", "NaCl", "Pb20Ga20Si20La20Mg20", "Zr41.2Ti13.8Cu12.5Ni10Be22.5"];
    let samples: Vec<Value> = formulas.iter().map(|formula| json!({ "composition": formula })).collect();
    let many = server.answer("/classify/glass", &json!({ "samples": samples })).await;
    let answers = many["predictions"].as_array().unwrap();
    let inside = answers.iter().filter(|answer| answer["in_domain"] == true).count();
    assert!((2..=3).contains(&inside), "{many:#}");
    // The same once more as a table.
    let response = server.post_raw("/classify/glass", "text/csv", format!("formula\n{}\n", formulas.join("\n"))).await;
    assert_eq!(response.status(), 200);
    let metrics = server.get("/metrics").await.text().await.unwrap();
    for (label, count) in [(true, 2 * inside), (false, 2 * (4 - inside))] {
        let line = format!("mcvn_predictions_total{{model=\"glass\",in_domain=\"{label}\"}} {count}");
        assert!(metrics.contains(&line), "{line} is not in\n{metrics}");
    }
}

#[tokio::test]
async fn a_model_tells_its_calibration() {
    let server = Server::start().await;
    let model: Value = server.get("/models/steel-fatigue").await.json().await.unwrap();
    let calibration = &model["calibration"];
    assert!(calibration["protocol"] == "grouped" && calibration["folds"].as_u64() >= Some(2), "{calibration:#}");
    assert_eq!(calibration["intervals"]["confidence"], 0.9);
    let answer = server.answer("/predict/steel", &steel_4140()).await;
    for (name, property) in answer["properties"].as_object().unwrap() {
        let half_width = calibration["intervals"]["half_widths"][name].as_f64().unwrap();
        let width = property["interval"][1].as_f64().unwrap() - property["interval"][0].as_f64().unwrap();
        match calibration["intervals"]["adaptive"].as_bool().unwrap() {
            true => assert!((0.3..3.0).contains(&(width / 2.0 / half_width)), "{name}: {width}"),
            false => assert!((width / 2.0 - half_width).abs() < 0.002, "{name}"),
        }
    }
    let glass: Value = server.get("/models/glass").await.json().await.unwrap();
    let probabilities = &glass["calibration"]["probabilities"];
    assert!(probabilities["temperature"].as_f64() > Some(0.0) && glass["calibration"]["intervals"].is_null());
    for score in ["log_loss", "expected_calibration_error"] {
        assert!(probabilities[score]["before"].is_number() && probabilities[score]["after"].is_number(), "{score}");
    }
}

#[test]
fn the_command_line_gives_the_same_intervals() {
    let folder = tempfile::tempdir().unwrap();
    let (input, output) = (folder.path().join("in.csv"), folder.path().join("out.csv"));
    std::fs::write(&input, "heat,C,Cr,test_temperature\nH1,0.1,1,300\nH2,0.1,1,hot\n").unwrap();
    let bundle = |model: &str| {
        let active = std::fs::read_to_string(shipped_models().join(model).join("active")).unwrap();
        shipped_models().join(model).join(active.lines().next().unwrap())
    };
    let predict = |model: &str, confidence: &str| {
        let mut command = Command::new(env!("CARGO_BIN_EXE_mcvn"));
        command.arg("predict").arg("--bundle").arg(bundle(model)).arg("--input").arg(&input);
        command.arg("--output").arg(&output).args(["--confidence", confidence, "--device", "cpu"]).output().unwrap()
    };
    let run = predict("steel-tensile", "0.8");
    assert!(run.status.success(), "{}", String::from_utf8_lossy(&run.stderr));
    let mut reader = csv::Reader::from_path(&output).unwrap();
    let headers = reader.headers().unwrap().clone();
    let rows: Vec<csv::StringRecord> = reader.records().collect::<Result<_, _>>().unwrap();
    let cell = |row: usize, name: &str| &rows[row][headers.iter().position(|header| header == name).unwrap()];
    let number = |name: &str| cell(0, name).parse::<f64>().unwrap();
    for target in ["yield_strength", "tensile_strength", "elongation", "reduction_of_area"] {
        let [value, low, high] = ["", "_low", "_high"].map(|end| number(&format!("predicted_{target}{end}")));
        assert!(0.0 <= low && low < value && value < high, "{target}");
    }
    assert_eq!((cell(0, "confidence"), cell(0, "error"), cell(0, "heat")), ("0.8", "", "H1"));
    assert!(cell(1, "predicted_elongation_low").is_empty() && cell(1, "error").contains("test_temperature"));
    for (model, confidence) in [("steel-tensile", "0.2"), ("steel-tensile", "high"), ("glass", "0.9")] {
        assert!(!predict(model, confidence).status.success(), "{model} {confidence}");
    }
}

#[test]
fn the_sanity_page_is_of_the_shipped_models() {
    let mut command = Command::new(env!("CARGO_BIN_EXE_mcvn"));
    let output = command.args(["sanity", "--device", "cpu", "--models-dir"]).arg(shipped_models()).output().unwrap();
    assert!(output.status.success(), "{}", String::from_utf8_lossy(&output.stderr));
    let page = String::from_utf8(output.stdout).unwrap();
    let checked_in = include_str!("../../docs/sanity.md");
    let headings =
        |page: &str| page.lines().filter(|line| line.starts_with('#')).map(str::to_owned).collect::<Vec<_>>();
    // Headings name the models' versions; last digits may differ between processors.
    assert_eq!(headings(&page), headings(checked_in), "run: mcvn sanity > docs/sanity.md");
    assert!(page.contains("S45C") && page.contains("2.25Cr-1Mo") && page.contains("trends agree"), "{page}");
}

#[tokio::test]
async fn an_answer_names_the_measured_samples_it_leans_on() {
    let server = Server::start().await;
    let answer = server.answer("/predict/steel", &steel_4140()).await;
    let references = answer["references"].as_array().unwrap();
    assert!((1..=3).contains(&references.len()), "{answer:#}");
    let weights: Vec<f64> = references.iter().map(|own| own["weight"].as_f64().unwrap()).collect();
    assert!(weights.windows(2).all(|pair| pair[0] >= pair[1]) && weights.iter().sum::<f64>() <= 1.0, "{answer:#}");
    for own in references {
        assert!(own["group"].is_string() && own["line"].as_u64() > Some(1), "{answer:#}");
    }
}
