//! Amounts that were not measured: estimated, said, the same at every door; and what is too small or too near to matter.

use std::process::Command;

use serde_json::{Value, json};

use crate::support::{Lab, Server, pointers, shipped_models, tensile_steel};

/// A copy of the shipped tensile model that estimates amounts. The numbers are invented, of the size that low-alloy steels
/// have; aluminium and nitrogen go together.
fn estimating(lab: &Lab) {
    let model = shipped_models().join("steel-tensile");
    let version = std::fs::read_to_string(model.join("active")).unwrap().lines().next().unwrap().to_owned();
    let place = lab.folder.path().join("models/steel-tensile");
    crate::lifecycle::copy(&model.join(&version), &place.join("estimates"));
    std::fs::write(place.join("active"), "estimates\n").unwrap();
    let file = place.join("estimates/manifest.json");
    let mut manifest: Value = serde_json::from_str(&std::fs::read_to_string(&file).unwrap()).unwrap();
    manifest["version"] = json!("estimates");
    let typical = [
        ("C", 0.15),
        ("N", 0.008),
        ("Al", 0.008),
        ("Si", 0.3),
        ("P", 0.012),
        ("S", 0.01),
        ("V", 0.05),
        ("Cr", 0.5),
        ("Mn", 0.6),
        ("Ni", 0.1),
        ("Cu", 0.08),
        ("Mo", 0.4),
    ];
    let ranges = manifest["schema"]["composition"]["elements"].clone();
    let end = |symbol: &str, end: &str| {
        let range = ranges.as_array().unwrap().iter().find(|range| range["element"] == symbol).unwrap();
        range[end].as_f64().unwrap()
    };
    let element = |(symbol, amount): &(&str, f64)| {
        let (least, most) = (end(symbol, "min"), end(symbol, "max"));
        let offset = if least > 0.0 { 0.0 } else { 0.005 };
        json!({"element": symbol, "least": least, "most": most, "offset": offset, "mean": (amount + offset).ln()})
    };
    let covariance: Vec<f64> = (0..12)
        .flat_map(|row| (0..=row).map(move |column| (row, column)))
        .map(|place| match place {
            (2, 1) => 0.1,
            (row, column) if row == column => 0.2,
            _ => 0.0,
        })
        .collect();
    let own = &mut manifest["schema"]["composition"];
    own["amounts"] = json!({"elements": typical.iter().map(element).collect::<Vec<_>>(), "covariance": covariance});
    own["residuals"] = json!(["N", "Al", "Si", "P", "S", "Mn", "Cu"]);
    own["trace"] = json!(0.01);
    own["trace_effects"] = json!({"B": "raises the hardenability of steel"});
    manifest["schema"]["processing"][0]["tolerance"] = json!(10);
    std::fs::write(file, manifest.to_string()).unwrap();
}

async fn lab() -> (Lab, Server) {
    let lab = Lab::new();
    estimating(&lab);
    let server = Server::start_with(lab.config.clone()).await;
    (lab, server)
}

fn with(mut body: Value, amounts: &[(&str, Value)]) -> Value {
    for (symbol, amount) in amounts {
        body["composition"][*symbol] = amount.clone();
    }
    body
}

fn without(mut body: Value, symbols: &[&str]) -> Value {
    symbols.iter().for_each(|symbol| drop(body["composition"].as_object_mut().unwrap().remove(*symbol)));
    body
}

fn width(answer: &Value, property: &str) -> f64 {
    let interval = &answer["properties"][property]["interval"];
    interval[1].as_f64().unwrap() - interval[0].as_f64().unwrap()
}

