//! Draws the grey image of a composition as a PNG file, for people. Predictions do not use it.
//!
//! A single composition has no training rows to scale by, so each pixel is scaled to its possible range: from the least
//! to the largest value of its property over all elements (for a variance: from 0 to the square of half that span).

use embedded_graphics::mono_font::MonoTextStyle;
use embedded_graphics::mono_font::ascii::FONT_4X6;
use embedded_graphics::pixelcolor::Rgb888;
use embedded_graphics::prelude::*;
use embedded_graphics::primitives::{PrimitiveStyle, Rectangle};
use embedded_graphics::text::{Baseline, Text};

use crate::domain::{Composition, Element};

use super::image::{COLUMNS, PIXELS, ROWS, pixel_label, pixels};
use super::statistics::descriptors;
use super::table::{property_names, property_values};

/// Why an image was not drawn.
#[derive(Debug, thiserror::Error)]
pub enum DrawError {
    /// The encoder failed.
    #[error("cannot encode the image: {0}")]
    Encode(#[from] png::EncodingError),
}

/// Grey levels of a composition (0 black, 255 white), row by row, each pixel scaled to its possible range.
pub fn grey_levels(composition: &Composition) -> [u8; PIXELS] {
    let values = pixels(&descriptors(composition));
    std::array::from_fn(|pixel| {
        let Some((low, high)) = possible_range(pixel, composition.total()) else { return 0 };
        let level = 255.0 * (values[pixel] - low) / (high - low);
        level.clamp(0.0, 255.0).round_ties_even() as u8
    })
}

fn possible_range(pixel: usize, total: f64) -> Option<(f64, f64)> {
    let label = pixel_label(pixel)?;
    let (statistic, name) = label.split_once(':')?;
    let property = property_names().iter().position(|known| *known == name)?;
    let values = Element::ALL.map(|element| property_values(element)[property]);
    let low = values.iter().copied().fold(f64::INFINITY, f64::min);
    let high = values.iter().copied().fold(f64::NEG_INFINITY, f64::max);
    Some(match statistic {
        "var" => (0.0, ((high - low) / 2.0).powi(2)),
        "sum" => (low * total, high * total),
        _ => (low, high),
    })
}

/// Encodes grey levels as a PNG. Each pixel becomes a square of `scale` × `scale` (1 to 100; at least 40 with `labels`,
/// which write the property of each block into its top row).
///
/// # Errors
/// [`DrawError::Encode`] from the PNG encoder.
pub fn draw_png(levels: &[u8; PIXELS], scale: u32, labels: bool) -> Result<Vec<u8>, DrawError> {
    // The longest name has 29 characters, each 4 pixels wide. It fits into three squares of 40.
    let scale = if labels { scale.clamp(40, 100) } else { scale.clamp(1, 100) };
    let mut canvas = Canvas::new(COLUMNS as u32 * scale, ROWS as u32 * scale);
    let corner = |pixel: usize| Point::new((pixel % COLUMNS) as i32, (pixel / COLUMNS) as i32) * scale as i32;
    for (pixel, level) in levels.iter().enumerate() {
        let square = Rectangle::new(corner(pixel), Size::new_equal(scale));
        let Ok(()) =
            square.into_styled(PrimitiveStyle::with_fill(Rgb888::new(*level, *level, *level))).draw(&mut canvas);
    }
    // A label covers the whole width of its block, so labels are drawn after all squares.
    let blocks = (0..PIXELS).filter_map(|pixel| Some((pixel, pixel_label(pixel)?)));
    for (pixel, label) in blocks.filter(|_| labels) {
        if let Some(name) = label.strip_prefix("sum:") {
            let style = MonoTextStyle::new(&FONT_4X6, Rgb888::new(255, 160, 0));
            let text = Text::with_baseline(name, corner(pixel) + Point::new(1, 1), style, Baseline::Top);
            let Ok(_) = text.draw(&mut canvas);
        }
    }
    canvas.encode()
}

/// An RGB image in memory that `embedded-graphics` can draw on.
struct Canvas {
    size: Size,
    bytes: Vec<u8>,
}

impl Canvas {
    fn new(width: u32, height: u32) -> Self {
        Self { size: Size::new(width, height), bytes: vec![0; (width * height * 3) as usize] }
    }

    fn encode(&self) -> Result<Vec<u8>, DrawError> {
        let mut file = Vec::new();
        let mut encoder = png::Encoder::new(&mut file, self.size.width, self.size.height);
        encoder.set_color(png::ColorType::Rgb);
        encoder.set_depth(png::BitDepth::Eight);
        let mut writer = encoder.write_header()?;
        writer.write_image_data(&self.bytes)?;
        writer.finish()?;
        Ok(file)
    }
}

impl OriginDimensions for Canvas {
    fn size(&self) -> Size {
        self.size
    }
}

impl DrawTarget for Canvas {
    type Color = Rgb888;
    type Error = std::convert::Infallible;

    fn draw_iter<I: IntoIterator<Item = Pixel<Rgb888>>>(&mut self, pixels: I) -> Result<(), Self::Error> {
        for Pixel(point, color) in pixels {
            let inside =
                (0..self.size.width as i32).contains(&point.x) && (0..self.size.height as i32).contains(&point.y);
            if inside {
                let at = (point.y as usize * self.size.width as usize + point.x as usize) * 3;
                self.bytes[at..at + 3].copy_from_slice(&[color.r(), color.g(), color.b()]);
            }
        }
        Ok(())
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::domain::parse_formula;

    #[test]
    fn a_png_of_the_right_size() {
        let levels = grey_levels(&parse_formula("Zr41.2Ti13.8Cu12.5Ni10Be22.5").unwrap());
        assert!(levels.iter().any(|level| *level > 128) && levels.contains(&0));
        let file = draw_png(&levels, 4, false).unwrap();
        let reader = png::Decoder::new(std::io::Cursor::new(&file)).read_info().unwrap();
        assert_eq!(reader.info().size(), (84, 96));
        assert!(draw_png(&levels, 4, true).unwrap().len() > file.len());
    }
}
