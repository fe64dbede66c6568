//! Units of columns, and exact conversions between them. A column in °F or ksi can be converted; one in HRC cannot be
//! converted to HV.

use super::looks::plain;
use crate::domain::Basis;

/// value · factor + offset
#[derive(Clone, Copy, Debug, PartialEq)]
pub struct Conversion {
    /// The factor.
    pub factor: f64,
    /// The offset, added after the multiplication.
    pub offset: f64,
}

/// Units of the same quantity, each as a multiple of the first; spelt as by [`plain`].
#[rustfmt::skip]
const KINDS: [&[(&str, f64)]; 10] = [
    &[("mpa", 1.0), ("n/mm2", 1.0), ("n/mm^2", 1.0), ("mn/m2", 1.0), ("gpa", 1000.0), ("kpa", 1e-3), ("pa", 1e-6),
      ("ksi", 6.894_757_293_168_361), ("psi", 6.894_757_293_168_361e-3), ("kgf/mm2", 9.80665), ("kg/mm2", 9.80665),
      ("kgf/mm^2", 9.80665), ("kg/mm^2", 9.80665), ("bar", 0.1)],
    &[("h", 1.0), ("hr", 1.0), ("hrs", 1.0), ("hour", 1.0), ("hours", 1.0), ("std", 1.0), ("min", 1.0 / 60.0),
      ("mins", 1.0 / 60.0), ("minutes", 1.0 / 60.0), ("s", 1.0 / 3600.0), ("sec", 1.0 / 3600.0),
      ("seconds", 1.0 / 3600.0), ("d", 24.0), ("day", 24.0), ("days", 24.0)],
    &[("mm", 1.0), ("um", 1e-3), ("micron", 1e-3), ("microns", 1e-3), ("nm", 1e-6), ("cm", 10.0), ("m", 1000.0),
      ("in", 25.4), ("inch", 25.4)],
    &[("j", 1.0), ("kj", 1000.0), ("ft*lb", 1.355_817_948_331_4), ("ftlb", 1.355_817_948_331_4),
      ("ft-lb", 1.355_817_948_331_4), ("ftlbf", 1.355_817_948_331_4)],
    &[("°c/s", 1.0), ("c/s", 1.0), ("k/s", 1.0), ("°c/min", 1.0 / 60.0), ("c/min", 1.0 / 60.0), ("k/min", 1.0 / 60.0),
      ("°c/h", 1.0 / 3600.0), ("k/h", 1.0 / 3600.0)],
    &[("%", 1.0), ("pct", 1.0), ("percent", 1.0)],
    &[("hv", 1.0), ("vickers", 1.0), ("hv1", 1.0), ("hv5", 1.0), ("hv10", 1.0), ("hv20", 1.0), ("hv30", 1.0),
      ("hv0,5", 1.0), ("kgf/mm2(hv)", 1.0)],
    &[("hb", 1.0), ("hbw", 1.0), ("hbs", 1.0), ("brinell", 1.0), ("bhn", 1.0)],
    &[("hrc", 1.0)],
    &[("hrb", 1.0)],
];
/// Indices of [`KINDS`] that are hardness scales. There are tables but no exact conversions between them.
const HARDNESSES: std::ops::Range<usize> = 6..10;

/// Factor and offset to °C.
const TEMPERATURES: [(&[&str], f64, f64); 3] = [
    (&["°c", "degc", "deg c", "c", "celsius", "degreesc", "degrees celsius", "grad c", "gradc"], 1.0, 0.0),
    (&["k", "kelvin", "°k", "degk"], 1.0, -273.15),
    (&["°f", "degf", "f", "fahrenheit"], 5.0 / 9.0, -160.0 / 9.0),
];

/// Units of percent by mass, spelt as by [`plain`].
const WEIGHT: &str = "
    wt% wt wt-% wtpct %wt %bywt weight% weightpercent weightpct mass% mass masspercent masspct mass-% %mass m% m-% ma%
    ma-% gew% gew-% w% w w/w wtpercent pctwt 质量分数 质量% 重量% 重量分数 质量百分比 重量百分比 质量分数/% 质量分数%
";
const ATOMIC: &str = "
    at% at at-% atpct %at atomic% atomicpercent atomicpct atom% atompercent mol% mol-% molpercent mole% molepercent
    atpercent pctat 原子% 原子分数 原子百分比 原子百分数 摩尔分数 原子分数/% 原子分数%
";

impl Conversion {
    /// The identity.
    pub const NONE: Self = Self { factor: 1.0, offset: 0.0 };

