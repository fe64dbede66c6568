//! What a lab asks, and what it gets.

use serde_json::{Value, json};

use crate::support::{Server, steel_4140, tensile_steel};

fn value(answer: &Value, property: &str) -> f64 {
    answer["properties"][property]["value"].as_f64().unwrap()
}

#[tokio::test]
async fn a_4140_steel_gets_sensible_numbers() {
    let server = Server::start().await;
    let answer = server.answer("/predict/steel", &steel_4140()).await;
    assert_eq!(answer["model"]["name"], "steel-fatigue");
    assert!(answer["model"]["version"].as_str().unwrap().len() >= 5);
    // Handbook values of 4140 tempered at 600 °C: tensile strength near 1000 MPa, 300 to 330 HV, a fatigue
    // limit near half the tensile strength.
    let tensile = value(&answer, "tensile_strength");
    assert!((900.0..1150.0).contains(&tensile), "{tensile}");
    assert!((270.0..370.0).contains(&value(&answer, "hardness")));
    assert!((0.4..0.6).contains(&(value(&answer, "fatigue_strength") / tensile)));
    assert!(value(&answer, "fracture_strength") > tensile);
    assert_eq!(answer["properties"]["hardness"]["unit"], "HV");
    assert_eq!((&answer["in_domain"], &answer["assumed"], &answer["warnings"]), (&json!(true), &json!({}), &json!([])));
}

#[tokio::test]
async fn tempering_softens() {
    let server = Server::start().await;
    let mut strengths = Vec::new();
    for temperature in [550, 600, 650] {
        let mut steel = steel_4140();
        steel["processing"]["tempering_temperature"] = json!(temperature);
        strengths.push(value(&server.answer("/predict/steel", &steel).await, "tensile_strength"));
    }
    assert!(strengths.is_sorted_by(|a, b| a > b), "{strengths:?}");
}

#[tokio::test]
async fn what_is_not_given_is_assumed_and_said() {
    let server = Server::start().await;
    let mut steel = steel_4140();
    for name in ["reduction_ratio", "inclusions_da", "inclusions_db", "inclusions_dc"] {
        steel["processing"].as_object_mut().unwrap().remove(name);
    }
    let answer = server.answer("/predict/steel", &steel).await;
    let assumed = answer["assumed"].as_object().unwrap();
    assert_eq!(assumed.len(), 4);
    // The assumed values are those of the model's page, and sending them changes nothing but the list.
    let page: Value = server.get("/models/steel-fatigue").await.json().await.unwrap();
    for parameter in page["processing"].as_array().unwrap().iter().filter(|p| p["required"] == false) {
        assert_eq!(assumed[parameter["name"].as_str().unwrap()], parameter["default"]);
        steel["processing"][parameter["name"].as_str().unwrap()] = parameter["default"].clone();
    }
    let same = server.answer("/predict/steel", &steel).await;
    assert_eq!(same["properties"], answer["properties"]);
    assert_eq!(same["assumed"], json!({}));
}

#[tokio::test]
async fn another_model_of_the_route() {
    let server = Server::start().await;
    let cold = server.answer("/predict/steel", &tensile_steel(27.0)).await;
    let hot = server.answer("/predict/steel", &tensile_steel(600.0)).await;
    assert_eq!(cold["model"]["name"], "steel-tensile");
    assert!(value(&hot, "tensile_strength") < value(&cold, "tensile_strength"));
    assert!(value(&cold, "yield_strength") < value(&cold, "tensile_strength"));
    assert_eq!(cold["properties"]["elongation"]["unit"], "%");
}

#[tokio::test]
async fn outside_the_training_range_is_answered_with_reasons() {
    let server = Server::start().await;
    let mut steel = steel_4140();
    steel["composition"] = json!({"C": 0.06, "Cr": 18.2, "Ni": 8.5, "Mn": 1.5, "Ti": 0.3});
    steel["processing"]["tempering_temperature"] = json!(20);
    let answer = server.answer("/predict/steel", &steel).await;
    assert_eq!(answer["in_domain"], false);
    let reasons = answer["reasons"].to_string();
    for word in ["Ti", "never seen", "Cr", "tempering_temperature 20"] {
        assert!(reasons.contains(word), "{reasons}");
    }
}

