//! A day's mix of requests, good and bad, each with what its answer must be.
//!
//! Its own because a load test that does not look at answers would not see a server that answers fast and wrongly. The
//! first answer to each question is looked at closely; every later one must be the same, byte for byte.

use std::sync::OnceLock;
use std::time::{Duration, Instant};

use reqwest::{Client, Method, Request};
use serde_json::{Value, json};

use super::samples::{glass, steel, steel_table, steels};

const LIST: usize = 20;
const TABLE: usize = 200;

/// What an answer must be, besides its status.
#[derive(Clone, Copy, PartialEq)]
enum Answer {
    /// Predictions for so many samples, always the same.
    Predictions(usize),
    /// A table of predictions, always the same.
    Table,
    /// A problem with this code, always the same but for its id.
    Problem(&'static str),
    /// JSON, always the same.
    Json,
    /// Series that change.
    Metrics,
}

struct Question {
    request: Request,
    status: u16,
    answer: Answer,
    first: OnceLock<Vec<u8>>,
}

/// Questions of a kind, and how many of a hundred requests are of it.
struct Kind {
    name: &'static str,
    share: usize,
    questions: Vec<Question>,
}

/// What a question got.
pub(crate) struct Outcome {
    pub(crate) kind: &'static str,
    pub(crate) took: Duration,
    /// What was wrong with it.
    pub(crate) wrong: Option<String>,
}

pub(crate) struct Mix {
    client: Client,
    kinds: Vec<Kind>,
    /// Kinds of a hundred requests in a row, mixed.
    order: Vec<usize>,
}

impl Mix {
    /// The questions to a server. Most are single samples, as most of a laboratory's are.
    pub(crate) fn new(url: &str) -> Self {
        let post = |path: &str, kind: &str, body: String| {
            let mut request = Request::new(Method::POST, format!("{url}{path}").parse().unwrap());
            request.headers_mut().insert("content-type", kind.parse().unwrap());
            *request.body_mut() = Some(body.into());
            request
        };
        let get = |path: &str| Request::new(Method::GET, format!("{url}{path}").parse().unwrap());
        let (json, csv) = ("application/json", "text/csv");
        let good = |request, answer| question(request, 200, answer);
        let one_steel = |index| good(post("/predict/steel", json, steel(index).to_string()), Answer::Predictions(1));
        let one_glass = |index| good(post("/classify/glass", json, glass(index).to_string()), Answer::Predictions(1));
        let list = |index| {
            let body = steels(1000 + index * LIST, LIST).to_string();
            good(post("/predict/steel", json, body), Answer::Predictions(LIST))
        };
        let table = |index| good(post("/predict/steel", csv, steel_table(index * TABLE, TABLE)), Answer::Table);
        let bad = |body: String, kind: &str, status, code| {
            vec![question(post("/predict/steel", kind, body), status, Answer::Problem(code))]
        };
        let spoilt = |spoil: fn(&mut Value)| {
            let mut body = steel(7);
            spoil(&mut body);
            body.to_string()
        };
        let unknown = spoilt(|body| body["composition"]["Xx"] = json!(1));
        let missing = spoilt(|body| drop(body["processing"].as_object_mut().unwrap().remove("tempering_temperature")));
        let stranger = spoilt(|body| body["model"] = json!("steel-imagined"));
        let kinds: Vec<Kind> = [
            ("a steel", 50, (0..200).map(one_steel).collect()),
            ("a glass", 20, (0..100).map(one_glass).collect()),
            ("20 steels", 8, (0..20).map(list).collect()),
            ("a table of 200", 2, (0..5).map(table).collect()),
            ("malformed", 3, bad("{\"composition\": {\"C\": 0.4".to_owned(), json, 400, "malformed_body")),
            ("unknown element", 3, bad(unknown, json, 422, "invalid_sample")),
            ("missing parameter", 3, bad(missing, json, 422, "invalid_sample")),
            ("unknown model", 1, bad(stranger, json, 404, "not_found")),
            ("wrong type", 2, bad("C 0.4".to_owned(), "application/pdf", 415, "unsupported_media_type")),
            ("GET /models", 4, vec![good(get("/models"), Answer::Json)]),
            ("GET /metrics", 4, vec![good(get("/metrics"), Answer::Metrics)]),
        ]
        .map(|(name, share, questions)| Kind { name, share, questions })
        .into();
        let order = kinds.iter().enumerate().flat_map(|(kind, of)| std::iter::repeat_n(kind, of.share)).collect();
        // Connections stay open: laboratories' programs keep theirs, too.
        let builder = Client::builder().pool_max_idle_per_host(usize::MAX).pool_idle_timeout(None);
        Self { client: builder.timeout(Duration::from_secs(30)).build().unwrap(), kinds, order }
    }

