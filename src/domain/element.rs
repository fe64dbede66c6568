//! The chemical elements of the property table: H to Pu, with symbols and standard atomic weights.

use std::fmt;
use std::str::FromStr;

use serde::{Deserialize, Deserializer, Serialize, Serializer};

macro_rules! elements {
    ($($symbol:ident),* $(,)?) => {
        /// A chemical element with a row in the property table, in order of atomic number.
        #[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
        #[allow(missing_docs, reason = "the symbols speak for themselves")]
        pub enum Element { $($symbol),* }

        impl Element {
            /// Every element, H to Pu, in order of atomic number.
            pub const ALL: [Element; 94] = [$(Element::$symbol),*];
            const SYMBOLS: [&str; 94] = [$(stringify!($symbol)),*];
        }
    };
}

elements! {
    H, He, Li, Be, B, C, N, O, F, Ne, Na, Mg,
    Al, Si, P, S, Cl, Ar, K, Ca, Sc, Ti, V, Cr,
    Mn, Fe, Co, Ni, Cu, Zn, Ga, Ge, As, Se, Br, Kr,
    Rb, Sr, Y, Zr, Nb, Mo, Tc, Ru, Rh, Pd, Ag, Cd,
    In, Sn, Sb, Te, I, Xe, Cs, Ba, La, Ce, Pr, Nd,
    Pm, Sm, Eu, Gd, Tb, Dy, Ho, Er, Tm, Yb, Lu, Hf,
    Ta, W, Re, Os, Ir, Pt, Au, Hg, Tl, Pb, Bi, Po,
    At, Rn, Fr, Ra, Ac, Th, Pa, U, Np, Pu,
}

/// Elements without a row in the table.
const BEYOND_PLUTONIUM: [&str; 24] = [
    "Am", "Cm", "Bk", "Cf", "Es", "Fm", "Md", "No", "Lr", "Rf", "Db", "Sg", "Bh", "Hs", "Mt", "Ds", "Rg", "Cn", "Nh",
    "Fl", "Mc", "Lv", "Ts", "Og",
];

/// Why a symbol is not an [`Element`].
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
pub enum ElementError {
    /// A real element that has no properties in the table.
    #[error("{0} is not supported: the property table covers H to Pu")]
    Unsupported(String),
    /// Not an element.
    #[error("\"{symbol}\" is not a chemical element{hint}", symbol = .0, hint = hint(.0))]
    Unknown(String),
}

impl Element {
    /// Position in the property table: 0 for H, 93 for Pu.
    pub fn index(self) -> usize {
        self as usize
    }

    /// The symbol, such as `Fe`.
    pub fn symbol(self) -> &'static str {
        Self::SYMBOLS[self.index()]
    }

    /// Standard atomic weight in g/mol.
    pub fn atomic_weight(self) -> f64 {
        ATOMIC_WEIGHTS[self.index()]
    }
}

impl Element {
    /// The element with this symbol, ignoring case.
    pub fn in_letters(text: &str) -> Option<Self> {
        if !(1..=2).contains(&text.len()) || !text.bytes().all(|byte| byte.is_ascii_alphabetic()) {
            return None;
        }
        let (first, rest) = text.split_at(1);
        (first.to_ascii_uppercase() + &rest.to_ascii_lowercase()).parse().ok()
    }

    /// The element that was probably meant by a text that is not a symbol: `CR`, `cr`, `carbon`, `Cb`.
    pub fn suggestion(text: &str) -> Option<Self> {
        let text = text.trim();
        let old = || (text == "Cb").then_some(Self::Nb);
        Self::in_letters(text).or_else(old).or_else(|| Self::by_name(text))
    }
}

fn hint(text: &str) -> String {
    match Element::suggestion(text) {
        Some(Element::Nb) if text == "Cb" => ": columbium is niobium, Nb".to_owned(),
        Some(element) => format!(": is {element} meant?"),
        None => String::new(),
    }
}

impl fmt::Display for Element {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(self.symbol())
    }
}

impl FromStr for Element {
    type Err = ElementError;