    /// The conversion between two units as people write them (`°F`, `degC`, `ksi`, `N/mm²`).
    ///
    /// # Errors
    /// A message if there is no exact conversion.
    pub fn between(from: &str, to: &str) -> Result<Self, String> {
        let (own, wanted) = (plain(from), plain(to));
        if own == wanted || own.is_empty() || wanted.is_empty() {
            return Ok(Self::NONE);
        }
        let temperature = |unit: &str| TEMPERATURES.iter().find(|(names, ..)| names.contains(&unit));
        if let (Some((_, factor, offset)), Some((_, wanted_factor, wanted_offset))) =
            (temperature(&own), temperature(&wanted))
        {
            return Ok(Self { factor: factor / wanted_factor, offset: (offset - wanted_offset) / wanted_factor });
        }
        let kind = |unit: &str| {
            let place = |kind: &&[(&str, f64)]| kind.iter().find(|(name, _)| *name == unit).map(|(_, factor)| *factor);
            KINDS.iter().enumerate().find_map(|(index, known)| Some((index, place(known)?)))
        };
        match (kind(&own), kind(&wanted)) {
            (Some((own, factor)), Some((wanted, wanted_factor))) if own == wanted => {
                Ok(Self { factor: factor / wanted_factor, offset: 0.0 })
            }
            (Some((own, _)), Some((wanted, _))) if HARDNESSES.contains(&own) && HARDNESSES.contains(&wanted) => {
                Err(format!("{from} is another scale of hardness than {to}: there is no exact conversion"))
            }
            _ => Err(format!("{from} is not a unit of what is measured in {to}")),
        }
    }

    /// Whether it is the identity.
    pub fn is_none(self) -> bool {
        self == Self::NONE
    }

    /// Converts a value.
    pub fn apply(self, value: f64) -> f64 {
        value * self.factor + self.offset
    }
}

/// The basis stated by a unit of amounts, if any, and the factor to percent. `None` if it is not a unit of amounts.
/// Parts per million are by mass, as usual in analyses of metals.
pub fn amount_unit(unit: &str) -> Option<(Option<Basis>, f64)> {
    let text = plain(unit);
    let among = |names: &str| names.split_whitespace().any(|name| name == text);
    let (weight, atomic) = (Some(Basis::WeightPercent), Some(Basis::AtomicPercent));
    Some(match text.as_str() {
        "%" | "pct" | "percent" | "prozent" => (None, 1.0),
        "ppm" | "wtppm" | "ppmw" | "massppm" | "ppmwt" | "wppm" | "ppmbyweight" | "mg/kg" | "ug/g" => (weight, 1e-4),
        "ppb" | "wtppb" | "ppbw" => (weight, 1e-7),
        "atppm" | "appm" | "ppmat" => (atomic, 1e-4),
        "massfraction" | "weightfraction" | "wtfraction" | "massfrac" | "wtfrac" => (weight, 100.0),
        "atomicfraction" | "molefraction" | "molfraction" | "atfraction" | "atfrac" | "molfrac" | "molefrac" => {
            (atomic, 100.0)
        }
        _ if among(WEIGHT) => (weight, 1.0),
        _ if among(ATOMIC) => (atomic, 1.0),
        _ => return None,
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn exact_conversions() {
        let converted =
            |from, to, value| Conversion::between(from, to).map(|own| (own.apply(value) * 1e6).round() / 1e6);
        assert_eq!(converted("°F", "°C", 1112.0), Ok(600.0));
        assert_eq!(converted("K", "°C", 300.15), Ok(27.0));
        assert_eq!(converted("°C", "K", 27.0), Ok(300.15));
        assert_eq!(converted("deg C", "°C", 27.0), Ok(27.0));
        assert_eq!(converted("ksi", "MPa", 100.0), Ok(689.475729));
        assert_eq!(converted("N/mm²", "MPa", 5.0), Ok(5.0));
        assert_eq!(converted("GPa", "MPa", 1.5), Ok(1500.0));
        assert_eq!(converted("min", "h", 90.0), Ok(1.5));
        assert_eq!(converted("HV10", "HV", 300.0), Ok(300.0));
        assert!(Conversion::between("HRC", "HV").unwrap_err().contains("another scale of hardness"));
        assert!(Conversion::between("bar", "°C").is_err());
    }

    #[test]
    fn units_of_amounts() {
        let (weight, atomic) = (Some(Basis::WeightPercent), Some(Basis::AtomicPercent));
        for (unit, meaning) in [
            ("wt.%", (weight, 1.0)),
            ("wt %", (weight, 1.0)),
            ("mass%", (weight, 1.0)),
            ("Gew.-%", (weight, 1.0)),
            ("质量分数", (weight, 1.0)),
            ("at.%", (atomic, 1.0)),
            ("mol%", (atomic, 1.0)),
            ("ppm", (weight, 1e-4)),
            ("%", (None, 1.0)),
            ("mass fraction", (weight, 100.0)),
        ] {
            assert_eq!(amount_unit(unit), Some(meaning), "{unit}");
        }
        assert_eq!(amount_unit("MPa"), None);
    }
}
