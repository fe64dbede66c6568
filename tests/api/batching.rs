//! One sample, one answer: alone, in any list, among any company, to the last digit given out.

use mcvn::domain::{RawComposition, RawSample, RawValue};
use mcvn::model::{DeviceChoice, probe_samples};
use mcvn::registry::Catalogue;
use proptest::prelude::*;
use proptest::test_runner::{Config, TestRunner};
use serde_json::{Map, Value, json};

use crate::support::{Server, shipped_models};

const ROUTES: [(&str, &str); 3] =
    [("steel-fatigue", "/predict/steel"), ("steel-tensile", "/predict/steel"), ("glass", "/classify/glass")];

fn body(raw: &RawSample) -> Value {
    let mut fields = Map::new();
    match raw.composition.clone().unwrap() {
        RawComposition::Formula(text) => fields.insert("composition".into(), json!(text)),
        RawComposition::Amounts(amounts) => fields.insert(
            "composition".into(),
            amounts.into_iter().map(|(k, v)| (k.into_owned(), json!(v))).collect::<Map<_, _>>().into(),
        ),
    };
    if !raw.processing.is_empty() {
        let values = raw.processing.iter().map(|(name, value)| match value {
            RawValue::Number(number) => (name.to_string(), json!(number)),
            RawValue::Text(text) => (name.to_string(), json!(text)),
        });
        fields.insert("processing".into(), values.collect::<Map<_, _>>().into());
    }
    fields.into()
}

/// Plausible samples for a shipped model.
fn samples(model: &str, count: usize, seed: u64) -> Vec<Value> {
    let device = DeviceChoice::Cpu.open().unwrap().device;
    let catalogue = Catalogue::load(&[shipped_models()], &device, false).unwrap();
    probe_samples(&catalogue.get(model).unwrap().manifest().schema, count, seed).iter().map(body).collect()
}

fn with_model(sample: &Value, model: &str) -> Value {
    let mut body = sample.clone();
    body["model"] = json!(model);
    body
}

/// What a single answer and an entry of a list have in common.
fn essence(mut answer: Value) -> Value {
    answer.as_object_mut().unwrap().remove("model");
    answer
}

#[test]
fn alone_and_in_any_list() {
    let runtime = tokio::runtime::Runtime::new().unwrap();
    let server = runtime.block_on(Server::start());
    let pools: Vec<Vec<Value>> = ROUTES.iter().map(|(model, _)| samples(model, 600, 3)).collect();
    let cases = (0..ROUTES.len(), 2usize..=300, 0usize..300, any::<prop::sample::Index>());
    let mut runner = TestRunner::new(Config { cases: 40, failure_persistence: None, ..Config::default() });
    let outcome = runner.run(&cases, |(route, size, offset, index)| {
        let ((model, path), list) = (ROUTES[route], &pools[route][offset..offset + size]);
        let at = index.index(size);
        let (alone, many) = runtime.block_on(async {
            let many = server.answer(path, &json!({ "model": model, "samples": list })).await;
            (server.answer(path, &with_model(&list[at], model)).await, many)
        });
        prop_assert_eq!(many["predictions"].as_array().unwrap().len(), size);
        prop_assert_eq!(&many["predictions"][at], &essence(alone));
        Ok(())
    });
    outcome.unwrap();
}

#[tokio::test(flavor = "multi_thread")]
async fn among_two_hundred_concurrent_others() {
    let server = std::sync::Arc::new(Server::start().await);
    let mut requests = Vec::new();
    for (model, path) in ROUTES {
        requests.extend(samples(model, 67, 11).iter().map(|sample| (path, with_model(sample, model))));
    }
    let mut alone = Vec::new();
    for (path, body) in &requests {
        alone.push(server.answer(path, body).await);
    }
    for _ in 0..3 {
        let tasks = requests.iter().cloned().map(|(path, body)| {
            let server = std::sync::Arc::clone(&server);
            tokio::spawn(async move { server.answer(path, &body).await })
        });
        let tasks: Vec<_> = tasks.collect();
        for (task, alone) in tasks.into_iter().zip(&alone) {
            assert_eq!(task.await.unwrap(), *alone);
        }
    }
}
