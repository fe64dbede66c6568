//! Cells of a table, written directly as bytes: a million rows of thirty cells must not need a string for each cell.

use std::fmt::{Display, Write};

use crate::tables::would_run;

/// Writes the cells of a row one after the other, with quotes where needed.
pub(super) struct Cells<'a> {
    bytes: &'a mut Vec<u8>,
    first: bool,
    /// Whether texts that a spreadsheet would run as a formula get an apostrophe.
    safe: bool,
}

impl<'a> Cells<'a> {
    pub(super) fn new(bytes: &'a mut Vec<u8>, safe: bool) -> Self {
        Self { bytes, first: true, safe }
    }

    fn separate(&mut self) {
        if !self.first {
            self.bytes.push(b',');
        }
        self.first = false;
    }

    pub(super) fn text(&mut self, text: &str) {
        self.separate();
        let guard: &[u8] = if self.safe && would_run(text) { b"'" } else { b"" };
        let plain = |byte: &u8| !matches!(byte, b',' | b'"' | b'\n' | b'\r');
        if text.as_bytes().iter().all(plain) {
            self.bytes.extend_from_slice(guard);
            self.bytes.extend_from_slice(text.as_bytes());
            return;
        }
        self.bytes.push(b'"');
        self.bytes.extend_from_slice(guard);
        for byte in text.bytes() {
            self.bytes.extend(std::iter::repeat_n(byte, if byte == b'"' { 2 } else { 1 }));
        }
        self.bytes.push(b'"');
    }

    pub(super) fn texts(&mut self, texts: impl IntoIterator<Item = impl AsRef<str>>) {
        texts.into_iter().for_each(|text| self.text(text.as_ref()));
    }

    /// Writes several parts into one cell.
    pub(super) fn joined(&mut self, parts: impl IntoIterator<Item = impl Display>) {
        let mut parts = parts.into_iter();
        let Some(first) = parts.next() else { return self.text("") };
        let mut joined = first.to_string();
        for part in parts {
            // Writing into a string cannot fail.
            let _ = write!(joined, "; {part}");
        }
        self.text(&joined);
    }

    pub(super) fn percent(&mut self, value: Option<u8>) {
        self.separate();
        if let Some(value) = value {
            digits(self.bytes, u64::from(value), 1);
        }
    }

    /// Writes a number with at most this many decimals.
    pub(super) fn number(&mut self, value: f64, decimals: u32) {
        self.separate();
        let factor = 10f64.powi(decimals as i32);
        let scaled = (value * factor).round();
        if scaled.abs() >= 1e15 || scaled.is_nan() {
            self.bytes.extend_from_slice(value.to_string().as_bytes());
            return;
        }
        if scaled < 0.0 {
            self.bytes.push(b'-');
        }
        let (scaled, factor) = (scaled.abs() as u64, 10u64.pow(decimals));
        digits(self.bytes, scaled / factor, 1);
        let (mut rest, mut width) = (scaled % factor, decimals as usize);
        while rest > 0 && rest.is_multiple_of(10) {
            (rest, width) = (rest / 10, width - 1);
        }
        if rest > 0 {
            self.bytes.push(b'.');
            digits(self.bytes, rest, width);
        }
    }

    pub(super) fn end(self) {
        self.bytes.push(b'\n');
    }
}

/// Writes decimal digits, with leading zeros up to `width`.
fn digits(bytes: &mut Vec<u8>, mut value: u64, width: usize) {
    let mut text = [b'0'; 20];
    let mut start = text.len();
    while value > 0 || text.len() - start < width {
        start -= 1;
        text[start] = b'0' + (value % 10) as u8;
        value /= 10;
    }
    bytes.extend_from_slice(&text[start..]);
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    fn written(write: impl FnOnce(&mut Cells)) -> String {
        let mut bytes = Vec::new();
        let mut cells = Cells::new(&mut bytes, false);
        write(&mut cells);
        cells.end();
        String::from_utf8(bytes).unwrap()
    }

    #[test]
    fn cells_are_quoted_where_they_must_be() {
        let line = written(|cells| {
            cells.texts(["a", "", "b,c", "say \"x\""]);
            cells.joined(["p", "q"]);
            cells.joined(Vec::<String>::new());
            cells.percent(Some(7));
            cells.percent(None);
        });
        assert_eq!(line, "a,,\"b,c\",\"say \"\"x\"\"\",p; q,,7,\n");
    }

    #[test]
    fn what_a_spreadsheet_would_run_is_guarded_where_that_is_asked() {
        let mut bytes = Vec::new();
        let mut cells = Cells::new(&mut bytes, true);
        cells.texts(["=1+1", "@a,b", "-1.5", "a", "\ta"]);
        cells.number(-2.5, 1);
        cells.end();
        assert_eq!(String::from_utf8(bytes).unwrap(), "'=1+1,\"'@a,b\",-1.5,a,'\ta,-2.5\n");
        assert_eq!(written(|cells| cells.text("=1+1")), "=1+1\n");
    }

    #[test]
    fn numbers_have_no_more_decimals_than_asked() {
        for (value, text) in [(0.0, "0"), (-0.0001, "0"), (512.0, "512"), (512.34567, "512.346"), (-0.05, "-0.05")] {
            assert_eq!(written(|cells| cells.number(value, 3)), format!("{text}\n"));
        }
        assert_eq!(written(|cells| cells.number(1e300, 3)).len(), 302);
        assert_eq!(written(|cells| cells.number(f64::NAN, 3)), "NaN\n");
    }

    proptest! {
        #[test]
        fn numbers_read_back_as_the_rounded_value(value in -1e6f64..1e6, decimals in 0u32..7) {
            let line = written(|cells| cells.number(value, decimals));
            let factor = 10f64.powi(decimals as i32);
            prop_assert_eq!(line.trim().parse::<f64>().unwrap(), (value * factor).round() / factor);
        }
    }
}
