//! Names of elements in several languages.

use super::Element;

/// Names of elements that are common in analyses of alloys, in small letters: English, German, French, and Chinese
/// characters.
#[rustfmt::skip]
const NAMES: [(&str, Element); 92] = [
    ("boron", Element::B), ("carbon", Element::C), ("nitrogen", Element::N), ("oxygen", Element::O),
    ("hydrogen", Element::H), ("lithium", Element::Li), ("beryllium", Element::Be), ("magnesium", Element::Mg),
    ("aluminium", Element::Al), ("aluminum", Element::Al), ("silicon", Element::Si), ("phosphorus", Element::P),
    ("phosphorous", Element::P), ("sulfur", Element::S), ("sulphur", Element::S), ("calcium", Element::Ca),
    ("titanium", Element::Ti), ("vanadium", Element::V), ("chromium", Element::Cr), ("manganese", Element::Mn),
    ("iron", Element::Fe), ("cobalt", Element::Co), ("nickel", Element::Ni), ("copper", Element::Cu),
    ("zinc", Element::Zn), ("yttrium", Element::Y), ("zirconium", Element::Zr), ("niobium", Element::Nb),
    ("columbium", Element::Nb), ("molybdenum", Element::Mo), ("silver", Element::Ag), ("tin", Element::Sn),
    ("antimony", Element::Sb), ("hafnium", Element::Hf), ("tantalum", Element::Ta), ("tungsten", Element::W),
    ("rhenium", Element::Re), ("lead", Element::Pb), ("bismuth", Element::Bi), ("arsenic", Element::As),
    ("kohlenstoff", Element::C), ("silizium", Element::Si), ("mangan", Element::Mn), ("schwefel", Element::S),
    ("phosphor", Element::P), ("chrom", Element::Cr), ("molybdän", Element::Mo), ("kupfer", Element::Cu),
    ("vanadin", Element::V), ("stickstoff", Element::N), ("titan", Element::Ti), ("niob", Element::Nb),
    ("bor", Element::B), ("eisen", Element::Fe), ("kobalt", Element::Co), ("wolfram", Element::W), ("zinn", Element::Sn),
    ("blei", Element::Pb), ("carbone", Element::C), ("silicium", Element::Si), ("manganèse", Element::Mn),
    ("soufre", Element::S), ("phosphore", Element::P), ("chrome", Element::Cr), ("molybdène", Element::Mo),
    ("cuivre", Element::Cu), ("azote", Element::N), ("titane", Element::Ti), ("bore", Element::B), ("fer", Element::Fe),
    ("碳", Element::C), ("硅", Element::Si), ("锰", Element::Mn), ("磷", Element::P), ("硫", Element::S),
    ("铬", Element::Cr), ("镍", Element::Ni), ("钼", Element::Mo), ("铜", Element::Cu), ("钒", Element::V),
    ("铝", Element::Al), ("氮", Element::N), ("钛", Element::Ti), ("铌", Element::Nb), ("硼", Element::B),
    ("铁", Element::Fe), ("钴", Element::Co), ("钨", Element::W), ("锆", Element::Zr), ("锡", Element::Sn),
    ("锌", Element::Zn), ("镁", Element::Mg),
];

impl Element {
    /// The element with this name, such as `carbon`, in one of the languages of the list.
    pub fn by_name(text: &str) -> Option<Self> {
        let small = text.to_lowercase();
        NAMES.iter().find(|(name, _)| *name == small).map(|(_, element)| *element)
    }
}
