//! The network, its parameters, and the bundle that carries them.
//!
//! Its own because this is the only place that knows tensors: features in, numbers in units out. It knows
//! `featurize` and candle; it does not know where files live, nor that a server exists.

mod attention;
mod bundle;
mod config;
mod device;
mod init;
mod manifest;
mod mcvn;
mod probe;

pub use attention::{AttentionMode, Cohort, KeysValues};
pub use bundle::{Bundle, BundleError, Member, encode_weights, sha256_hex};
pub use config::{Activation, Architecture, ConfigError, ImageChannel, McvnConfig, Norm};
pub use device::{DeviceChoice, DeviceError, OpenDevice};
pub use init::{Dropout, SeededParameters, rng, shuffled};
pub use manifest::{DataRecord, Evaluation, MANIFEST_FORMAT, Manifest, MemberSpec, Scaling, Spread};
pub use mcvn::{Attend, Mcvn, Pass};
pub use probe::{probe_features, probe_samples};
