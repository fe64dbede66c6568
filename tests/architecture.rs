//! Who may know whom: dependencies run down the ranks, modules of one rank don't see each other, no files go in circles.

#![allow(clippy::unwrap_used, clippy::panic, reason = "a test fails by panicking")]

#[path = "architecture/graph.rs"]
mod graph;

use std::path::{Path, PathBuf};

use graph::{Edge, circles, edges};

/// Modules by rank; those of the last rank may know everything.
const RANKS: [&[&str]; 9] = [
    &["domain", "files", "metrics"],
    &["featurize", "tables"],
    &["model"],
    &["data"],
    &["train", "doctor", "registry", "keys", "store", "wire"],
    &["batcher", "bulk", "jobs"],
    &["serving", "admin"],
    &["http"],
    &["app", "cli", "config", "memory", "telemetry", "lib", "main"],
];

/// Words that a module must not contain. Every module has its line: one without any is listed, too.
const FORBIDDEN: [(&str, &[&str]); 24] = [
    ("domain", &["candle", "tokio", "axum", "std::fs", "utoipa"]),
    ("files", &["candle", "tokio", "axum", "serde"]),
    ("metrics", &["candle", "tokio", "axum"]),
    ("featurize", &["candle", "tokio", "axum", "std::fs"]),
    ("tables", &["candle", "tokio", "axum", "std::fs", "std::path"]),
    ("model", &["tokio", "axum", "std::fs", "std::path"]),
    ("data", &["candle", "tokio", "axum", "std::fs", "std::path"]),
    ("train", &["tokio", "axum", "std::fs", "std::path"]),
    ("doctor", &["candle", "tokio", "axum", "std::path"]),
    ("registry", &["tokio", "axum"]),
    ("keys", &["candle", "tokio", "axum"]),
    ("store", &["candle", "tokio", "axum"]),
    ("wire", &["candle", "tokio", "axum", "std::fs", "std::path"]),
    ("batcher", &["axum", "candle"]),
    ("bulk", &["axum", "candle", "std::fs"]),
    ("jobs", &["axum", "candle"]),
    ("serving", &["axum", "candle"]),
    ("admin", &["axum", "candle"]),
    ("http", &["candle", "std::fs", "std::path", "PathBuf", ".folder"]),
    ("app", &["candle"]),
    ("cli", &["axum"]),
    ("config", &["candle", "axum"]),
    ("memory", &["candle", "tokio", "axum", "std::fs"]),
    ("telemetry", &["candle", "axum"]),
];

/// Ranks within rooms: files and folders, each of which may know what stands on a line above it.
const INSIDE: [(&str, &[&[&str]]); 4] = [
    (
        "model",
        &[
            &["spec"],
            &["error", "rng", "device", "probabilities", "widen"],
            &["digest", "weights", "nn"],
            &["members"],
            &["ensemble", "validate"],
            &["bundle"],
            &["trust", "probe"],
        ],
    ),
    (
        "data",
        &[
            &["source", "learners", "label", "splits", "summary", "events"],
            &["amounts", "bounds", "defaults", "evidence", "folds", "digest"],
            &["recipe", "report"],
            &["reference", "dataset"],
            &["reading", "regions"],
            &["draft"],
        ],
    ),
    (
        "train",
        &[
            &["error", "input_distance", "metrics", "progress"],
            &["parallel", "training_set"],
            &["learners"],
            &["infer", "trained"],
            &["calibrate", "plan"],
            &["fit"],
            &["evaluation"],
            &["report"],
            &["plots"],
        ],
    ),
    (
        "http",
        &[
            &["request_id", "connection"],
            &["error", "limits"],
            &["body"],
            &["state"],
            &["middleware", "predict"],
            &["ops", "admin", "document"],
            &["server"],
            &["routes"],
        ],
    ),
];

/// Rooms whose `mod.rs` are only facades: there even a file and the `mod.rs` above it form no circle. Elsewhere a
/// `mod.rs` and the files below it are one module in several files.
const FACADES: [&str; 4] = ["model", "data", "train", "http"];

fn sources(folder: &Path, found: &mut Vec<PathBuf>) {
    for entry in std::fs::read_dir(folder).unwrap() {
        let path = entry.unwrap().path();
        if path.is_dir() {
            sources(&path, found);
        } else if path.extension().is_some_and(|extension| extension == "rs") {
            found.push(path);
        }
    }
}

