//! Detects cell texts that a spreadsheet would run as a formula. Text in an answer comes from the author of the table,
//! but another person opens it (CSV injection).

/// Characters that start a formula, as listed by OWASP.
const STARTS: [char; 11] = ['=', '+', '-', '@', '\t', '\r', '\n', '＝', '＋', '－', '＠'];

/// Whether a spreadsheet would run this text as a formula. Signed numbers are harmless.
pub fn would_run(cell: &str) -> bool {
    cell.starts_with(STARTS) && !is_signed_number(cell)
}

fn is_signed_number(cell: &str) -> bool {
    let unsigned = cell.strip_prefix(['+', '-']).unwrap_or(cell);
    let written = |c: char| c.is_ascii_digit() || matches!(c, '.' | ',' | ' ' | '%');
    let grouped = unsigned.starts_with(|c: char| c.is_ascii_digit() || c == '.') && unsigned.chars().all(written);
    grouped || cell.parse::<f64>().is_ok()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn formulas_are_told_from_numbers_and_texts() {
        for cell in
            ["=1+1", "=cmd|' /C calc'!A0", "+1+1", "-2+3", "@SUM(A1)", "\t=1", "\r=1", "\n=1", "＝1", "-", "-A1", "--1"]
        {
            assert!(would_run(cell), "{cell:?}");
        }
        for cell in ["", "a=1", "-1.5", "+3", "-1,5", "-1e-5", "-.5", "-1 234,5", "-5 %", "1-2", " =1", "'=1"] {
            assert!(!would_run(cell), "{cell:?}");
        }
    }
}
