//! The server from outside: one binary, real sockets on loopback, the shipped models.

#![allow(clippy::unwrap_used, clippy::panic, reason = "a test fails by panicking")]

mod admin_access;
mod admin_audit;
mod admin_bounds;
mod admin_events;
mod admin_faults;
mod admin_house;
mod admin_jobs;
mod admin_repeats;
mod admin_versions;
mod any_model;
mod batching;
mod bodies;
mod bulk;
mod compositions;
mod connections;
mod degraded;
mod doubts;
mod drain;
mod errors;
mod evidence;
mod featurize_cli;
mod health;
mod healthcheck;
mod kill;
mod lab_files;
mod lifecycle;
mod models_cli;
mod mutation;
mod observe;
mod predict;
mod process;
mod readme;
mod story;
mod strangers;
mod support;
mod table;
mod tables;
mod trust;
mod unmeasured;
mod workbooks;