    fn from_str(symbol: &str) -> Result<Self, ElementError> {
        match slot(symbol.as_bytes()).map(|slot| PLACES[slot]) {
            Some(place) if place > 0 => Ok(Self::ALL[usize::from(place) - 1]),
            _ if BEYOND_PLUTONIUM.contains(&symbol) => Err(ElementError::Unsupported(symbol.to_owned())),
            _ => Err(ElementError::Unknown(symbol.chars().take(40).collect())),
        }
    }
}

impl Serialize for Element {
    fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        serializer.serialize_str(self.symbol())
    }
}

impl<'de> Deserialize<'de> for Element {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        let symbol = std::borrow::Cow::<str>::deserialize(deserializer)?;
        symbol.parse().map_err(serde::de::Error::custom)
    }
}

/// Index of a symbol in [`PLACES`]. A symbol is a capital letter, with or without a small letter.
const fn slot(symbol: &[u8]) -> Option<usize> {
    match symbol {
        [first @ b'A'..=b'Z'] => Some((*first - b'A') as usize * 27),
        [first @ b'A'..=b'Z', second @ b'a'..=b'z'] => {
            Some((*first - b'A') as usize * 27 + (*second - b'a') as usize + 1)
        }
        _ => None,
    }
}

/// Atomic number of each possible symbol; 0 if no element has it. A request names about a dozen elements, so a lookup
/// table replaces a search.
const PLACES: [u8; 26 * 27] = {
    let mut places = [0; 26 * 27];
    let mut index = 0;
    while index < Element::SYMBOLS.len() {
        if let Some(slot) = slot(Element::SYMBOLS[index].as_bytes()) {
            places[slot] = index as u8 + 1;
        }
        index += 1;
    }
    places
};

/// Standard atomic weights in g/mol, equal to the `atomic_weight` column of the property table (checked by a test in
/// `featurize`).
#[rustfmt::skip]
const ATOMIC_WEIGHTS: [f64; 94] = [
    1.008, 4.002602, 6.94, 9.0121831, 10.81, 12.011, 14.007, 15.999, 18.99840316, 20.1797,
    22.98976928, 24.305, 26.9815385, 28.085, 30.973762, 32.06, 35.45, 39.948, 39.0983, 40.078,
    44.955908, 47.867, 50.9415, 51.9961, 54.938044, 55.845, 58.93319399999999, 58.6934, 63.54600000000001, 65.38,
    69.723, 72.63, 74.921595, 78.971, 79.904, 83.79799999999999, 85.4678, 87.62, 88.90584, 91.224,
    92.90637, 95.95, 97.90721, 101.07, 102.9055, 106.42, 107.8682, 112.414, 114.818, 118.71,
    121.76, 127.6, 126.90447, 131.293, 132.905452, 137.327, 138.90547, 140.116, 140.90766000000005, 144.24200000000005,
    144.91276000000005, 150.36, 151.964, 157.25, 158.92535, 162.5, 164.93033, 167.259, 168.93421999999995, 173.045,
    174.9668, 178.49, 180.94788, 183.84, 186.207, 190.23, 192.217, 195.084, 196.966569, 200.592,
    204.38, 207.2, 208.9804, 209.0, 210.0, 222.0, 223.0, 226.0, 227.0, 232.0377,
    231.03588, 238.02891, 237.0, 244.0,
];

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn symbols_round_trip() {
        for element in Element::ALL {
            assert_eq!(element.symbol().parse(), Ok(element));
        }
    }

    #[test]
    fn refusals_name_the_symbol() {
        assert_eq!("Am".parse::<Element>(), Err(ElementError::Unsupported("Am".into())));
        assert_eq!("fe".parse::<Element>(), Err(ElementError::Unknown("fe".into())));
        for (text, words) in [("CR", ": is Cr meant?"), ("fe", ": is Fe meant?"), ("Cb", ": columbium is niobium, Nb")]
        {
            assert!(text.parse::<Element>().unwrap_err().to_string().ends_with(words), "{text}");
        }
        assert_eq!("Xx".parse::<Element>().unwrap_err().to_string(), "\"Xx\" is not a chemical element");
    }
}
