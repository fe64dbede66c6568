//! Thousands of broken bodies: never a 5xx, always a proper problem, and the server goes on.

use rand::rngs::SmallRng;
use rand::{RngExt, SeedableRng};
use serde_json::json;

use crate::support::{Server, steel_4140, tensile_steel};

const TOKENS: [&str; 22] = [
    "null",
    "true",
    "-1",
    "1e308",
    "1e999",
    "NaN",
    "\"\"",
    "{}",
    "[]",
    "[[",
    "}}",
    "\"C\":",
    ",",
    "\\u0000",
    "\u{0}",
    "\"samples\":",
    "-0",
    "0.0",
    "\"Fe80B20\"",
    "\"Xx\"",
    "\"a\":{\"b\":[",
    "é",
];

/// A few random edits: bytes dropped, doubled or changed, tokens put in, ends cut off.
fn mutated(seed: &str, rng: &mut SmallRng) -> Vec<u8> {
    let mut body = seed.as_bytes().to_vec();
    for _ in 0..rng.random_range(1..4) {
        if body.is_empty() {
            break;
        }
        let at = rng.random_range(0..body.len());
        match rng.random_range(0..6) {
            0 => drop(body.remove(at)),
            1 => body[at] = rng.random(),
            2 => body.truncate(at),
            3 => body.insert(at, body[at]),
            4 => {
                let end = (at + rng.random_range(0..20)).min(body.len());
                let part = body[at..end].to_vec();
                body.splice(at..at, part);
            }
            _ => {
                let token = TOKENS[rng.random_range(0..TOKENS.len())].bytes();
                let end = (at + rng.random_range(0..6)).min(body.len());
                body.splice(at..end, token);
            }
        }
    }
    body
}

#[tokio::test]
async fn two_thousand_mutated_bodies() {
    let server = Server::start().await;
    let mut rng = SmallRng::seed_from_u64(42);
    let table = "C,Cr,test_temperature\n0.1,1,300\n0.2,2,400\n";
    let seeds = [
        ("/predict/steel", "application/json", steel_4140().to_string()),
        ("/predict/steel", "application/json", tensile_steel(300.0).to_string()),
        ("/predict/steel", "application/json", json!({"samples": [steel_4140(), steel_4140()]}).to_string()),
        ("/classify/glass", "application/json", json!({"composition": "(Fe0.5Co0.5)70B30"}).to_string()),
        ("/classify/glass", "text/csv", "formula\nFe80B20\nAl40Cu60T\n".to_owned()),
        ("/predict/steel?model=steel-tensile", "text/csv", table.to_owned()),
    ];
    let mut counts = std::collections::BTreeMap::new();
    for round in 0..2_400 {
        let (path, content_type, seed) = &seeds[round % seeds.len()];
        let body = mutated(seed, &mut rng);
        let response = server.post_raw(path, content_type, body.clone()).await;
        let status = response.status().as_u16();
        *counts.entry(status).or_insert(0) += 1;
        match status {
            200 => {}
            400 | 404 | 422 => drop(Server::problem(response).await),
            _ => panic!("{status} for {}", String::from_utf8_lossy(&body)),
        }
    }
    // The edits reach both sides of the door.
    assert!(counts[&200] > 100 && counts[&400] > 100 && counts[&422] > 100, "{counts:?}");
    server.answer("/predict/steel", &steel_4140()).await;
}
