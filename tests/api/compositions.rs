//! Compositions as people write them: a table of cases, each with its right answer.

use serde_json::{Value, json};

use crate::support::Server;

/// What is wrong with the answer to a case; nothing where it is right.
async fn judge(server: &Server, case: &Value) -> Option<String> {
    let route = case["route"].as_str().unwrap();
    let response = server.post(route, &case["input"]).await;
    let (status, body) = (response.status().as_u16(), response.json::<Value>().await.unwrap());
    if let Some(words) = case["error"].as_str() {
        let said = body["errors"].to_string().replace("\\\"", "\"");
        let also = case["also"].as_str().unwrap_or_default();
        return (status != 422 || !said.contains(words) || !said.contains(also)).then(|| format!("{status} {said}"));
    }
    if status != 200 {
        return Some(format!("{status} {body}"));
    }
    let said = |field: &str| body[field].to_string().replace("\\\"", "\"");
    if let Some(words) = case["warning"].as_str().filter(|words| !said("warnings").contains(words)) {
        return Some(format!("no warning \"{words}\": {}", said("warnings")));
    }
    if let Some(words) = case["reason"].as_str().filter(|words| !said("reasons").contains(words)) {
        return Some(format!("no reason \"{words}\": {}", said("reasons")));
    }
    if case["no_warnings"] == true && body["warnings"] != json!([]) {
        return Some(format!("warnings: {}", said("warnings")));
    }
    if case["in_domain"].is_boolean() && case["in_domain"] != body["in_domain"] {
        return Some(format!("in_domain is {}", body["in_domain"]));
    }
    if !case["same_as"].is_null() {
        let other = server.answer(route, &case["same_as"]).await;
        for field in ["properties", "probabilities"].into_iter().filter(|field| !body[*field].is_null()) {
            if !close(&body[field], &other[field]) {
                return Some(format!("{} is not {}", body[field], other[field]));
            }
        }
    }
    None
}

/// Numbers that differ by rounding are the same.
fn close(one: &Value, other: &Value) -> bool {
    match (one, other) {
        (Value::Object(one), Value::Object(other)) => {
            one.len() == other.len() && one.iter().all(|(name, value)| close(value, &other[name]))
        }
        (Value::Array(one), Value::Array(other)) => one.iter().zip(other).all(|(one, other)| close(one, other)),
        (Value::Number(one), Value::Number(other)) => {
            let (one, other) = (one.as_f64().unwrap(), other.as_f64().unwrap());
            (one - other).abs() <= 1e-3 * one.abs().max(1.0)
        }
        _ => one == other,
    }
}

#[tokio::test]
async fn each_case_has_its_right_answer() {
    let server = Server::start().await;
    let (mut wrong, mut cases) = (Vec::new(), 0);
    for line in include_str!("../cases/compositions.jsonl").lines() {
        let case: Value = serde_json::from_str(line).unwrap();
        cases += 1;
        wrong.extend(judge(&server, &case).await.map(|what| format!("{}: {what}", case["id"])));
    }
    assert!(wrong.is_empty(), "{} of {cases} cases:\n{}", wrong.len(), wrong.join("\n"));
}

#[tokio::test]
async fn an_answer_can_repeat_the_composition() {
    let server = Server::start().await;
    let mut asked = crate::support::steel_4140();
    asked["echo"] = json!(true);
    let echoed = &server.answer("/predict/steel", &asked).await["composition"];
    assert_eq!(echoed["weight_percent"]["Fe"], 97.11);
    let atomic: f64 = echoed["atomic_percent"].as_object().unwrap().values().map(|value| value.as_f64().unwrap()).sum();
    assert!((atomic - 100.0).abs() < 1e-3 && echoed["atomic_percent"]["C"].as_f64().unwrap() > 1.8);
    asked["echo"] = json!("yes");
    let problem = Server::problem(server.post("/predict/steel", &asked).await).await;
    assert_eq!(crate::support::pointers(&problem), ["/echo"]);
    let line = json!({"id": 7, "composition": "Al(NiB)2"}).to_string();
    let lines = server.post_raw("/classify/glass?echo=true", "application/x-ndjson", line).await.text().await.unwrap();
    let answer: Value = serde_json::from_str(&lines).unwrap();
    assert_eq!(answer["composition"]["atomic_percent"], json!({"B": 40.0, "Al": 20.0, "Ni": 40.0}));
    let table =
        server.post_raw("/classify/glass?echo=true", "text/csv", "formula\nCu60Zr40\n").await.text().await.unwrap();
    assert!(table.contains("composition_atomic_percent") && table.contains("\"Cu 60, Zr 40\""), "{table}");
}
