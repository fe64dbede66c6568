//! The device thread: runs waiting jobs, short requests first.
//!
//! A device belongs to one OS thread. This thread also decides the order of passes: first all short requests that
//! wait, then one part of bulk work, and so on. So neither kind can starve the other.

use std::collections::VecDeque;

use tokio::sync::mpsc::UnboundedReceiver;

use super::passes::{Job, Lane, Observer, run};

/// Runs jobs until every handle is dropped and the queue is empty.
pub(super) fn serve(mut receiver: UnboundedReceiver<Job>, max_batch: usize, observer: &Observer) {
    let (mut short, mut bulk) = (VecDeque::new(), VecDeque::new());
    let sort = |job: Job, short: &mut VecDeque<Job>, bulk: &mut VecDeque<Job>| match job.lane {
        Lane::Short => short.push_back(job),
        Lane::Bulk => bulk.push_back(job),
    };
    loop {
        if short.is_empty() && bulk.is_empty() {
            let Some(job) = receiver.blocking_recv() else { return };
            sort(job, &mut short, &mut bulk);
        }
        while let Ok(job) = receiver.try_recv() {
            sort(job, &mut short, &mut bulk);
        }
        run(first(&mut short, max_batch), max_batch, observer);
        run(first(&mut bulk, max_batch), max_batch, observer);
    }
}

/// Takes jobs from the front, as many as fit into one pass.
fn first(jobs: &mut VecDeque<Job>, max_batch: usize) -> Vec<Job> {
    let mut samples = 0;
    let fits = |job: &&Job| {
        samples += job.samples();
        samples <= max_batch
    };
    let count = jobs.iter().take_while(fits).count().max(1).min(jobs.len());
    jobs.drain(..count).collect()
}
