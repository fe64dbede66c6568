//! The report as one page of HTML: no scripts, nothing loaded from elsewhere. Every text from the file is escaped.

use std::fmt::Write;

use super::jumps::shown;
use super::report::{DataReport, Finding, Severity};

const STYLE: &str = "body{font:15px/1.45 system-ui,sans-serif;margin:2rem auto;max-width:75rem;padding:0 1rem;color:#222}\
table{border-collapse:collapse;width:100%}th,td{text-align:left;vertical-align:top;padding:.35rem .6rem;\
border-bottom:1px solid #ddd}th{background:#f4f4f4}.number{text-align:right}.note{color:#555}code{background:#f4f4f4}";

/// A text that is safe between tags and within quoted attributes.
fn escaped(text: &str) -> String {
    let mut escaped = String::with_capacity(text.len());
    for c in text.chars() {
        match c {
            '&' => escaped.push_str("&amp;"),
            '<' => escaped.push_str("&lt;"),
            '>' => escaped.push_str("&gt;"),
            '"' => escaped.push_str("&quot;"),
            '\'' => escaped.push_str("&#39;"),
            // Control characters other than spaces are not allowed in a page.
            c if c.is_control() && !c.is_whitespace() => escaped.push('\u{fffd}'),
            c => escaped.push(c),
        }
    }
    escaped
}

impl DataReport {
    /// The report as a page. `title` names the file.
    pub fn to_html(&self, title: &str) -> String {
        let title = escaped(title);
        let mut page = format!(
            "<!DOCTYPE html>\n<html lang=\"en\">\n<head><meta charset=\"utf-8\"><title>{title}: data check</title>\
             <style>{STYLE}</style></head>\n<body>\n<h1>{title}</h1>\n"
        );
        let doubted = self.doubted.len();
        let share = 100.0 * doubted as f64 / self.rows.max(1) as f64;
        let _ = writeln!(
            page,
            "<p>{} rows in {} groups; <b>{doubted} rows ({share:.1} %) are doubted</b>. A doubted row is probably wrong: \
             correct it, remove it, or confirm it.</p>",
            self.rows, self.groups
        );
        if !self.counts.is_empty() {
            page.push_str("<table><tr><th>what</th><th class=\"number\">findings</th></tr>\n");
            for (kind, count) in &self.counts {
                let _ = writeln!(page, "<tr><td>{}</td><td class=\"number\">{count}</td></tr>", escaped(kind.title()));
            }
            page.push_str("</table>\n");
        }
        for (severity, heading) in [(Severity::Doubt, "Doubted rows"), (Severity::Note, "Worth knowing")] {
            let own: Vec<&Finding> = self.findings.iter().filter(|finding| finding.severity == severity).collect();
            if own.is_empty() {
                continue;
            }
            let _ = writeln!(
                page,
                "<h2>{heading}</h2>\n<table><tr><th class=\"number\">line</th><th>group</th><th>column</th>\
                 <th class=\"number\">value</th><th class=\"number\">expected</th><th>what</th><th>suggestion</th>\
                 <th>neighbours</th></tr>"
            );
            own.into_iter().for_each(|finding| page.push_str(&row(finding)));
            page.push_str("</table>\n");
        }
        if self.findings_left_out > 0 {
            let _ = writeln!(page, "<p>{} more findings are not listed.</p>", self.findings_left_out);
        }
        page.push_str("</body>\n</html>\n");
        page
    }
}

fn row(finding: &Finding) -> String {
    let text = |text: &Option<String>| text.as_deref().map_or(String::new(), escaped);
    let neighbours: Vec<String> = finding
        .neighbours
        .iter()
        .map(|own| format!("line {}, {}: {}", own.line, escaped(&own.group), shown(own.value)))
        .collect();
    format!(
        "<tr><td class=\"number\">{}</td><td>{}</td><td>{}</td><td class=\"number\">{}</td><td class=\"number\">{}</td>\
         <td>{}</td><td>{}</td><td class=\"note\">{}</td></tr>\n",
        finding.line.map_or(String::new(), |line| line.to_string()),
        text(&finding.group),
        text(&finding.column),
        finding.value.map_or(String::new(), shown),
        finding.expected.map_or(String::new(), |[low, high]| format!("{} to {}", shown(low), shown(high))),
        escaped(&finding.detail),
        text(&finding.suggestion),
        neighbours.join("<br>")
    )
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::doctor::report::{FindingKind, Neighbour};

    #[test]
    fn nothing_from_the_file_becomes_markup() {
        let evil = "<script>alert('x')</script>\"&".to_owned();
        let finding = Finding {
            kind: FindingKind::LabelNoise,
            severity: Severity::Doubt,
            line: Some(3),
            group: Some(evil.clone()),
            column: Some(evil.clone()),
            value: Some(162.0),
            expected: Some([450.0, 500.0]),
            detail: evil.clone(),
            suggestion: Some(evil.clone()),
            neighbours: vec![Neighbour { line: 4, group: evil.clone(), value: 499.0 }],
        };
        let page = DataReport::new(10, 2, vec![finding]).to_html(&evil);
        assert!(!page.contains("<script") && !page.contains("('x')"), "{page}");
        assert!(page.contains("&lt;script&gt;") && page.contains("450 to 500") && page.contains("line 4"));
    }
}
