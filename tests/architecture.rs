//! Who may know whom: dependencies run down the ranks, and modules of one rank don't see each other.

#![allow(clippy::unwrap_used, clippy::panic, reason = "a test fails by panicking")]

use std::path::{Path, PathBuf};

/// Modules by rank; those of the last rank may know everything.
const RANKS: [&[&str]; 8] = [
    &["domain", "metrics"],
    &["featurize", "tables"],
    &["model"],
    &["train", "registry", "keys", "store", "wire"],
    &["batcher", "bulk", "jobs"],
    &["serving", "admin"],
    &["http"],
    &["app", "cli", "config", "memory", "telemetry", "lib", "main"],
];

/// Words that a module must not contain.
const FORBIDDEN: [(&str, &[&str]); 13] = [
    ("domain", &["candle", "tokio", "axum", "std::fs", "utoipa"]),
    ("metrics", &["candle", "tokio", "axum"]),
    ("featurize", &["candle", "tokio", "axum", "std::fs"]),
    ("tables", &["candle", "tokio", "axum", "std::fs", "std::path"]),
    ("model", &["tokio", "axum", "std::fs", "std::path"]),
    ("train", &["tokio", "axum", "std::fs", "std::path"]),
    ("registry", &["tokio", "axum"]),
    ("wire", &["candle", "tokio", "axum", "std::fs", "std::path"]),
    ("batcher", &["axum", "candle"]),
    ("bulk", &["axum", "candle", "std::fs"]),
    ("jobs", &["axum", "candle"]),
    ("serving", &["axum", "candle"]),
    ("http", &["candle", "std::fs", "std::path"]),
];

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

#[test]
fn dependencies_run_down_the_ranks() {
    for (module, path, code) in modules() {
        let own = rank(&module);
        for used in code.split("crate::").skip(1) {
            let used: String = used.chars().take_while(|c| c.is_alphanumeric() || *c == '_').collect();
            let allowed = used == module || own == RANKS.len() - 1 || rank(&used) < own;
            assert!(allowed, "{} (rank {own}) uses {used} (rank {})", path.display(), rank(&used));
        }
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
