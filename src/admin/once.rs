//! Repeated requests: a request with a known key gets the stored answer, and the action is not run again.
//!
//! This holds for every action that changes something, also after a restart: the client chooses a key, and the key is
//! stored before anything is changed. The module knows neither HTTP headers nor the actions.

use std::collections::HashMap;
use std::sync::{Arc, Mutex, PoisonError};

use jiff::{SignedDuration, Timestamp};
use serde::{Deserialize, Serialize};
use tokio::sync::OwnedMutexGuard;

use crate::store::{Store, StoreError};

/// How long a key is remembered.
const REMEMBERED: SignedDuration = SignedDuration::from_hours(7 * 24);

/// A stored answer.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub struct Answer {
    /// The HTTP status.
    pub status: u16,
    /// Where the created resource can be found, relative to the requested address.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub location: Option<String>,
    /// The body.
    pub body: serde_json::Value,
}

/// The record of a key.
#[derive(Debug, Serialize, Deserialize)]
struct Kept {
    at: Timestamp,
    /// Fingerprint of the request.
    asked: String,
    /// `None` while the action runs.
    answer: Option<Answer>,
}

/// Why a request with a key is not answered.
#[derive(Debug, thiserror::Error)]
pub enum RepeatError {
    /// The key was used for another request.
    #[error("was used for another request: take another key for this one")]
    Other,
    /// It is unknown whether the action was completed.
    #[error(
        "the server ended while it did this, so nobody knows whether it was done: look at what is there, and ask with \
         another Idempotency-Key"
    )]
    Interrupted,
    /// A store error.
    #[error(transparent)]
    Store(#[from] StoreError),
}

/// The keys of requests, stored and under way.
#[derive(Debug)]
pub struct Once {
    store: Arc<Store>,
    under_way: Mutex<HashMap<String, Arc<tokio::sync::Mutex<()>>>>,
}

impl Once {
    pub(super) fn new(store: Arc<Store>) -> Self {
        Self { store, under_way: Mutex::new(HashMap::new()) }
    }

    /// Waits until no other request with this key runs. The caller must hold the guard until its request is done.
    pub async fn turn(&self, key: &str) -> OwnedMutexGuard<()> {
        let lock = {
            let mut under_way = self.under_way.lock().unwrap_or_else(PoisonError::into_inner);
            under_way.retain(|_, lock| Arc::strong_count(lock) > 1);
            Arc::clone(under_way.entry(key.to_owned()).or_default())
        };
        lock.lock_owned().await
    }

    /// The stored answer for this key; `None` if the request is new, and then its beginning is recorded.
    ///
    /// # Errors
    /// [`RepeatError`]; then the action must not be run.
    pub fn begin(&self, key: &str, asked: &str, now: Timestamp) -> Result<Option<Answer>, RepeatError> {
        let outdated = |kept: &Kept| now.duration_since(kept.at) > REMEMBERED;
        match self.store.request::<Kept>(key)?.filter(|kept| !outdated(kept)) {
            Some(kept) if kept.asked != asked => Err(RepeatError::Other),
            Some(Kept { answer: Some(answer), .. }) => Ok(Some(answer)),
            Some(_) => Err(RepeatError::Interrupted),
            None => {
                self.store.forget_requests(outdated)?;
                self.store.put_request(key, &Kept { at: now, asked: asked.to_owned(), answer: None })?;
                Ok(None)
            }
        }
    }

    /// Stores the answer for repetitions. Without an answer nothing was changed, and the key is free again.
    ///
    /// # Errors
    /// [`StoreError`]
    pub fn end(&self, key: &str, asked: &str, now: Timestamp, answer: Option<Answer>) -> Result<(), StoreError> {
        match answer {
            None => self.store.remove_request(key),
            answer => self.store.put_request(key, &Kept { at: now, asked: asked.to_owned(), answer }),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_key_stands_for_one_request_and_is_forgotten_in_time() {
        let folder = tempfile::tempdir().unwrap();
        let open = || Once::new(Arc::new(Store::open(&folder.path().join("mcvn.redb")).unwrap()));
        let at = |hours: i64| Timestamp::UNIX_EPOCH + SignedDuration::from_hours(hours);
        let once = open();
        let answer = Answer { status: 200, location: None, body: serde_json::json!({"version": "v1"}) };
        assert_eq!(once.begin("k", "promote v1", at(0)).unwrap(), None);
        once.end("k", "promote v1", at(0), Some(answer.clone())).unwrap();
        assert_eq!(once.begin("k", "promote v1", at(1)).unwrap(), Some(answer));
        assert!(matches!(once.begin("k", "promote v2", at(1)), Err(RepeatError::Other)));
        // A failed request may be tried again.
        assert_eq!(once.begin("failed", "x", at(1)).unwrap(), None);
        once.end("failed", "x", at(1), None).unwrap();
        assert_eq!(once.begin("failed", "x", at(1)).unwrap(), None);
        // That one never ended, so after a restart its outcome is unknown.
        drop(once);
        let once = open();
        assert!(matches!(once.begin("failed", "x", at(2)), Err(RepeatError::Interrupted)));
        assert_eq!(once.begin("k", "promote v2", at(7 * 24 + 1)).unwrap(), None, "forgotten");
    }
}