#[tokio::test]
async fn what_was_not_measured_is_estimated_and_said() {
    let (_lab, server) = lab().await;
    let whole = server.answer("/predict/steel", &tensile_steel(300.0)).await;
    assert!(whole["assumed"].as_object().unwrap().is_empty(), "{whole:#}");
    // Residuals that are left out were not measured; vanadium is then absent, as people write compositions.
    let left_out = server.answer("/predict/steel", &without(tensile_steel(300.0), &["Al", "N", "V"])).await;
    assert_eq!(left_out["assumed"], json!({"N": 0.008, "Al": 0.008}), "{left_out:#}");
    let said = left_out["warnings"].to_string();
    assert!(said.contains("N, Al were not measured: estimated from the training rows"), "{said}");
    assert_eq!(left_out["in_domain"], whole["in_domain"]);
    for property in ["yield_strength", "tensile_strength", "elongation", "reduction_of_area"] {
        let own = &left_out["properties"][property];
        let (value, interval) = (own["value"].as_f64().unwrap(), &own["interval"]);
        assert!(interval[0].as_f64().unwrap() <= value && value <= interval[1].as_f64().unwrap(), "{own}");
    }
    assert!(width(&left_out, "yield_strength") > width(&whole, "yield_strength"));
    // Saying so comes to the same, in whatever words and order.
    for (nitrogen, aluminium) in [(json!(null), json!("n.m.")), (json!("not measured"), json!("nicht bestimmt"))] {
        let body = with(tensile_steel(300.0), &[("Al", aluminium), ("N", nitrogen)]);
        assert_eq!(server.answer("/predict/steel", &body).await, left_out);
    }
    // What goes together is estimated together.
    let much = without(with(tensile_steel(300.0), &[("Al", json!(0.04))]), &["N"]);
    let much = server.answer("/predict/steel", &much).await;
    assert!(much["assumed"]["N"].as_f64() > Some(0.01), "{much:#}");
    // An alloying element must be said not to be measured.
    let unknown = server.answer("/predict/steel", &with(tensile_steel(300.0), &[("Mo", json!(null))])).await;
    assert!(unknown["assumed"]["Mo"].as_f64() > Some(0.1), "{unknown:#}");
    assert!(width(&unknown, "yield_strength") > width(&left_out, "yield_strength"));
    // Iron is the rest, also where it is said to be unknown.
    let echoed = server
        .answer("/predict/steel?echo=true", &with(tensile_steel(300.0), &[("Fe", json!(null)), ("N", json!(null))]))
        .await;
    let iron = echoed["composition"]["weight_percent"]["Fe"].as_f64().unwrap();
    let nitrogen = echoed["assumed"]["N"].as_f64().unwrap();
    assert!((iron - (100.0 - 2.68 - nitrogen)).abs() < 1e-3, "{iron}");
}

#[tokio::test]
async fn every_door_gives_the_same_numbers() {
    let (lab, server) = lab().await;
    let body = with(without(tensile_steel(300.0), &["Al"]), &[("N", json!(null)), ("Mo", json!(null))]);
    let mut alone = server.answer("/predict/steel", &body).await;
    alone.as_object_mut().unwrap().remove("model");
    let sample = {
        let mut sample = body.clone();
        sample.as_object_mut().unwrap().remove("model");
        sample
    };
    let others = tensile_steel(100.0);
    let list = json!({"model": "steel-tensile", "samples": [
        sample, {"composition": others["composition"], "processing": others["processing"]}, sample,
    ]});
    let many = server.answer("/predict/steel", &list).await;
    assert_eq!((&many["predictions"][0], &many["predictions"][2]), (&alone, &alone));
    let line =
        server.post_raw("/predict/steel?model=steel-tensile", "application/x-ndjson", format!("{sample}\n")).await;
    let mut line: Value = serde_json::from_str(&line.text().await.unwrap()).unwrap();
    line.as_object_mut().unwrap().remove("model");
    assert_eq!(line, alone);
    // No column for aluminium, an empty cell for nitrogen, a word for molybdenum.
    let table = "C,Si,Mn,P,S,Ni,Cr,Mo,Cu,V,N,test_temperature\n0.15,0.3,0.5,0.01,0.01,0.1,1,n.d.,0.1,0,,300\n";
    let response = server.post_raw("/predict/steel?model=steel-tensile", "text/csv", table).await;
    let notes = response.headers()["mcvn-notes"].to_str().unwrap().to_owned();
    assert!(notes.contains("N: not measured, estimated from the other amounts"), "{notes}");
    let text = response.text().await.unwrap();
    let rows: Vec<Vec<&str>> = text.lines().map(|line| line.split(',').collect()).collect();
    let cell = |name: &str| rows[1][rows[0].iter().position(|own| *own == name).unwrap()];
    let cells = |column: &str| cell(column).parse::<f64>().unwrap();
    for (name, own) in alone["properties"].as_object().unwrap() {
        assert_eq!(own["value"].as_f64().unwrap(), cells(name), "{name}");
        assert_eq!(own["interval"][0].as_f64().unwrap(), cells(&format!("{name}_low")), "{name}");
    }
    let assumed = alone["assumed"].as_object().unwrap();
    assert!(assumed.iter().all(|(name, amount)| cell("assumed").contains(&format!("{name}={amount}"))), "{text}");
    assert_eq!(cell("in_domain"), alone["in_domain"].to_string());
    // The command line answers alike.
    let at = |name: &str| lab.folder.path().join(name);
    std::fs::write(at("in.csv"), table).unwrap();
    let mut command = Command::new(env!("CARGO_BIN_EXE_mcvn"));
    command.args(["predict", "--model", "steel-tensile", "--device", "cpu", "--models-dir"]).arg(at("models"));
    let output = command.arg("--input").arg(at("in.csv")).arg("--output").arg(at("out.csv")).output().unwrap();
    assert!(output.status.success(), "{}", String::from_utf8_lossy(&output.stderr));
    let answered = std::fs::read_to_string(at("out.csv")).unwrap();
    let rows: Vec<Vec<&str>> = answered.lines().map(|line| line.split(',').collect()).collect();
    let at = rows[0].iter().position(|own| *own == "predicted_yield_strength").unwrap();
    assert_eq!(rows[1][at], cell("yield_strength"));
}

