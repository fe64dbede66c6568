//! What happens where as many connections are open as may be.
//!
//! Its own because probes must come through whatever strangers do: a few connections more are accepted, on which a probe is
//! answered at once, and any other request only if a place becomes free soon.

use std::sync::{Arc, OnceLock};
use std::time::Duration;

use axum::extract::Request;
use tokio::sync::{OwnedSemaphorePermit, Semaphore};

use super::observe::PROBES;

/// For so long a request waits for a place.
const PATIENCE: Duration = Duration::from_secs(1);

/// Left in a request for which there is no place.
#[derive(Clone, Copy, Debug)]
pub(in crate::http) struct Crowded;

/// The place of one connection.
#[derive(Clone, Debug)]
pub(in crate::http) struct Seating {
    seats: Arc<Semaphore>,
    /// Held as long as the connection.
    seat: Arc<OnceLock<OwnedSemaphorePermit>>,
}

impl Seating {
    /// Takes a place where there is one.
    pub(in crate::http) fn new(seats: &Arc<Semaphore>) -> Self {
        let seat = Arc::clone(seats).try_acquire_owned().ok().map_or_else(OnceLock::new, OnceLock::from);
        Self { seats: Arc::clone(seats), seat: Arc::new(seat) }
    }

    /// Whether the connection has no place.
    pub(in crate::http) fn is_guest(&self) -> bool {
        self.seat.get().is_none()
    }

    /// Whether a request on it is answered.
    pub(in crate::http) async fn admit(&self, path: &str) -> bool {
        if !self.is_guest() || PROBES.contains(&path) {
            return true;
        }
        let waited = tokio::time::timeout(PATIENCE, Arc::clone(&self.seats).acquire_owned()).await;
        let Ok(Ok(seat)) = waited else { return false };
        // Another request of the connection may have been faster.
        let _ = self.seat.set(seat);
        true
    }
}

/// Whether there is no place for a request.
pub(in crate::http) fn is_crowded(request: &Request) -> bool {
    request.extensions().get::<Crowded>().is_some()
}