#[tokio::test]
async fn bases_and_formulas_mean_the_same_material() {
    let server = Server::start().await;
    let weight =
        json!({"C": 0.4, "Si": 0.25, "Mn": 0.8, "P": 0.02, "S": 0.02, "Ni": 0.1, "Cr": 1.0, "Cu": 0.1, "Mo": 0.2});
    let masses = [
        ("C", 12.011),
        ("Si", 28.085),
        ("Mn", 54.938044),
        ("P", 30.973761998),
        ("S", 32.06),
        ("Ni", 58.6934),
        ("Cr", 51.9961),
        ("Cu", 63.546),
        ("Mo", 95.95),
        ("Fe", 55.845),
    ];
    let mut moles: Vec<(&str, f64)> = Vec::new();
    let alloying: f64 = weight.as_object().unwrap().values().map(|amount| amount.as_f64().unwrap()).sum();
    for (symbol, mass) in masses {
        moles.push((symbol, weight[symbol].as_f64().unwrap_or(100.0 - alloying) / mass));
    }
    let total: f64 = moles.iter().map(|(_, moles)| moles).sum();
    let percent = moles.iter().map(|(symbol, moles)| ((*symbol).to_owned(), json!(moles / total * 100.0)));
    let atomic: serde_json::Map<String, Value> = percent.filter(|(symbol, _)| symbol != "Fe").collect();
    let formula: String = moles.iter().map(|(symbol, moles)| format!("{symbol}{:.12}", moles / total)).collect();

    let wanted = server.answer("/predict/steel", &steel_4140()).await;
    let mut by_atoms = steel_4140();
    by_atoms["composition"] = Value::Object(atomic);
    by_atoms["basis"] = json!("atomic_percent");
    let mut by_formula = steel_4140();
    by_formula["composition"] = json!(formula);
    for body in [by_atoms, by_formula] {
        let answer = server.answer("/predict/steel", &body).await;
        for property in ["fatigue_strength", "tensile_strength", "fracture_strength", "hardness"] {
            let difference = (value(&answer, property) - value(&wanted, property)).abs();
            assert!(difference < 0.01, "{property} differs by {difference}");
        }
    }
}

#[tokio::test]
async fn known_glasses_get_their_classes() {
    let server = Server::start().await;
    // Vitreloy 1 is the best-known bulk glass, Cu60Zr40 a classic ribbon; both are training rows.
    for (formula, class) in [("Zr41.2Ti13.8Cu12.5Ni10Be22.5", "BMG"), ("Cu60Zr40", "RMG")] {
        let answer = server.answer("/classify/glass", &json!({ "composition": formula })).await;
        assert_eq!(answer["class"], class, "{answer:#}");
        let probabilities = answer["probabilities"].as_object().unwrap();
        let sum: f64 = probabilities.values().map(|p| p.as_f64().unwrap()).sum();
        assert!((sum - 1.0).abs() < 1e-5);
        assert_eq!(probabilities.keys().collect::<Vec<_>>(), ["BMG", "RMG", "CRA"]);
        assert_eq!(answer["in_domain"], true);
    }
    // A map of amounts, in the basis of the model, is the same as the formula.
    let map = json!({"composition": {"Cu": 60, "Zr": 40}});
    assert_eq!(server.answer("/classify/glass", &map).await["class"], "RMG");
    let salt = server.answer("/classify/glass", &json!({"composition": "NaCl"})).await;
    assert_eq!(salt["in_domain"], false);
}

#[tokio::test]
async fn lists_keep_their_order() {
    let server = Server::start().await;
    let formulas = ["Zr41.2Ti13.8Cu12.5Ni10Be22.5", "Fe80B20", "AlTi", "(Fe0.5Co0.5)70B30"];
    let samples: Vec<Value> = formulas.iter().map(|formula| json!({ "composition": formula })).collect();
    let many = server.answer("/classify/glass", &json!({ "samples": samples })).await;
    for (index, sample) in samples.iter().enumerate() {
        let mut alone = server.answer("/classify/glass", sample).await;
        alone.as_object_mut().unwrap().remove("model");
        assert_eq!(many["predictions"][index], alone);
    }
    assert_eq!(many["predictions"].as_array().unwrap().len(), 4);
}
