//! Bad input: the right problem, every offending field named, the server unharmed.

use std::fmt::Write;
use std::time::{Duration, Instant};

use serde_json::{Value, json};

use crate::support::{Server, config, pointers, steel_4140};

/// The 422 of a steel body.
async fn invalid(server: &Server, body: &Value) -> Value {
    let problem = Server::problem(server.post("/predict/steel", body).await).await;
    assert_eq!((&problem["status"], &problem["code"]), (&json!(422), &json!("invalid_sample")), "{problem:#}");
    problem
}

fn steel_with(path: &[&str], value: Value) -> Value {
    let mut body = steel_4140();
    let mut place = &mut body;
    for key in path {
        place = &mut place[*key];
    }
    *place = value;
    body
}

#[tokio::test]
async fn each_bad_field_is_named() {
    let server = Server::start().await;
    let cases: Vec<(Value, &str)> = vec![
        (steel_with(&["composition", "Xx"], json!(1)), "/composition/Xx"),
        (steel_with(&["composition", "Am"], json!(1)), "/composition/Am"),
        (steel_with(&["composition", "C"], json!(-0.1)), "/composition/C"),
        (steel_with(&["composition", "C"], json!(1e300)), "/composition/C"),
        (steel_with(&["composition", "C"], json!("0.4")), "/composition/C"),
        (steel_with(&["composition", "C"], json!(true)), "/composition/C"),
        (steel_with(&["composition", "C"], json!([0.4])), "/composition/C"),
        (steel_with(&["composition", "Cr"], json!(99.9)), "/composition"),
        (steel_with(&["composition"], json!({})), "/composition"),
        (steel_with(&["composition"], json!({"C": 0})), "/composition"),
        (steel_with(&["composition"], json!(null)), "/composition"),
        (steel_with(&["composition"], json!(4)), "/composition"),
        (steel_with(&["composition"], json!("Fe-C")), "/composition"),
        (steel_with(&["composition"], json!("")), "/composition"),
        (steel_with(&["basis"], json!("mass")), "/basis"),
        (steel_with(&["processing"], json!([1])), "/processing"),
        (steel_with(&["processing", "quenching_temperature"], json!(-300)), "/processing/quenching_temperature"),
        (steel_with(&["processing", "quenching_temperature"], json!("hot")), "/processing/quenching_temperature"),
        (steel_with(&["processing", "quenching_temperature"], json!(null)), "/processing/quenching_temperature"),
        (steel_with(&["processing", "inclusions_da"], json!(101)), "/processing/inclusions_da"),
        (steel_with(&["processing", "cooling"], json!("oil")), "/processing/cooling"),
        (steel_with(&["colour"], json!("grey")), "/colour"),
        (steel_with(&["model"], json!(7)), "/model"),
        (json!({"samples": []}), "/samples"),
        (json!({"samples": {}}), "/samples"),
        (json!({"samples": [steel_4140(), 3]}), "/samples/1"),
        (json!({"samples": [steel_with(&["composition", "Xx"], json!(1))]}), "/samples/0/composition/Xx"),
        (json!({"samples": [steel_4140()], "composition": {"C": 1}}), "/composition"),
        (json!([1, 2]), ""),
        (json!(null), ""),
        (json!("Fe"), ""),
    ];
    for (body, pointer) in cases {
        let problem = invalid(&server, &body).await;
        assert!(pointers(&problem).contains(&pointer), "{pointer} is not named for {body}: {problem:#}");
    }
    server.answer("/predict/steel", &steel_4140()).await;
}

#[tokio::test]
async fn all_offending_fields_at_once() {
    let server = Server::start().await;
    let body = json!({
        "composition": {"C": -1, "Xx": 1, "Mn": "much"},
        "processing": {"quenching_temperature": -400, "speed": 3},
        "extra": true,
    });
    let problem = invalid(&server, &body).await;
    let mut named = pointers(&problem);
    named.sort_unstable();
    let wanted = [
        "/composition/C",
        "/composition/Mn",
        "/composition/Xx",
        "/extra",
        "/processing/normalizing_temperature",
        "/processing/quenching_temperature",
        "/processing/speed",
        "/processing/tempering_temperature",
    ];
    assert_eq!(named, wanted);
}

