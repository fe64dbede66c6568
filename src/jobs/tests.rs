//! Tests that reading jobs, as every scrape of metrics does, never waits for the disk.

use std::sync::mpsc::channel;

use serde_json::json;

use super::*;

#[test]
fn who_counts_jobs_does_not_wait_for_a_commit() {
    let folder = tempfile::tempdir().unwrap();
    let held = Arc::new(Mutex::new(()));
    let store = Arc::new(Store::held_up(&store_file(folder.path()), Arc::clone(&held)));
    let job = json!({
        "id": 1, "state": "queued", "model": "m", "by": "lab", "created": "2026-01-01T00:00:00Z",
        "data": {"file": "rows.csv", "sha256": "", "rows": 1, "groups": 1}, "options": {"seed": 0, "folds": 2},
    });
    store.put_job(1, &job).unwrap();
    let writer = Arc::new(Writer::open(&[folder.path().join("models")]).unwrap());
    let config = JobsConfig { state_dir: folder.path().to_owned(), ..JobsConfig::default() };
    let jobs = Jobs::open(config, store, writer).unwrap();
    let in_state = |counts: &[(&str, u64)], state: JobState| {
        counts.iter().find(|(name, _)| *name == state.name()).map(|(_, count)| *count)
    };

    let runtime = tokio::runtime::Builder::new_multi_thread().worker_threads(1).enable_all().build().unwrap();
    let holding = held.lock().unwrap();
    let own = jobs.clone();
    let cancelling = runtime.spawn(async move { own.cancel(1).await });
    while jobs.0.changing.try_lock().is_ok() {
        std::thread::sleep(Duration::from_millis(1));
    }
    // This runs on the only worker, so the commit must not block it.
    let ((sender, counted), own) = (channel(), jobs.clone());
    runtime.spawn(async move { sender.send(own.count()) });
    let counts = counted.recv_timeout(Duration::from_secs(10)).unwrap();
    assert_eq!(in_state(&counts, JobState::Queued), Some(1), "what is not on the disk yet is not told");
    drop(holding);
    assert_eq!(runtime.block_on(cancelling).unwrap().unwrap().state, JobState::Cancelled);
    assert_eq!(in_state(&jobs.count(), JobState::Cancelled), Some(1));
}
