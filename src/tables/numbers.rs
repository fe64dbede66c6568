//! Numbers in national formats: `0,12`, `1.234,5`, `1 234`. The mark that separates thousands in one country is the
//! decimal mark in another.

/// A number with a decimal point or, if `decimal_comma`, a decimal comma. With `decimal_comma` a point is also accepted
/// if it cannot separate thousands.
pub(super) fn pointed(text: &str, decimal_comma: bool) -> Option<f64> {
    let plain = |text: &str| {
        let shape = |c: char| c.is_ascii_digit() || "+-.eE".contains(c);
        let number: f64 = text.parse().ok().filter(|_| text.chars().all(shape))?;
        number.is_finite().then_some(number)
    };
    if !decimal_comma {
        return plain(text);
    }
    match (text.matches(',').count(), text.contains('.')) {
        (0, false) => plain(text),
        (0, true) => grouped(text, true).is_none().then(|| plain(text)).flatten(),
        (1, false) => plain(&text.replace(',', ".")),
        _ => None,
    }
}

/// A number with thousands separated by spaces, apostrophes or the mark that is not the decimal mark.
pub(super) fn grouped(text: &str, decimal_comma: bool) -> Option<f64> {
    let (decimal, mark) = if decimal_comma { (',', '.') } else { ('.', ',') };
    let (whole, decimals) = text.split_once(decimal).unwrap_or((text, ""));
    let digits = |text: &str| text.bytes().all(|byte| byte.is_ascii_digit());
    let marks = [mark, ' ', '\u{a0}', '\u{202f}', '\u{2009}', '\'', '’'];
    let used = whole.chars().find(|c| marks.contains(c))?;
    let unsigned = whole.trim_start_matches(['+', '-']);
    let mut groups = unsigned.split(used);
    let first = groups.next()?;
    let fits = (1..=3).contains(&first.len()) && digits(first) && !first.starts_with('0');
    if !fits || !groups.all(|group| group.len() == 3 && digits(group)) || !digits(decimals) {
        return None;
    }
    let whole: String = whole.chars().filter(|c| *c != used).collect();
    format!("{whole}.{decimals}0").parse().ok()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn thousands_are_groups_of_three() {
        assert_eq!(grouped("1,740", false), Some(1740.0));
        assert_eq!(grouped("-12 345.5", false), Some(-12345.5));
        assert_eq!(grouped("1.234,5", true), Some(1234.5));
        for text in ["0,123", "12,34", "1234", "1,2345", "1,234 567", ",123"] {
            assert_eq!(grouped(text, false), None, "{text}");
        }
        assert_eq!((pointed("1.234", true), pointed("0.234", true)), (None, Some(0.234)));
    }
}
