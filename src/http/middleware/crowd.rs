//! Handles connections above the limit.
//!
//! Probes must always be answered. So some additional connections are accepted; a probe on them is answered at once,
//! any other request only if a slot becomes free soon.

use std::sync::{Arc, OnceLock};
use std::time::Duration;

use axum::extract::Request;
use tokio::sync::{OwnedSemaphorePermit, Semaphore};

use super::observe::PROBES;

/// How long a request waits for a slot.
const PATIENCE: Duration = Duration::from_secs(1);

/// Marks a request for which there is no slot.
#[derive(Clone, Copy, Debug)]
pub(in crate::http) struct Crowded;

/// The connection slot of one connection.
#[derive(Clone, Debug)]
pub(in crate::http) struct Seating {
    seats: Arc<Semaphore>,
    /// The slot, if there is one; held as long as the connection is open.
    seat: Arc<OnceLock<OwnedSemaphorePermit>>,
}

impl Seating {
    /// Takes a slot if one is free.
    pub(in crate::http) fn new(seats: &Arc<Semaphore>) -> Self {
        let seat = Arc::clone(seats).try_acquire_owned().ok().map_or_else(OnceLock::new, OnceLock::from);
        Self { seats: Arc::clone(seats), seat: Arc::new(seat) }
    }

    /// Whether the connection has no slot.
    pub(in crate::http) fn is_guest(&self) -> bool {
        self.seat.get().is_none()
    }

    /// Whether a request on this connection is answered.
    pub(in crate::http) async fn admit(&self, path: &str) -> bool {
        if !self.is_guest() || PROBES.contains(&path) {
            return true;
        }
        let waited = tokio::time::timeout(PATIENCE, Arc::clone(&self.seats).acquire_owned()).await;
        let Ok(Ok(seat)) = waited else { return false };
        // Another request on this connection may already have set it.
        let _ = self.seat.set(seat);
        true
    }
}

/// Whether there is no slot for a request.
pub(in crate::http) fn is_crowded(request: &Request) -> bool {
    request.extensions().get::<Crowded>().is_some()
}
