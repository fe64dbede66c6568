//! The 24 × 21 grey image of a composition (the paper's Fig. 3): 8 × 7 blocks of 3 × 3 pixels.
//!
//! A block shows one property: row 0 sum, 0, variance; row 1 geometric, arithmetic and harmonic mean; row 2 maximum, 0,
//! minimum. The layout of the blocks is in `image_layout.csv`. The two Herfindahl-Hirschman indices (`hhi_p`, `hhi_r`)
//! are not part of the image.

use std::sync::LazyLock;

use super::statistics::{Descriptors, STATISTICS, Statistic, descriptor_label};
use super::table::{PROPERTIES, property_names};

/// Height of the image.
pub const ROWS: usize = 24;
/// Width of the image.
pub const COLUMNS: usize = 21;
/// Number of pixels.
pub const PIXELS: usize = ROWS * COLUMNS;

/// The blocks, row by row: a header line, then `block_row` and seven property names per line.
pub(super) const LAYOUT_CSV: &str = include_str!("image_layout.csv");

const BLOCK: [[Option<Statistic>; 3]; 3] = [
    [Some(Statistic::Sum), None, Some(Statistic::Variance)],
    [Some(Statistic::GeometricMean), Some(Statistic::Average), Some(Statistic::HarmonicMean)],
    [Some(Statistic::Maximum), None, Some(Statistic::Minimum)],
];

/// Pairs of a pixel index (row by row) and the index of the descriptor it shows.
#[expect(clippy::expect_used, reason = "the layout is part of the program, and a test reads it")]
static LAYOUT: LazyLock<Vec<(usize, usize)>> = LazyLock::new(|| {
    let mut layout = Vec::new();
    for (block_row, line) in LAYOUT_CSV.lines().skip(1).enumerate() {
        for (block_column, name) in line.split(',').skip(1).enumerate() {
            let property = property_names().iter().position(|known| *known == name).expect("a known property");
            for (row, column, statistic) in block_cells() {
                let block = STATISTICS.iter().position(|known| *known == statistic).expect("a known statistic");
                let pixel = (block_row * 3 + row) * COLUMNS + block_column * 3 + column;
                layout.push((pixel, block * PROPERTIES + property));
            }
        }
    }
    layout
});

fn block_cells() -> impl Iterator<Item = (usize, usize, Statistic)> {
    BLOCK.iter().enumerate().flat_map(|(row, line)| {
        line.iter().enumerate().filter_map(move |(column, statistic)| statistic.map(|known| (row, column, known)))
    })
}

/// The descriptors arranged as an image, unscaled: 504 values, row by row. Empty pixels are 0.
pub fn pixels(descriptors: &Descriptors) -> Box<[f64; PIXELS]> {
    let mut image = Box::new([0.0; PIXELS]);
    for (pixel, descriptor) in LAYOUT.iter() {
        image[*pixel] = descriptors.values()[*descriptor];
    }
    image
}

/// The label of the descriptor at a pixel; `None` for an empty pixel.
pub fn pixel_label(pixel: usize) -> Option<String> {
    LAYOUT.iter().find(|(known, _)| *known == pixel).map(|(_, descriptor)| descriptor_label(*descriptor))
}

#[cfg(test)]
mod tests {
    use super::*;
    use std::collections::HashSet;

    #[test]
    fn every_descriptor_but_the_indices_has_one_place() {
        let places: Vec<usize> = LAYOUT.iter().map(|(_, descriptor)| *descriptor).collect();
        assert_eq!(places.len(), 56 * 7);
        assert_eq!(places.iter().collect::<HashSet<_>>().len(), 56 * 7);
        assert!(places.iter().all(|index| !descriptor_label(*index).contains("hhi_")));
    }

    #[test]
    fn known_places() {
        // Fig. 3: top left is Pauling's electronegativity, bottom right the atomic volume.
        assert_eq!(pixel_label(0).as_deref(), Some("sum:en_pauling"));
        assert_eq!(pixel_label(1), None);
        assert_eq!(pixel_label(2).as_deref(), Some("var:en_pauling"));
        assert_eq!(pixel_label(COLUMNS + 1).as_deref(), Some("ave:en_pauling"));
        assert_eq!(pixel_label(PIXELS - 1).as_deref(), Some("min:atomic_volume"));
        assert_eq!(pixel_label(PIXELS), None);
    }
}