#[tokio::test]
async fn a_missing_parameter_names_the_models_that_would_do() {
    let server = Server::start().await;
    let body = json!({"composition": {"C": 0.2, "Cr": 1}, "processing": {"test_temperature": 300}});
    let problem = invalid(&server, &body).await;
    assert!(pointers(&problem).contains(&"/processing/tempering_temperature"));
    assert_eq!(problem["models_that_take_this_input"], json!(["steel-tensile"]));
}

#[tokio::test]
async fn numbers_that_json_or_a_double_cannot_hold() {
    let server = Server::start().await;
    let text = steel_4140().to_string();
    for (literal, status, code) in [
        ("NaN", 400, "malformed_body"),
        ("Infinity", 400, "malformed_body"),
        ("-Infinity", 400, "malformed_body"),
        ("1e999", 422, "invalid_sample"),
    ] {
        let body = text.replace("\"C\":0.4", &format!("\"C\":{literal}"));
        assert_ne!(body, text);
        let response = server.post_raw("/predict/steel", "application/json", body).await;
        let problem = Server::problem(response).await;
        assert_eq!((&problem["status"], &problem["code"]), (&json!(status), &json!(code)), "{literal}");
    }
    // A key twice is a mistake, not a choice.
    let body = text.replace("\"C\":0.4", "\"C\":0.4,\"C\":0.5");
    let problem = Server::problem(server.post_raw("/predict/steel", "application/json", body).await).await;
    assert_eq!(pointers(&problem), ["/composition/C"]);
}

#[tokio::test]
async fn bodies_that_cannot_be_read() {
    let server = Server::start().await;
    let text = steel_4140().to_string();
    let cases: Vec<(&str, Vec<u8>, u16, &str)> = vec![
        ("application/json", text.as_bytes()[..text.len() / 2].to_vec(), 400, "malformed_body"),
        ("application/json", Vec::new(), 400, "malformed_body"),
        ("application/json", b"\xff\xfe".to_vec(), 400, "malformed_body"),
        ("application/json", b"[".repeat(100_000), 400, "malformed_body"),
        ("application/json", vec![b' '; 2_000_001], 413, "body_too_large"),
        ("text/csv", vec![b'x'; 1_100_000], 413, "body_too_large"),
        ("application/xml", text.clone().into_bytes(), 415, "unsupported_media_type"),
        ("", text.clone().into_bytes(), 415, "unsupported_media_type"),
    ];
    for (content_type, body, status, code) in cases {
        let problem = Server::problem(server.post_raw("/predict/steel", content_type, body).await).await;
        assert_eq!((&problem["status"], &problem["code"]), (&json!(status), &json!(code)));
    }
    // Charset parameters are fine.
    let response = server.post_raw("/predict/steel", "application/json; charset=utf-8", text).await;
    assert_eq!(response.status(), 200);
}

#[tokio::test]
async fn a_body_of_unknown_length_is_cut_off_at_the_limit() {
    use tokio::io::{AsyncReadExt, AsyncWriteExt};
    let server = Server::start().await;
    let mut socket = tokio::net::TcpStream::connect(server.url.trim_start_matches("http://")).await.unwrap();
    let head = "POST /predict/steel HTTP/1.1\r\nhost: x\r\ncontent-type: application/json\r\n\
        transfer-encoding: chunked\r\nconnection: close\r\n\r\n";
    socket.write_all(head.as_bytes()).await.unwrap();
    // Twenty chunks reach the limit, a little one passes it; the body never ends.
    let chunk = |size: usize| format!("{size:x}\r\n{}\r\n", " ".repeat(size));
    for size in [100_000; 20].into_iter().chain([10]) {
        socket.write_all(chunk(size).as_bytes()).await.unwrap();
    }
    let mut answer = Vec::new();
    socket.read_to_end(&mut answer).await.unwrap();
    let answer = String::from_utf8_lossy(&answer);
    assert!(answer.starts_with("HTTP/1.1 413") && answer.contains("body_too_large"), "{answer}");
}

