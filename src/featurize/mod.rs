//! Features of a checked sample: 406 element-property descriptors, the 24 × 21 grey image, the feature row, and their
//! scaling.
//!
//! This module is pure arithmetic on `domain` values, without tensors, runtime or files. The server, the trainer and
//! the command line use the same functions.

mod draw;
mod features;
mod image;
mod scaling;
mod statistics;
mod table;

pub use draw::{DrawError, draw_png, grey_levels};
pub use features::{Draws, FeatureSpec, Features, ImageSpec, featurize, row_width};
pub use image::{COLUMNS, PIXELS, ROWS, pixel_label, pixels};
pub use scaling::{ColumnStatistics, Scaler, StandardScaler};
pub use statistics::{DESCRIPTORS, Descriptors, STATISTICS, Statistic, descriptor_label, descriptors};
pub use table::{PROPERTIES, property_names, property_values};

use sha2::{Digest, Sha256};

/// Version of the featurizer: a hash of the element table and the image layout. A bundle with another version is
/// refused.
pub fn featurizer_version() -> String {
    let mut hash = Sha256::new();
    hash.update(table::ELEMENTS_CSV);
    hash.update(image::LAYOUT_CSV);
    let hex: String = hash.finalize().iter().take(8).map(|byte| format!("{byte:02x}")).collect();
    format!("xenonpy58-{hex}")
}
