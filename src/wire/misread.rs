//! Explanations for texts that are not JSON: what they are, and what probably changed them on the way.
//!
//! The parser's position seldom shows the cause: shells remove quotes, editors put a byte order mark first, programs
//! compress texts or use other encodings.

/// How many characters of a text are quoted.
const QUOTED: usize = 24;

/// JSON without the byte order mark that some programs put before it.
pub(crate) fn without_mark(text: &[u8]) -> &[u8] {
    text.strip_prefix(b"\xef\xbb\xbf").unwrap_or(text)
}

/// For bytes that are not UTF-8 text: what they are, by their first bytes, and what to send instead.
pub(crate) fn foreign(bytes: &[u8]) -> Option<String> {
    let letter = |byte: &u8| byte.is_ascii_graphic() || byte.is_ascii_whitespace();
    let utf_16 = |order: &str| {
        Some(format!(
            "the text is UTF-16 ({order}): send UTF-8. Windows PowerShell writes UTF-16 with > and Out-File: use \
             Out-File -Encoding utf8"
        ))
    };
    let packed = |name: &str| Some(format!("the body is packed with {name}: say so with `content-encoding: {name}`"));
    match bytes {
        [0xff, 0xfe, ..] => utf_16("little-endian"),
        [0xfe, 0xff, ..] => utf_16("big-endian"),
        [first, 0, ..] if letter(first) => utf_16("little-endian, without a mark"),
        [0, second, ..] if letter(second) => utf_16("big-endian, without a mark"),
        [0x1f, 0x8b, ..] => packed("gzip"),
        [0x28, 0xb5, 0x2f, 0xfd, ..] => packed("zstd"),
        _ => None,
    }
}

/// Why a text is not JSON: the parser's message, the beginning of the text, and the probable cause.
pub(crate) fn explain(text: &[u8], error: &serde_json::Error) -> String {
    if let Some(what) = foreign(text) {
        return what;
    }
    let shown = String::from_utf8_lossy(text.trim_ascii_start());
    let start: String = shown.chars().take(QUOTED).collect();
    if start.is_empty() {
        return format!("{error}: nothing was sent");
    }
    let more = if start.len() < shown.len() { "…" } else { "" };
    let hint = hint(&shown, at(text, error));
    format!("{error}; the text begins with {start}{more}{}", hint.map(|hint| format!(" ({hint})")).unwrap_or_default())
}

/// The probable cause, from the beginning of the text and from the rest where the parser stopped.
fn hint(text: &str, rest: &[u8]) -> Option<&'static str> {
    let inner = text.trim_start_matches(['{', '[', ' ', '\n', '\t', '\r']);
    let opened = text.starts_with(['{', '[']);
    let unquoted = opened && inner.starts_with(|c: char| c.is_alphabetic() || c == '_' || c == '\\');
    match () {
        () if text.starts_with('\'') || unquoted => Some(
            "the quotes were changed on their way, as cmd.exe and PowerShell do: send a file, as in --data-binary \
             @request.json, or write -d \"{\\\"composition\\\": \\\"Cu60Zr40\\\"}\"",
        ),
        () if opened && inner.starts_with('\'') => Some(
            "JSON has double quotes: write \"composition\"; in Python json.dumps(…) or requests.post(…, json=…) do so",
        ),
        () if text.starts_with('@') => {
            Some("a file is sent with curl --data-binary @FILE, without quotes around the @")
        }
        () if rest.starts_with(b"{") => Some(
            "a second object follows: of lines of JSON each stands on a line of its own, sent as application/x-ndjson; curl \
             takes line breaks out with -d: send a file with --data-binary @FILE",
        ),
        () if ["NaN", "Infinity", "nan", "inf", "Inf"].iter().any(|word| rest.starts_with(word.as_bytes())) => Some(
            "JSON has no such number: where nothing was measured, write null for an amount and leave other fields out; in \
             Python json.dumps(…, allow_nan=False) finds them",
        ),
        () if ["None", "True", "False"].iter().any(|word| rest.starts_with(word.as_bytes())) => {
            Some("that is Python: JSON writes null, true and false; json.dumps(…) does so")
        }
        () if rest.starts_with(b"undefined") => Some("JSON has no undefined: leave the field out"),
        () => None,
    }
}

/// The rest of the line where the parser stopped. At a number with a sign the parser stops after the sign.
fn at<'a>(text: &'a [u8], error: &serde_json::Error) -> &'a [u8] {
    let line = text.split(|byte| *byte == b'\n').nth(error.line().saturating_sub(1)).unwrap_or_default();
    line.get(error.column().saturating_sub(1)..).unwrap_or_default()
}

#[cfg(test)]
mod tests {
    use super::*;

    fn explained(text: &str) -> String {
        explain(text.as_bytes(), &serde_json::from_str::<serde_json::Value>(text).expect_err(text))
    }

    #[test]
    fn what_happened_to_a_text_is_told() {
        for (text, told) in [
            ("'{composition:Cu60Zr40}'", "begins with '{composition:Cu60Zr40}'"),
            ("'{composition:Cu60Zr40}'", "as cmd.exe and PowerShell do"),
            ("{composition: Cu60Zr40}", "as cmd.exe and PowerShell do"),
            ("{\\\"composition\\\": 1}", "as cmd.exe and PowerShell do"),
            ("{'composition': 'Cu60Zr40'}", "JSON has double quotes"),
            ("@request.json", "--data-binary @FILE"),
            ("{\"composition\": \"Cu60Zr40\"}{\"composition\": \"Cu50Zr50\"}", "curl takes line breaks out with -d"),
            ("{\"composition\": \"Cu60Zr40\"}\n{\"composition\": \"Cu50Zr50\"}", "application/x-ndjson"),
            ("{\"a\": NaN}", "JSON has no such number"),
            ("[{\"a\": 1,\n\"b\": -Infinity}]", "JSON has no such number"),
            ("{\"a\": None}", "that is Python"),
            ("{\"a\": undefined}", "leave the field out"),
            ("", "nothing was sent"),
        ] {
            let explained = explained(text);
            assert!(explained.contains(told), "{text}: {explained}");
        }
        for text in ["{\"a\": nothing}", "{\"a\": 1", "[1, 2"] {
            assert!(!explained(text).contains('('), "{}", explained(text));
        }
    }

    #[test]
    fn bytes_of_other_kinds_are_named() {
        for (bytes, told) in [
            (&b"\xff\xfe{\0\"\0"[..], "UTF-16 (little-endian)"),
            (b"\xfe\xff\0{\0\"", "UTF-16 (big-endian)"),
            (b"{\0\"\0", "UTF-16 (little-endian, without a mark)"),
            (b"\0{\0\"", "UTF-16 (big-endian, without a mark)"),
            (b"\x1f\x8b\x08", "content-encoding: gzip"),
            (b"\x28\xb5\x2f\xfd", "content-encoding: zstd"),
        ] {
            assert!(foreign(bytes).is_some_and(|what| what.contains(told)), "{told}");
        }
        for bytes in [&b"{}"[..], b"", b"{", b"\xef\xbb\xbf{}", "鋼".as_bytes()] {
            assert_eq!(foreign(bytes), None);
        }
        assert_eq!(without_mark(b"\xef\xbb\xbf{}"), b"{}");
    }
}
