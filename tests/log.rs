//! What a request leaves in the log.
//!
//! A program of its own: `tracing` remembers for a whole process which lines anyone wants, so a test that listens must
//! not run beside tests that don't.

#![allow(clippy::unwrap_used, clippy::panic, reason = "a test fails by panicking")]

use std::io::Write;
use std::sync::{Arc, Mutex};

use axum::body::Body;
use axum::http::Request;
use mcvn::bulk::{BulkConfig, Pool, Priority};
use mcvn::http::{AppState, HttpConfig, Surface, router};
use serde_json::{Value, json};
use tower::ServiceExt;

#[derive(Clone, Default)]
struct Log(Arc<Mutex<Vec<u8>>>);

impl Write for Log {
    fn write(&mut self, bytes: &[u8]) -> std::io::Result<usize> {
        self.0.lock().unwrap().write(bytes)
    }

    fn flush(&mut self) -> std::io::Result<()> {
        Ok(())
    }
}

#[tokio::test]
async fn log_lines_carry_ids_and_probes_are_quiet() {
    const TRACE: &str = "4bf92f3577b34da6a3ce929d0e0e4736";
    let log = Log::default();
    let writer = log.clone();
    let format = tracing_subscriber::fmt().json().flatten_event(true).with_span_list(false);
    let subscriber = format.with_max_level(tracing::Level::INFO).with_writer(move || writer.clone()).finish();
    let _guard = tracing::subscriber::set_default(subscriber);
    let bulk = Pool::start(BulkConfig::default(), Priority::Usual).unwrap();
    let service = router(AppState::new(HttpConfig::default(), bulk, Default::default(), None), Surface::Public);
    for path in ["/livez", "/readyz", "/startupz", "/metrics"] {
        service.clone().oneshot(Request::get(path).body(Body::empty()).unwrap()).await.unwrap();
    }
    assert_eq!(String::from_utf8_lossy(&log.0.lock().unwrap()), "", "probes say nothing at this level");
    for (id, traceparent) in
        [("good", format!("00-{TRACE}-00f067aa0ba902b7-01")), ("bad", format!("00-{TRACE}-0000000000000000-01"))]
    {
        let request = Request::get("/models").header("x-request-id", id).header("traceparent", traceparent);
        let response = service.clone().oneshot(request.body(Body::empty()).unwrap()).await.unwrap();
        assert_eq!(response.status().as_u16(), 503);
    }
    let text = String::from_utf8(log.0.lock().unwrap().clone()).unwrap();
    let lines: Vec<Value> = text.lines().map(|line| serde_json::from_str(line).unwrap()).collect();
    let [good, bad] = lines.as_slice() else { panic!("{text}") };
    assert_eq!((&good["span"]["request_id"], &good["span"]["trace_id"]), (&json!("good"), &json!(TRACE)));
    assert_eq!(
        (&good["status"], &good["problem"], &good["span"]["route"]),
        (&json!(503), &json!("not_ready"), &json!("/models"))
    );
    assert_eq!((&bad["span"]["request_id"], &bad["span"]["trace_id"]), (&json!("bad"), &Value::Null));
}
