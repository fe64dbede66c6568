//! The runner of jobs: it runs the oldest waiting job, one at a time, until the server stops.
//!
//! While a job runs, its next line, a cancellation and the server's stop are awaited together; whichever comes first
//! decides how the job goes on.

use std::fs::File;
use std::sync::Arc;

use tracing::{info, warn};

use super::child::Training;
use super::program::wanted_memory;
use super::record::{Job, JobState, now};
use super::{BUNDLE_FOLDER, Jobs, LOG_FILE, house};
use crate::data::TrainingEvent;
use crate::model::DeviceChoice;
use crate::registry;

/// How a job ended.
enum End {
    /// A bundle of this version lies in its folder.
    Bundle(String),
    Failed(String),
    Cancelled,
    Interrupted,
}

/// The next event of a running job.
enum Next {
    Line(Option<TrainingEvent>),
    End(End),
}

pub(super) async fn run(jobs: &Jobs, device: &str) {
    let (mut changes, mut stopping) = (jobs.changes(), jobs.0.stopping.subscribe());
    while !jobs.is_stopping() {
        let next = jobs.list().into_iter().rfind(|job| job.state == JobState::Queued);
        match next {
            Some(job) => run_one(jobs, job, device).await,
            None => tokio::select! {
                _ = changes.changed() => {}
                _ = stopping.changed() => {}
            },
        }
    }
}

async fn run_one(jobs: &Jobs, job: Job, device: &str) {
    let id = job.id;
    let waits = |state| state == JobState::Queued;
    if !jobs.settle(id, waits, |job| (job.state, job.started) = (JobState::Running, Some(now()))).await {
        return;
    }
    info!(job = id, model = job.model, rows = job.data.rows, "job begins");
    let mut end = train(jobs, &job, device).await.unwrap_or_else(|error| End::Failed(error.to_string()));
    let folder = jobs.folder(id).join(BUNDLE_FOLDER);
    let mut warning = None;
    if let End::Bundle(version) = &end {
        let known = format!(
            "the same version as before: data, recipe and seed are those of {version}, which is kept as it was"
        );
        let (writer, model, version) = (Arc::clone(&jobs.0.writer), job.model.clone(), version.clone());
        let from = folder.clone();
        let installed = tokio::task::spawn_blocking(move || writer.install(&from, &model, &version)).await;
        match installed {
            Ok(Ok(new)) => warning = (!new).then_some(known),
            Ok(Err(error)) => end = End::Failed(error.to_string()),
            Err(error) => end = End::Failed(error.to_string()),
        }
    }
    // By now the bundle is copied to its place among the versions.
    let place = jobs.folder(id);
    let _ = tokio::task::spawn_blocking(move || house::tidy(&place)).await;
    let settled = jobs.settle(
        id,
        |state| state == JobState::Running,
        |job| match end {
            End::Bundle(version) => {
                job.version = Some(version);
                job.warnings.extend(warning);
                job.finish(JobState::Succeeded, None);
            }
            End::Failed(error) => job.finish(JobState::Failed, Some(error)),
            End::Cancelled => job.finish(JobState::Cancelled, None),
            End::Interrupted => job.finish(JobState::Interrupted, Some("the server ended while it ran".to_owned())),
        },
    );
    settled.await;
    if let Ok(job) = jobs.get(id) {
        match &job.error {
            Some(error) => warn!(job = id, state = job.state.name(), error, "job ended"),
            None => info!(job = id, state = job.state.name(), version = job.version, "job ended"),
        }
    }
}

async fn train(jobs: &Jobs, job: &Job, device: &str) -> std::io::Result<End> {
    let config = &jobs.0.config;
    let (writer, model) = (Arc::clone(&jobs.0.writer), job.model.clone());
    let cpu = DeviceChoice::Cpu.open().map_err(std::io::Error::other)?.device;
    // The new version is compared with the one that answers, so never with one that cannot be loaded.
    let answering = move || registry::answering(writer.folders(), &model, &cpu, true);
    let active = tokio::task::spawn_blocking(answering).await?.found.map(|found| found.folder);
    let half = || std::thread::available_parallelism().map_or(1, |cores| cores.get() / 2);
    let threads = if config.threads == 0 { half() } else { config.threads }.max(1);
    let folder = jobs.folder(job.id);
    let training = Training { config, folder: &folder, job, device, threads, active };
    let (mut cancelled, mut stopping) = (jobs.0.cancelled.subscribe(), jobs.0.stopping.subscribe());
    let log = folder.join(LOG_FILE);
    let log = tokio::task::spawn_blocking(move || File::create(log)).await??;
    let mut running = training.start(log)?;
    let mut version = None;
    loop {
        let next = tokio::select! {
            event = running.event() => Next::Line(event?),
            _ = cancelled.wait_for(|cancelled| *cancelled == Some(job.id)) => Next::End(End::Cancelled),
            _ = stopping.wait_for(|stopping| *stopping) => Next::End(End::Interrupted),
        };
        match next {
            Next::Line(Some(TrainingEvent::Progress(progress))) => jobs.note(job.id, |job| job.advance(progress)),
            Next::Line(Some(TrainingEvent::Warning { text })) => jobs.note(job.id, |job| job.warnings.push(text)),
            Next::Line(Some(TrainingEvent::Note { text })) => jobs.note(job.id, |job| job.notes.push(text)),
            Next::Line(Some(TrainingEvent::Done { version: done, .. })) => version = Some(done),
            Next::Line(Some(TrainingEvent::Other)) => {}
            Next::Line(None) => break,
            Next::End(end) => {
                // A killed training loses only its time: it writes only to the job's own folder.
                running.child.kill().await?;
                return Ok(end);
            }
        }
    }
    let status = running.child.wait().await?;
    Ok(match version {
        Some(version) if status.success() => End::Bundle(version),
        _ => {
            let (jobs, id) = (jobs.clone(), job.id);
            let log = tokio::task::spawn_blocking(move || jobs.log_tail(id)).await?;
            let last = log.lines().rev().find(|line| !line.trim().is_empty()).unwrap_or_default();
            let bound = match config.memory_bytes {
                0 => String::new(),
                _ if !wanted_memory(&log) => String::new(),
                bytes => format!("; it may take {bytes} bytes of memory (job-memory-bytes)"),
            };
            End::Failed(format!("the training ended with {status}: {last}{bound}"))
        }
    })
}
