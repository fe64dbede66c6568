//! The meaning of a number after a bracket.
//!
//! There are two conventions. In chemistry the number multiplies: `Al(NiB)2` is Al 1, Ni 2, B 2. In the alloy
//! literature it is the share of the bracket if it sums to 100 (or 1) with the parts beside it: `(Fe50Co50)70B30` is Fe
//! 35, Co 35, B 30. Each group is read by the sum of its own parts.

use super::FormulaError;
use super::grammar::{Part, What};
use crate::domain::Element;

/// Parts are shares if their sum is this close to 100. For a sum of 1 the tolerance is a hundredth of this.
const SHARE_TOLERANCE: f64 = 0.5;
/// Two readings are the same if no amount differs by more than this, in at%.
const SAME: f64 = 0.05;

/// Amounts by element index.
type Amounts = [f64; Element::ALL.len()];

/// Which convention to use for groups.
#[derive(Clone, Copy, PartialEq, Eq)]
enum Custom {
    /// Shares if the parts sum to 100 or 1, otherwise as in chemistry.
    Either,
    Chemistry,
    Shares,
}

/// Multiplies brackets out. If the two conventions give different compositions, adds a note that says which was used.
pub(super) fn expand(parts: &[Part]) -> Result<(Amounts, Vec<String>), FormulaError> {
    let amounts = sum(parts, Custom::Either)?;
    if !parts.iter().any(|part| matches!(part.what, What::Group(..))) {
        return Ok((amounts, Vec::new()));
    }
    let (chemistry, shares) = (sum(parts, Custom::Chemistry)?, sum(parts, Custom::Shares)?);
    let taken = match () {
        () if same(&chemistry, &shares) => return Ok((amounts, Vec::new())),
        () if same(&amounts, &chemistry) => "a number behind a bracket multiplies, as in chemistry",
        () => "a bracket and what stands beside it sum to 100 or 1, so its number is its share",
    };
    Ok((amounts, vec![format!("read as {} at%: {taken}", in_words(&amounts))]))
}

fn sum(parts: &[Part], custom: Custom) -> Result<Amounts, FormulaError> {
    let total: f64 = parts.iter().map(|part| part.amount).sum();
    let whole = (total - 100.0).abs() <= SHARE_TOLERANCE || (total - 1.0).abs() <= SHARE_TOLERANCE / 100.0;
    let shares = custom == Custom::Shares || custom == Custom::Either && whole;
    let mut amounts = [0.0; Element::ALL.len()];
    for Part { what, amount } in parts {
        match what {
            What::Element(element) => amounts[element.index()] += amount,
            What::Group(inside, at) => {
                let inside = sum(inside, custom)?;
                let factor = if shares { amount / inside.iter().sum::<f64>() } else { *amount };
                // The bracket is empty or the factor is not finite.
                if !factor.is_finite() || inside.iter().all(|part| *part == 0.0) {
                    return Err(FormulaError::Bracket { at: *at });
                }
                amounts.iter_mut().zip(inside).for_each(|(total, part)| *total += part * factor);
            }
        }
    }
    Ok(amounts)
}

fn percent(amounts: &Amounts) -> impl Iterator<Item = f64> {
    let total: f64 = amounts.iter().sum();
    amounts.iter().map(move |amount| amount / total * 100.0)
}

fn same(one: &Amounts, other: &Amounts) -> bool {
    percent(one).zip(percent(other)).all(|(one, other)| (one - other).abs() <= SAME)
}

fn in_words(amounts: &Amounts) -> String {
    let present = Element::ALL.iter().zip(percent(amounts)).filter(|(_, amount)| *amount > 0.0);
    present.map(|(element, amount)| format!("{element} {}", rounded(amount))).collect::<Vec<_>>().join(", ")
}

fn rounded(amount: f64) -> f64 {
    (amount * 100.0).round() / 100.0
}
