//! What a number behind a bracket means.
//!
//! Its own because there are two customs. In chemistry it multiplies: `Al(NiB)2` is Al 1, Ni 2, B 2. In the alloy
//! literature it is the share of the bracket where it makes up 100 (or 1) with what stands beside it:
//! `(Fe50Co50)70B30` is Fe 35, Co 35, B 30. Each group is judged by its own parts.

use super::FormulaError;
use super::grammar::{Part, What};
use crate::domain::Element;

/// Parts that sum to 100 (or to 1, then a hundredth of it) within this are shares.
const SHARE_TOLERANCE: f64 = 0.5;
/// Readings that differ by no more than this, in at%, are the same.
const SAME: f64 = 0.05;

/// Amounts by element index.
type Amounts = [f64; Element::ALL.len()];

/// How groups are read.
#[derive(Clone, Copy, PartialEq, Eq)]
enum Custom {
    /// As shares where the parts sum to 100 or 1, else as in chemistry.
    Either,
    Chemistry,
    Shares,
}

/// Multiplies brackets out. Says how where that can be doubted.
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
                // Nothing in it, or more than any alloy has.
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
