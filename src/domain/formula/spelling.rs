//! Removes typesetting from formulas: spaces, subscripts, markup, full-width letters.
//!
//! Characters that cannot be removed or replaced without a guess are refused, with their place.

use super::FormulaError;

/// A character of a formula, and its place in the text as written, counted from 1.
pub(super) type Spelt = (char, usize);

/// Cyrillic and Greek letters that look like Latin letters.
#[rustfmt::skip]
const LOOK_ALIKES: [(char, char); 40] = [
    ('А', 'A'), ('В', 'B'), ('С', 'C'), ('Е', 'E'), ('Н', 'H'), ('І', 'I'), ('К', 'K'), ('М', 'M'), ('О', 'O'), ('Р', 'P'),
    ('Ѕ', 'S'), ('Т', 'T'), ('У', 'Y'), ('Х', 'X'), ('а', 'a'), ('с', 'c'), ('е', 'e'), ('і', 'i'), ('о', 'o'), ('р', 'p'),
    ('ѕ', 's'), ('у', 'y'), ('х', 'x'), ('Α', 'A'), ('Β', 'B'), ('Ε', 'E'), ('Ζ', 'Z'), ('Η', 'H'), ('Ι', 'I'), ('Κ', 'K'),
    ('Μ', 'M'), ('Ν', 'N'), ('Ο', 'O'), ('Ρ', 'P'), ('Τ', 'T'), ('Υ', 'Y'), ('ο', 'o'), ('ν', 'v'), ('ι', 'i'), ('α', 'a'),
];

/// The meaningful characters. Most formulas are plain ASCII and need no work.
pub(super) fn plain(text: &str) -> Result<Vec<Spelt>, FormulaError> {
    if text.bytes().all(|byte| byte.is_ascii_alphanumeric() || b".()[]{}".contains(&byte)) {
        return Ok(text.chars().zip(1..).collect());
    }
    let written: Vec<char> = text.chars().collect();
    let (mut spelt, mut at) = (Vec::with_capacity(written.len()), 0);
    while let Some(found) = written.get(at).copied() {
        let place = at + 1;
        let rest = &written[at..];
        at += 1;
        match found {
            _ if found.is_whitespace() => {}
            '$' | '\u{2061}' => {}
            // `_{41.2}` and `_41.2`
            '_' if rest.get(1) == Some(&'{') => {
                let close = rest.iter().position(|c| *c == '}').ok_or(FormulaError::Bracket { at: place + 1 })?;
                spelt.extend(rest[2..close].iter().enumerate().map(|(after, c)| (*c, place + 2 + after)));
                at += close;
            }
            '_' => {}
            '<' => match ["<sub>", "</sub>"].iter().find(|tag| starts_with(rest, tag)) {
                Some(tag) => at += tag.len() - 1,
                None => return Err(FormulaError::Unexpected { found, at: place }),
            },
            '₀'..='₉' => spelt.push((digit(found, '₀'), place)),
            '\u{ff01}'..='\u{ff5e}' => {
                spelt.push((char::from_u32(found as u32 - 0xfee0).unwrap_or(found), place));
            }
            '。' => spelt.push(('.', place)),
            '−' | '–' => spelt.push(('-', place)),
            '*' | '†' | '‡' | '§' | '¶' | '¹' | '²' | '³' | '⁰' | '⁴'..='⁹' | 'ᵃ'..='ᵛ' => {
                return Err(FormulaError::Footnote { text: found.to_string(), at: place });
            }
            '\u{ad}' | '\u{200b}'..='\u{200f}' | '\u{2060}' | '\u{feff}' => {
                return Err(FormulaError::Strange { found, looks_like: None, at: place });
            }
            _ => {
                if let Some((_, letter)) = LOOK_ALIKES.iter().find(|(alike, _)| *alike == found) {
                    return Err(FormulaError::Strange { found, looks_like: Some(*letter), at: place });
                }
                spelt.push((found, place));
            }
        }
    }
    Ok(spelt)
}

fn starts_with(rest: &[char], tag: &str) -> bool {
    tag.chars().enumerate().all(|(at, c)| rest.get(at) == Some(&c))
}

fn digit(found: char, zero: char) -> char {
    char::from_digit(found as u32 - zero as u32, 10).unwrap_or(found)
}