    /// Asks everything once, one after the other: the answers that all later ones are compared with are those of a server
    /// that has nothing else to do.
    pub(crate) async fn learn(&self) {
        for kind in &self.kinds {
            for question in &kind.questions {
                if let Some(wrong) = self.put(kind, question).await.wrong {
                    panic!("{wrong}");
                }
            }
        }
    }

    /// Asks the question that is due.
    pub(crate) async fn ask(&self, number: usize) -> Outcome {
        // 37 and 100 have no divisor in common: in a hundred steps every place is reached once.
        let kind = &self.kinds[self.order[number * 37 % self.order.len()]];
        self.put(kind, &kind.questions[number * 31 / 17 % kind.questions.len()]).await
    }

    async fn put(&self, kind: &Kind, question: &Question) -> Outcome {
        let start = Instant::now();
        let asked = async {
            let response = self.client.execute(question.request.try_clone().unwrap()).await?;
            let status = response.status().as_u16();
            Ok((status, response.bytes().await?))
        };
        let answer: Result<_, reqwest::Error> = asked.await;
        let took = start.elapsed();
        let checked = match answer {
            Ok((status, body)) => question.check(status, &body),
            Err(error) => Err(format!("{error:?}")),
        };
        Outcome { kind: kind.name, took, wrong: checked.err().map(|error| format!("{}: {error}", kind.name)) }
    }
}

fn question(request: Request, status: u16, answer: Answer) -> Question {
    Question { request, status, answer, first: OnceLock::new() }
}

impl Question {
    fn check(&self, status: u16, body: &[u8]) -> Result<(), String> {
        let text = || String::from_utf8_lossy(&body[..body.len().min(300)]).into_owned();
        if status != self.status {
            return Err(format!("{status} instead of {}: {}", self.status, text()));
        }
        if self.first.get().is_some_and(|first| first == body) {
            return Ok(());
        }
        let lasting = self.lasting(body).ok_or_else(|| format!("an answer that says nothing: {}", text()))?;
        match self.first.get_or_init(|| lasting.clone()) == &lasting {
            true => Ok(()),
            false => Err(format!("another answer than before: {}", text())),
        }
    }

    /// What of an answer must not change; `None` where it is not an answer to this question.
    fn lasting(&self, body: &[u8]) -> Option<Vec<u8>> {
        match self.answer {
            Answer::Predictions(count) => {
                let answer: Value = serde_json::from_slice(body).ok()?;
                let all = match answer.get("predictions") {
                    Some(list) => list.as_array()?.iter().collect(),
                    None => vec![&answer],
                };
                (all.len() == count && all.into_iter().all(says_something)).then(|| body.to_vec())
            }
            Answer::Table => {
                let mut reader = csv::Reader::from_reader(body);
                let mut at = |name| reader.headers().ok()?.iter().position(|header| header == name);
                let (error, value) = (at("error")?, at("fatigue_strength")?);
                let sound = |row: csv::StringRecord| row[error].is_empty() && row[value].parse::<f64>().is_ok();
                let rows: Vec<csv::StringRecord> = reader.records().collect::<Result<_, _>>().ok()?;
                (rows.len() == TABLE && rows.into_iter().all(sound)).then(|| body.to_vec())
            }
            Answer::Problem(code) => {
                let mut problem: Value = serde_json::from_slice(body).ok()?;
                problem.as_object_mut()?.remove("request_id")?;
                (problem["code"] == code && problem["status"] == self.status).then(|| problem.to_string().into_bytes())
            }
            Answer::Json => serde_json::from_slice::<Value>(body).ok().map(|_| body.to_vec()),
            Answer::Metrics => {
                let text = std::str::from_utf8(body).ok()?;
                let series = text.lines().filter(|line| !line.starts_with('#'));
                let mut values = series.map(|line| line.rsplit_once(' ').and_then(|(_, value)| value.parse().ok()));
                let sound = values.all(|value: Option<f64>| value.is_some()) && text.contains("\nmcvn_ready 1\n");
                sound.then(Vec::new)
            }
        }
    }
}

/// Whether a prediction has finite properties above 0, or probabilities that sum to 1.
fn says_something(prediction: &Value) -> bool {
    let properties = prediction["properties"].as_object();
    let above_zero = |value: &Value| value["value"].as_f64().is_some_and(|value| value.is_finite() && value > 0.0);
    let probabilities = prediction["probabilities"].as_object();
    let sum: f64 = probabilities.into_iter().flat_map(|all| all.values()).filter_map(Value::as_f64).sum();
    properties.is_some_and(|all| !all.is_empty() && all.values().all(above_zero)) || (sum - 1.0).abs() < 1e-5
}
