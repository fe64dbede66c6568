//! The `mcvn-notes` header: how a table was read, as a JSON list of sentences in ASCII.

use axum::http::{HeaderName, HeaderValue};

const NOTES: HeaderName = HeaderName::from_static("mcvn-notes");
/// Longest list, in bytes; further notes are only counted.
const NOTES_BYTES: usize = 4 << 10;

/// The header with these notes; `None` if there are none.
pub(in crate::http) fn notes_header(notes: &[String]) -> Option<(HeaderName, HeaderValue)> {
    let (mut kept, mut bytes) = (Vec::new(), 0);
    for note in notes {
        bytes += ascii(note).len() + 3;
        if bytes > NOTES_BYTES {
            break;
        }
        kept.push(note.clone());
    }
    if kept.len() < notes.len() {
        kept.push(format!("{} more", notes.len() - kept.len()));
    }
    let list = serde_json::to_string(&kept).ok().filter(|_| !notes.is_empty())?;
    Some((NOTES, HeaderValue::from_str(&ascii(&list)).ok()?))
}

/// A text in which all non-ASCII characters are replaced by JSON escapes.
fn ascii(text: &str) -> String {
    let mut plain = String::with_capacity(text.len());
    for c in text.chars() {
        match c {
            ' '..='~' => plain.push(c),
            _ => c.encode_utf16(&mut [0; 2]).iter().for_each(|unit| plain += &format!("\\u{unit:04x}")),
        }
    }
    plain
}
