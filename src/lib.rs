//! Alloy property prediction over HTTP: the Materials Composition Visualization Network (MCVN) of Yu, Wu and
//! Qian (2022), trained and served with candle.
//!
//! # The map
//! Dependencies only go from higher to lower ranks, and modules of one rank do not depend on each other; a test
//! enforces both.
//!
//! | rank | module | is |
//! |---|---|---|
//! | 0 | [`domain`] | the domain of a lab: elements, compositions, samples, schemas |
//! | 0 | `files` | files and folders that are whole after a crash |
//! | 0 | [`metrics`] | counters and measurements for operators, with names, units and bounded labels |
//! | 1 | [`featurize`] | from a sample to numbers: descriptors, image, feature row, scaling |
//! | 1 | [`tables`] | reading tables: encodings, separators, workbooks, headers, cells |
//! | 2 | [`model`] | the networks, their parameters, and the bundle that contains them |
//! | 3 | [`data`] | descriptions of data and results: recipes, rows, splits, reports |
//! | 4 | [`train`], [`registry`], [`keys`], [`store`] | from data to a bundle; bundles, keys and records on storage |
//! | 4 | [`doctor`] | what looks wrong in training data, before anything is trained |
//! | 4 | [`wire`] | the formats of clients: JSON, tables, lines |
//! | 5 | [`batcher`], [`bulk`], [`jobs`] | batching of requests into passes; threads for bulk work; retraining |
//! | 6 | [`serving`], [`admin`] | the models being served, and replacing them; administration |
//! | 7 | [`http`] | routes, errors, limits |
//! | 8 | [`app`], [`config`], [`telemetry`], [`cli`] | life cycle, configuration, logs, commands |
//!
//! # The path of one `POST /predict/steel`
//! 1. `http::middleware::layers` gives it an id, a log line, a deadline.
//! 2. `wire::request` reads bytes into raw samples; an invalid body is read again to name every wrong field.
//! 3. `http::predict::choose` chooses the bundle once, so schema, scaler and weights are of one version.
//! 4. [`domain::Sample::parse`] checks the sample against the bundle's schema and collects every complaint.
//! 5. [`featurize::featurize`] computes the features, on the worker that read the request.
//! 6. [`batcher::Batcher::submit`] takes room in the bounded queue, or refuses the request.
//! 7. The pass takes the waiting jobs, scales their features, calls [`model::Bundle::predict`], and replies.
//! 8. [`model::Manifest::trust`] judges the predictions: intervals, and whether the sample is in domain.
//! 9. `wire::reply` writes the answer: values with units, intervals, domain, assumptions.

pub mod admin;
pub mod app;
pub mod batcher;
pub mod bulk;
pub mod cli;
pub mod config;
pub mod data;
pub mod doctor;
pub mod domain;
pub mod featurize;
pub(crate) mod files;
pub mod http;
pub mod jobs;
pub mod keys;
pub mod memory;
pub mod metrics;
pub mod model;
pub mod registry;
pub mod serving;
pub mod store;
pub mod tables;
pub mod telemetry;
pub mod train;
pub mod wire;