#[tokio::test]
async fn everyday_values_are_in_domain() {
    let (_lab, server) = lab().await;
    let usual = server.answer("/predict/steel", &tensile_steel(27.0)).await;
    assert_eq!(usual["in_domain"], true, "{usual:#}");
    for temperature in [20.0, 25.0] {
        assert_eq!(server.answer("/predict/steel", &tensile_steel(temperature)).await["in_domain"], true);
    }
    let cold = server.answer("/predict/steel", &tensile_steel(10.0)).await;
    assert!(cold["reasons"].to_string().contains("test_temperature 10 is outside"), "{cold:#}");
    // Traces of what the data lacks are ignored, and said; what they do all the same is said, too.
    let traces = with(tensile_steel(27.0), &[("B", json!(0.002)), ("Ti", json!(0.002))]);
    let answer = server.answer("/predict/steel", &traces).await;
    assert_eq!((&answer["in_domain"], &answer["properties"]), (&json!(true), &usual["properties"]), "{answer:#}");
    let said = answer["warnings"].to_string();
    for words in
        ["ignored: B 0.002 wt%, Ti 0.002 wt%, never seen in training", "taken as Fe", "B: raises the hardenability"]
    {
        assert!(said.contains(words), "{said}");
    }
    let more = server.answer("/predict/steel", &with(tensile_steel(27.0), &[("Ti", json!(0.02))])).await;
    assert!(more["reasons"].to_string().contains("Ti (0.0200 wt%) was never seen"), "{more:#}");
    // A model says what it takes.
    let model: Value =
        server.client.get(format!("{}/models/steel-tensile", server.url)).send().await.unwrap().json().await.unwrap();
    assert_eq!((&model["composition"]["trace"], &model["processing"][0]["tolerance"]), (&json!(0.01), &json!(10.0)));
    assert!(model["composition"]["residuals"].as_array().unwrap().contains(&json!("N")));
}

#[tokio::test]
async fn what_cannot_be_estimated_is_refused() {
    let (_lab, server) = lab().await;
    let glass = json!({"composition": {"Cu": 60, "Zr": null}});
    let problem = Server::problem(server.post("/classify/glass", &glass).await).await;
    assert_eq!(pointers(&problem), ["/composition/Zr"], "{problem:#}");
    let twice = tensile_steel(27.0).to_string().replace("\"N\":0.008", "\"N\":0.008,\"N\":null");
    let problem = Server::problem(server.post_raw("/predict/steel", "application/json", twice).await).await;
    assert!(problem["errors"][0]["detail"].to_string().contains("twice"), "{problem:#}");
    let nothing = json!({"model": "steel-tensile", "composition": {"C": null}, "processing": {"test_temperature": 27}});
    let problem = Server::problem(server.post("/predict/steel", &nothing).await).await;
    assert_eq!(pointers(&problem), ["/composition"], "{problem:#}");
    // An element that the model has never seen: nothing is known of it, with or without a measurement.
    let answer = server.answer("/predict/steel", &with(tensile_steel(27.0), &[("W", json!(null))])).await;
    assert!(
        answer["warnings"].to_string().contains("W was not measured, and this model has never seen it"),
        "{answer:#}"
    );
}
