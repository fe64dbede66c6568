//! The units that people mix up, and what a value in the wrong one really is: ksi for MPa, °F for °C, a lost decimal
//! mark.

/// A way to misread a value, with the way back.
#[derive(Clone, Copy, Debug, PartialEq)]
pub(super) struct Jump {
    /// What the value probably is, such as `ksi`; empty for a lost decimal mark.
    pub(super) unit: &'static str,
    /// The way back in words, such as `× 6.895`.
    pub(super) words: &'static str,
    factor: f64,
    offset: f64,
}

const fn times(unit: &'static str, words: &'static str, factor: f64) -> Jump {
    Jump { unit, words, factor, offset: 0.0 }
}

const DECIMAL: [Jump; 6] = [
    times("", "÷ 10", 0.1),
    times("", "× 10", 10.0),
    times("", "÷ 100", 0.01),
    times("", "× 100", 100.0),
    times("", "÷ 1000", 0.001),
    times("", "× 1000", 1000.0),
];
const STRESS: [Jump; 3] = [
    times("ksi", "× 6.895", 6.894_757),
    times("psi", "÷ 145.04", 0.006_894_757),
    times("kgf/mm²", "× 9.807", 9.806_65),
];
const HARDNESS: [Jump; 1] = [times("MPa", "÷ 9.807", 1.0 / 9.806_65)];
const CELSIUS: [Jump; 2] = [
    Jump { unit: "°F", words: "(value − 32) ÷ 1.8", factor: 1.0 / 1.8, offset: -32.0 / 1.8 },
    Jump { unit: "K", words: "− 273.15", factor: 1.0, offset: -273.15 },
];
const KELVIN: [Jump; 1] = [Jump { unit: "°C", words: "+ 273.15", factor: 1.0, offset: 273.15 }];
const HOURS: [Jump; 2] = [times("min", "÷ 60", 1.0 / 60.0), times("s", "÷ 3600", 1.0 / 3600.0)];
const MINUTES: [Jump; 2] = [times("h", "× 60", 60.0), times("s", "÷ 60", 1.0 / 60.0)];
const LENGTH: [Jump; 1] = [times("inch", "× 25.4", 25.4)];

/// The jumps of values in a unit, named units first.
pub(super) fn jumps(unit: &str) -> Vec<Jump> {
    let named: &[Jump] = match unit {
        "MPa" | "N/mm²" | "N/mm2" => &STRESS,
        "HV" | "HB" => &HARDNESS,
        "°C" => &CELSIUS,
        "K" => &KELVIN,
        "h" => &HOURS,
        "min" => &MINUTES,
        "mm" => &LENGTH,
        _ => &[],
    };
    let decimal: &[Jump] = if matches!(unit, "°C" | "K") { &DECIMAL[..2] } else { &DECIMAL };
    named.iter().chain(decimal).copied().collect()
}

impl Jump {
    /// What a value really is, if it was misread in this way.
    pub(super) fn back(&self, value: f64) -> f64 {
        value * self.factor + self.offset
    }

    /// Whether it is a lost or misplaced decimal mark, and no unit.
    pub(super) fn is_decimal(&self) -> bool {
        self.unit.is_empty()
    }

    /// What happened, such as `ksi for MPa`.
    pub(super) fn reason(&self, unit: &str) -> String {
        match self.is_decimal() {
            true => "a lost or misplaced decimal mark".to_owned(),
            false => format!("{} for {unit}", self.unit),
        }
    }

    /// The way back with its result, such as `× 6.895 = 689 MPa`.
    pub(super) fn suggestion(&self, value: f64, unit: &str) -> String {
        format!("{} = {} {unit}", self.words, shown(self.back(value))).trim_end().to_owned()
    }
}

/// A number with four significant digits, without trailing zeros.
pub(super) fn shown(value: f64) -> String {
    if !value.is_finite() || value == 0.0 {
        return value.to_string();
    }
    let digits = 3 - value.abs().log10().floor() as i32;
    let rounded = match digits {
        0.. => format!("{value:.*}", digits.min(12) as usize),
        _ => {
            let unit = 10f64.powi(-digits);
            format!("{:.0}", (value / unit).round() * unit)
        }
    };
    match rounded.contains('.') {
        true => rounded.trim_end_matches('0').trim_end_matches('.').to_owned(),
        false => rounded,
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn one_hundred_ksi_are_689_mpa() {
        let ksi = jumps("MPa")[0];
        assert_eq!(ksi.suggestion(100.0, "MPa"), "× 6.895 = 689.5 MPa");
        assert_eq!(ksi.reason("MPa"), "ksi for MPa");
        let fahrenheit = jumps("°C")[0];
        assert!((fahrenheit.back(212.0) - 100.0).abs() < 1e-9);
        assert!(jumps("").iter().all(Jump::is_decimal));
    }

    #[test]
    fn numbers_are_short() {
        let cases = [(0.0, "0"), (689.4757, "689.5"), (0.0066, "0.0066"), (12_345.6, "12350"), (-0.5, "-0.5")];
        cases.into_iter().for_each(|(value, text)| assert_eq!(shown(value), text));
    }
}
