//! Writes a draft as TOML, with a comment for every guess and every unused column, for a person to check.

use std::fmt::Write;

use super::guesses::{Condition, Draft, Property};
use super::words::CENSORED;
use crate::data::defaults;
use crate::data::source::Censored;

pub(super) fn text(draft: &Draft) -> String {
    let mut text = String::new();
    // Writing into a string cannot fail.
    let _ = write(draft, &mut text);
    text
}

fn write(draft: &Draft, out: &mut String) -> std::fmt::Result {
    let what: Vec<&str> = draft.targets.iter().map(|target| target.name.as_str()).collect();
    let what = if what.is_empty() { "class".to_owned() } else { what.join(", ").replace('_', " ") };
    let route = if draft.class.is_some() { "/classify/glass" } else { "/predict/steel" };
    writeln!(
        out,
        "# A first recipe, written by `mcvn recipe new`. What is marked \"guessed\" was read off names and cells:"
    )?;
    writeln!(out, "# look at it, then `mcvn train --recipe THIS --data FILE --install my-models --report`.")?;
    for note in &draft.notes {
        writeln!(out, "# {}", one_line(note))?;
    }
    writeln!(out, "name = {}", quoted(&draft.name))?;
    writeln!(out, "title = {}", quoted(&format!("{what} of {}", draft.name)))?;
    writeln!(out, "# The route that answers beside /models/NAME/predict; a request names the model.")?;
    writeln!(out, "route = {}", quoted(route))?;
    writeln!(out, "# Where the data comes from, for the model card.\ncitation = \"\"")?;
    writeln!(
        out,
        "# What belongs together when the model is judged on what it has not seen. {}",
        sentence(&draft.group_why)
    )?;
    writeln!(out, "group = {}", quoted(draft.group.as_deref().unwrap_or("composition")))?;
    if !draft.fill_down.is_empty() {
        writeln!(out, "# Guessed: blank cells of these columns hold what stands above them, as merged cells do.")?;
        writeln!(out, "fill_down = [{}]", list(&draft.fill_down))?;
    }
    composition(draft, out)?;
    draft.processing.iter().try_for_each(|own| condition(own, out))?;
    draft.targets.iter().try_for_each(|own| property(own, out))?;
    if let Some((column, levels)) = &draft.class {
        writeln!(
            out,
            "\n# Guessed: texts that repeat.\n[class]\ncolumn = {}\nlevels = [{}]",
            quoted(column),
            list(levels)
        )?;
    }
    if !draft.unused.is_empty() {
        writeln!(out, "\n# Columns that are not used:")?;
        for (column, why) in &draft.unused {
            writeln!(out, "#   {}: {why}", one_line(column))?;
        }
    }
    learners(draft, out)
}

fn composition(draft: &Draft, out: &mut String) -> std::fmt::Result {
    writeln!(out, "\n[composition]")?;
    writeln!(out, "# {}", sentence(&draft.basis_why))?;
    writeln!(out, "basis = {}", quoted(draft.basis.name()))?;
    if !draft.balance_why.is_empty() {
        writeln!(out, "# The element that makes up the rest to 100. {}", sentence(&draft.balance_why))?;
    }
    if let Some(balance) = draft.balance {
        writeln!(out, "balance = {}", quoted(balance.symbol()))?;
    }
    if let Some(formula) = &draft.formula {
        return writeln!(out, "formula = {}", quoted(formula));
    }
    let columns: Vec<_> = draft.elements.iter().filter(|(element, _)| Some(**element) != draft.balance).collect();
    if draft.by_symbol {
        let symbols: Vec<String> = columns.iter().map(|(element, _)| element.symbol().to_owned()).collect();
        return writeln!(out, "elements = [{}]", list(&symbols));
    }
    let pairs: Vec<String> =
        columns.iter().map(|(element, column)| format!("{} = {}", element.symbol(), quoted(column))).collect();
    writeln!(out, "elements = {{ {} }}", pairs.join(", "))
}

fn condition(own: &Condition, out: &mut String) -> std::fmt::Result {
    writeln!(out, "\n# {}", sentence(&own.why))?;
    writeln!(out, "[[processing]]\nname = {}\ncolumn = {}", quoted(&own.name), quoted(&own.column))?;
    if own.levels {
        writeln!(out, "levels = \"from data\"")?;
    } else if !own.unit.is_empty() {
        writeln!(out, "unit = {}", quoted(&own.unit))?;
    }
    match &own.default {
        Some(default) => writeln!(out, "# Some cells are empty.\ndefault = {}", quoted(default)),
        None => Ok(()),
    }
}

fn property(own: &Property, out: &mut String) -> std::fmt::Result {
    writeln!(out, "\n# {}", sentence(&own.why))?;
    writeln!(
        out,
        "[[targets]]\nname = {}\ncolumn = {}\nunit = {}",
        quoted(&own.name),
        quoted(&own.column),
        quoted(&own.unit)
    )?;
    if own.log {
        writeln!(out, "# Guessed: its values span decades, so it is learned in logarithms.\nscale = \"log\"")?;
    }
    if own.censored {
        let Censored::Drop = CENSORED;
        writeln!(out, "# Values such as \">50\" are left out.\ncensored = \"drop\"")?;
    }
    Ok(())
}

/// The default learners, for a person to change.
fn learners(draft: &Draft, out: &mut String) -> std::fmt::Result {
    writeln!(
        out,
        "\n# The learners: a small network, kernel attention over learned keys (a sparse Gaussian process), and a forest.\n\
         # These are the defaults: a recipe without the sections below makes the same model."
    )?;
    out.write_str(&defaults::text(draft.class.is_some()))
}

fn quoted(text: &str) -> String {
    toml::Value::from(text).to_string()
}

fn list(texts: &[String]) -> String {
    texts.iter().map(|text| quoted(text)).collect::<Vec<_>>().join(", ")
}

fn one_line(text: &str) -> String {
    text.split_whitespace().collect::<Vec<_>>().join(" ")
}

/// With a capital letter at the beginning and a full stop at the end.
fn sentence(text: &str) -> String {
    let text = one_line(text);
    let mut letters = text.chars();
    let first = letters.next().map(|first| first.to_uppercase().collect::<String>()).unwrap_or_default();
    format!("{first}{}.", letters.as_str())
}
