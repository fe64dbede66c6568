//! The checked-in document is that of the shipped models, as the program prints it.

#![allow(clippy::unwrap_used, clippy::panic, reason = "a test fails by panicking")]

#[test]
fn the_document_is_up_to_date() {
    let output = std::process::Command::new(env!("CARGO_BIN_EXE_mcvn")).arg("openapi").output().unwrap();
    assert!(output.status.success(), "{}", String::from_utf8_lossy(&output.stderr));
    let document = String::from_utf8(output.stdout).unwrap();
    let checked_in = include_str!("../openapi.yaml");
    assert_eq!(document, checked_in, "run: cargo run --release -- openapi > openapi.yaml");
    assert!(document.starts_with("openapi: 3.1"));
    // OpenAPI requires a description of every response, or a reference to one that has it.
    let lines: Vec<&str> = document.lines().map(str::trim).collect();
    let is_status = |line: &str| line.len() == 6 && line.starts_with('\'') && line.ends_with("':");
    let responses: Vec<usize> = (0..lines.len()).filter(|at| is_status(lines[*at])).collect();
    assert!(responses.len() > 20);
    let is_described =
        |line: &str| ["description: ", "$ref: '#/components/responses/"].iter().any(|start| line.starts_with(start));
    assert!(responses.iter().all(|at| is_described(lines[at + 1])));
}
