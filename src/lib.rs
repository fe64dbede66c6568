//! Alloy property prediction over HTTP: the Materials Composition Visualization Network (MCVN) of Yu, Wu and
//! Qian (2022), trained and served with candle.
//!
//! # The map
//! Dependencies run down the ranks only, and modules of one rank don't see each other; a test enforces both.
//!
//! | rank | module | is |
//! |---|---|---|
//! | 0 | [`domain`] | what a lab talks about: elements, compositions, samples, schemas |
//! | 0 | `files` | files and folders that are whole after a crash |
//! | 0 | [`metrics`] | what operators count and measure, with names, units and bounded labels |
//! | 1 | [`featurize`] | from a sample to numbers: descriptors, image, feature row, scaling |
//! | 1 | [`tables`] | tables as labs have them: encodings, separators, workbooks, headers, cells |
//! | 2 | [`model`] | the network, its parameters, and the bundle that carries them |
//! | 3 | [`data`] | what describes data and results: recipes, rows, splits, reports |
//! | 4 | [`train`], [`registry`], [`keys`], [`store`] | from data to a bundle; bundles, keys and records on storage |
//! | 4 | [`wire`] | what clients write and read: JSON, tables, lines |
//! | 5 | [`batcher`], [`bulk`], [`jobs`] | concurrent requests become passes; threads for bulk work; retraining |
//! | 6 | [`serving`], [`admin`] | what answers right now, and swapping it; who may |
//! | 7 | [`http`] | routes, errors, limits |
//! | 8 | [`app`], [`config`], [`telemetry`], [`cli`] | life cycle, knobs, logs, commands |
//!
//! # The walk of one `POST /predict/steel`
//! 1. `http::middleware::layers` gives it an id, a log line, a deadline.
//! 2. `wire::request` reads bytes into raw samples; a shape that is wrong is read again to name every field.
//! 3. `http::predict::choose` chooses the bundle, once: schema, scaler and weights of the answer are of one version.
//! 4. [`domain::Sample::parse`] checks the sample against the bundle's schema and collects every complaint.
//! 5. [`featurize::featurize`] makes numbers, on the worker that read the request.
//! 6. [`batcher::Batcher::submit`] takes room in the bounded queue, or refuses.
//! 7. Whoever runs the pass takes what waits, scales, calls [`model::Bundle::predict`], and replies.
//! 8. [`model::Manifest::trust`] says how far they can be trusted: intervals, and whether the sample is in domain.
//! 9. `wire::reply` puts the numbers into words: units, intervals, domain, what was assumed.

pub mod admin;
pub mod app;
pub mod batcher;
pub mod bulk;
pub mod cli;
pub mod config;
pub mod data;
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