/// Top-level module of a file of `src`, and its text without comments.
fn modules() -> Vec<(String, PathBuf, String)> {
    let mut files = Vec::new();
    sources(Path::new("src"), &mut files);
    let module = |path: PathBuf| {
        let first = path.strip_prefix("src").unwrap().iter().next().unwrap().to_str().unwrap();
        let name = first.trim_end_matches(".rs").to_owned();
        let text = std::fs::read_to_string(&path).unwrap();
        let code = text.lines().filter(|line| !line.trim_start().starts_with("//")).collect::<Vec<_>>().join("\n");
        (name, path, code)
    };
    files.into_iter().map(module).collect()
}

fn rank(module: &str) -> usize {
    RANKS.iter().position(|rank| rank.contains(&module)).unwrap_or_else(|| panic!("{module} has no rank"))
}

/// The top-level module of a file of `src`.
fn room(file: &Path) -> String {
    let first = file.strip_prefix("src").unwrap().iter().next().unwrap().to_str().unwrap();
    first.trim_end_matches(".rs").to_owned()
}

#[test]
fn dependencies_run_down_the_ranks() {
    for Edge { from, to, .. } in edges() {
        let (own, used) = (room(&from), room(&to));
        let allowed = used == own || rank(&own) == RANKS.len() - 1 || rank(&used) < rank(&own);
        assert!(allowed, "{} (rank {}) uses {} (rank {})", from.display(), rank(&own), to.display(), rank(&used));
    }
}

/// The file or folder within a room that a file of it belongs to; `None` for the room's own `mod.rs`.
fn part(file: &Path) -> Option<String> {
    let name = file.strip_prefix("src").unwrap().iter().nth(1)?.to_str().unwrap();
    Some(name.trim_end_matches(".rs").to_owned()).filter(|name| name != "mod")
}

#[test]
fn dependencies_inside_rooms_run_down_their_ranks() {
    for (name, ranks) in INSIDE {
        let rank = |part: &str| {
            ranks.iter().position(|rank| rank.contains(&part)).unwrap_or_else(|| panic!("{name}/{part} has no rank"))
        };
        for Edge { from, to, test, .. } in edges().into_iter().filter(|edge| room(&edge.from) == name) {
            let (Some(own), Some(used)) = (part(&from), part(&to).filter(|_| room(&to) == name)) else { continue };
            let allowed = test || own == used || rank(&used) < rank(&own);
            assert!(allowed, "{} uses {}, which stands beside or above it", from.display(), to.display());
        }
    }
}

/// Whether one of two files is the `mod.rs` of a folder that the other lies in.
fn are_one_module(a: &Path, b: &Path) -> bool {
    let above = |a: &Path, b: &Path| a.ends_with("mod.rs") && b.starts_with(a.parent().unwrap());
    above(a, b) || above(b, a)
}

#[test]
fn no_files_go_in_circles() {
    // What tests use, and what is only handed on, makes no code depend on other code.
    let counts = |edge: &Edge| {
        let strict = FACADES.contains(&room(&edge.from).as_str());
        !edge.test && !edge.hands_on && (strict || !are_one_module(&edge.from, &edge.to))
    };
    let found = circles(&edges().into_iter().filter(counts).collect());
    assert!(found.is_empty(), "circles of files: {found:#?}");
}

#[test]
fn every_module_has_a_line_of_words_that_it_must_not_contain() {
    for module in RANKS.iter().copied().flatten().filter(|module| !["lib", "main"].contains(module)) {
        assert!(FORBIDDEN.iter().any(|(name, _)| name == module), "{module}");
    }
}

#[test]
fn modules_do_not_know_what_they_must_not() {
    for (module, path, code) in modules() {
        for (_, words) in FORBIDDEN.iter().filter(|(name, _)| *name == module) {
            for word in *words {
                assert!(!code.contains(word), "{} contains {word}", path.display());
            }
        }
    }
}

#[test]
fn every_file_says_what_it_is() {
    let mut files = Vec::new();
    sources(Path::new("src"), &mut files);
    for path in files {
        let text = std::fs::read_to_string(&path).unwrap();
        assert!(text.starts_with("//! "), "{} has no opening paragraph", path.display());
    }
}

/// Keys that every line of the log has by itself: a field of the same name would be there twice.
const KEYS_OF_A_LINE: [&str; 5] = ["timestamp", "level", "target", "span", "message"];

#[test]
fn no_field_of_a_log_line_has_the_name_of_another_key() {
    for (_, path, code) in modules() {
        for part in
            ["info!(", "warn!(", "error!(", "debug!(", "trace!("].iter().flat_map(|called| code.split(*called).skip(1))
        {
            // Fields come before the text.
            let fields = part.split(['"', ';']).next().unwrap_or_default();
            for field in fields.split(',').map(|field| field.split('=').next().unwrap_or_default().trim()) {
                let name = field.trim_start_matches(['%', '?']);
                assert!(!KEYS_OF_A_LINE.contains(&name), "{}: {field}", path.display());
            }
        }
    }
}
