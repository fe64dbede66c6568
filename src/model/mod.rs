//! The network, its parameters, and the bundle that carries them.
//!
//! Its own because this is the only place that knows tensors: features in, numbers in units out. It knows
//! `featurize` and candle; it does not know where files live, nor that a server exists.

mod attention;
mod bundle;
mod calibration;
mod committee;
mod config;
mod device;
mod direct;
mod forest;
mod fused;
mod image;
mod init;
mod kernel;
mod layers;
mod manifest;
mod mcvn;
mod member;
mod network;
mod probe;
mod residual;
mod trust;

pub use attention::{AttentionMode, Cohort, KeysValues};
pub use bundle::{Bundle, BundleError, MemberTensors, Predicted, encode_weights, sha256_hex};
pub use calibration::{
    BeforeAfter, CONFIDENCE_PERCENT, Calibration, DEFAULT_CONFIDENCE, apply_temperature, half_widths, percentiles,
};
pub use committee::{Verdict, mix_families};
pub use config::{Activation, Architecture, ConfigError, ImageChannel, McvnConfig, Norm};
pub use device::{DeviceChoice, DeviceError, OpenDevice};
pub use forest::{ForestConfig, MOST_FEATURES, Node, forest_tensors};
pub use image::component_buffer;
pub use init::{Dropout, SeededParameters, rng, shuffled};
pub use kernel::{KernelConfig, KernelTensors, combine, matern};
pub use layers::encoding_buffers;
pub use manifest::{
    DataRecord, Evaluation, Gate, MANIFEST_FORMAT, Manifest, MemberSpec, Reference, Scaling, Share, Spread,
};
pub use mcvn::{Attend, Mcvn, Pass};
pub use member::{Inputs, MemberKind, Said};
pub use network::{PLACES, cohort_tensors, reference_tensors};
pub use probe::{probe_features, probe_samples};
pub use residual::{HIDDEN, Measured, References, Voice};
pub use trust::{Confidence, ConfidenceError, Trust};
