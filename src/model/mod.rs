//! The models: networks and other ensemble members, their parameters, and the bundle that contains them.
//!
//! Only this module and the trainer know tensors: features in, numbers in units out. It knows `featurize` and candle.
//! It does not know where files are stored, nor that there is a server.

mod bundle;
mod device;
mod digest;
mod ensemble;
mod error;
mod members;
mod nn;
mod probabilities;
mod probe;
mod rng;
mod spec;
mod trust;
mod validate;
mod weights;
mod widen;

pub use bundle::{Bundle, Predicted};
pub use device::{DeviceChoice, DeviceError, OpenDevice};
pub use digest::sha256_hex;
pub use ensemble::{EnsembleOutput, mix_families};
pub use error::BundleError;
pub use members::gp::{GpTensors, combine, matern};
pub use members::member::{Inputs, MemberOutput};
pub use members::network::{PLACES, cohort_tensors, reference_tensors};
pub use members::trees::{MOST_FEATURES, Node, forest_tensors};
pub use nn::attention::{Attend, KeysValues, ReferenceKv};
pub use nn::image::component_buffer;
pub use nn::init::{Dropout, SeededParameters};
pub use nn::layers::encoding_buffers;
pub use nn::mcvn::{Mcvn, Pass};
pub use nn::residual::{HIDDEN, Measured, ReferenceAttention, References};
pub use probabilities::to_probabilities;
pub use probe::{probe_features, probe_samples};
pub use rng::{rng, shuffled};
pub use spec::calibration::{BeforeAfter, Calibration, apply_temperature, percentiles};
pub use spec::errors::{ErrorModel, Reach, Signals, TargetErrors, log_disagreement, standardised};
pub use spec::kinds::{Kind, Kinds, Nearest};
pub use spec::levels::{CONFIDENCE_PERCENT, DEFAULT_CONFIDENCE, half_widths};
pub use spec::limits::{Condition, ConditionalLimit, Limit};
pub use spec::manifest::{
    DataRecord, Evaluation, EvidenceRecord, Gate, MANIFEST_FORMAT, Manifest, MemberSpec, Reference, Scaling, Share,
    Spread,
};
pub use spec::members::{ForestConfig, GpConfig, MemberKind};
pub use spec::network::{Activation, Architecture, AttentionMode, ConfigError, ImageChannel, McvnConfig, Norm};
pub use spec::training_inputs::{InputDistance, TrainingInputs};
pub use trust::{Confidence, ConfidenceError, Trust, TrustOptions};
pub use weights::{MemberTensors, encode_weights};