#[tokio::test]
async fn unknown_routes_models_and_methods() {
    let server = Server::start().await;
    for path in ["/nowhere", "/models/unobtainium", "/models/%ff"] {
        let problem = Server::problem(server.get(path).await).await;
        assert_eq!(problem["code"], "not_found", "{path}");
    }
    let response = server.get("/predict/steel").await;
    assert_eq!(response.headers()["allow"], "POST");
    assert_eq!(Server::problem(response).await["code"], "method_not_allowed");
    // A model of another route is not one of this route.
    for model in ["glass", "unobtainium"] {
        let problem = Server::problem(server.post("/predict/steel", &steel_with(&["model"], json!(model))).await).await;
        assert_eq!(problem["status"], 404);
        assert!(problem["detail"].as_str().unwrap().contains("steel-fatigue"));
    }
    let problem = Server::problem(server.post("/predict/steel?colour=red", &steel_4140()).await).await;
    assert_eq!(problem["status"], 422);
}

#[tokio::test]
async fn too_many_samples() {
    let mut config = config();
    config.http.max_samples = 3;
    let server = Server::start_with(config).await;
    let problem = invalid(&server, &json!({"samples": vec![steel_4140(); 4]})).await;
    assert_eq!(pointers(&problem), ["/samples"]);
    assert_eq!(server.post("/predict/steel", &json!({"samples": vec![steel_4140(); 3]})).await.status(), 200);
}

#[tokio::test]
async fn request_ids_are_kept_where_they_are_harmless() {
    let server = Server::start().await;
    let url = format!("{}/livez", server.url);
    let sent = |id: &'static str| server.client.get(&url).header("x-request-id", id).send();
    assert_eq!(sent("lab-7.3_a").await.unwrap().headers()["x-request-id"], "lab-7.3_a");
    let given = sent("two words").await.unwrap().headers()["x-request-id"].clone();
    assert_ne!(given, "two words");
    assert_ne!(sent("two words").await.unwrap().headers()["x-request-id"], given);
}

/// `count` entries of a JSON object, from the numbers.
fn entries(count: usize, entry: impl Fn(usize) -> String) -> String {
    let mut text = String::new();
    for number in 0..count {
        let _ = write!(text, "{}{}", if number == 0 { "" } else { "," }, entry(number));
    }
    text
}

#[tokio::test]
async fn a_body_of_mistakes_is_refused_as_quickly_as_any_other() {
    let server = Server::start().await;
    // Each took seconds to half a minute when every complaint was compared with all others. A line may be half as long as a
    // body of JSON.
    let bodies = |scale: usize| {
        [
            format!("{{\"composition\":{{{}}}}}", entries(60_000 * scale, |number| format!("\"x{number}\":\"a\""))),
            format!("{{\"processing\":{{{}}}}}", entries(60_000 * scale, |number| format!("\"x{number}\":[1]"))),
            format!(
                "{{\"processing\":{{{}}}}}",
                entries(30_000 * scale, |_| "\"tempering_temperature\":600".to_owned())
            ),
            format!("{{{}}}", entries(60_000 * scale, |number| format!("\"x{number}\":1"))),
            format!(
                "{{\"samples\":[{}]}}",
                entries(4_900 * scale, |_| { "{\"composition\":{\"Xx\":\"a\"},\"processing\":[]}".to_owned() })
            ),
        ]
    };
    let start = Instant::now();
    for (kind, bodies) in [("application/json", bodies(2)), ("application/x-ndjson", bodies(1))] {
        for body in bodies {
            let response = server.post_raw("/predict/steel", kind, body.clone()).await;
            let problem: Value = response.json().await.unwrap();
            let named = problem["errors"].as_array().unwrap_or_else(|| panic!("{problem:#}")).len();
            assert!((1..=100).contains(&named), "{named} in {}", &body[..40]);
        }
    }
    assert!(start.elapsed() < Duration::from_secs(5), "{:?}", start.elapsed());
}
