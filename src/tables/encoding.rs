//! Detects text encodings and converts text to UTF-8.

use std::borrow::Cow;

use chardetng::{EncodingDetector, Iso2022JpDetection, Utf8Detection};
use encoding_rs::{BIG5, Decoder, EUC_JP, EUC_KR, Encoding, GBK, SHIFT_JIS, UTF_8, UTF_16BE, UTF_16LE, WINDOWS_1252};

/// Number of non-ASCII bytes needed to distinguish double-byte encodings. With fewer, the most common encoding with
/// this byte pattern is used.
const TELLING_BYTES: usize = 24;

/// An encoding, named as on the web: `gb18030`, `windows-1252` …
#[derive(Clone, Copy, Debug, PartialEq)]
pub struct Charset(&'static Encoding);

impl std::str::FromStr for Charset {
    type Err = String;

    fn from_str(label: &str) -> Result<Self, String> {
        let unknown = || format!("\"{label}\" is not an encoding: use utf-8, utf-16le, windows-1252, gb18030 …");
        Encoding::for_label(label.as_bytes()).map(Self).ok_or_else(unknown)
    }
}

/// The encoding of a text.
#[derive(Debug, PartialEq)]
pub(super) struct Known {
    pub(super) charset: Charset,
    /// Length of the byte order mark, which is not part of the text.
    pub(super) mark: usize,
    /// A note for the user if the encoding was guessed.
    pub(super) note: Option<String>,
}

impl Charset {
    /// UTF-8, the most common encoding.
    pub const UTF_8: Self = Self(UTF_8);

    /// Finds the encoding from the first bytes of a text: the one named by the user, else by the byte order mark, else
    /// UTF-8 if valid, else the most likely one. The last character may be incomplete.
    pub(super) fn find(sample: &[u8], named: Option<Self>) -> Known {
        let marked = Encoding::for_bom(sample);
        if let Some(Self(encoding)) = named {
            let mark = marked.filter(|(of, _)| *of == encoding).map_or(0, |(_, length)| length);
            return Known { charset: Self(encoding), mark, note: None };
        }
        if let Some((encoding, mark)) = marked {
            return Known { charset: Self(encoding), mark, note: None };
        }
        let guess = utf_16(sample).or_else(|| (!is_mostly_utf_8(sample)).then(|| guess(sample)));
        let encoding = guess.unwrap_or(UTF_8);
        let note = guess.map(|encoding| {
            let name = encoding.name();
            format!("the text is not UTF-8; it was read as {name} (name another with --encoding or ?encoding=)")
        });
        Known { charset: Self(encoding), mark: 0, note }
    }

    /// Whether text in this encoding contains zero bytes.
    pub(super) fn has_zeros(self) -> bool {
        self.0 == UTF_16LE || self.0 == UTF_16BE
    }
}

/// Detects UTF-16 without a byte order mark: in mostly Latin text every other byte is zero.
fn utf_16(sample: &[u8]) -> Option<&'static Encoding> {
    let zeros = |from: usize| sample.iter().skip(from).step_by(2).filter(|byte| **byte == 0).count();
    let (pairs, first, second) = (sample.len() / 2, zeros(0), zeros(1));
    match () {
        () if pairs < 2 => None,
        () if first == 0 && second * 5 >= pairs * 2 => Some(UTF_16LE),
        () if second == 0 && first * 5 >= pairs * 2 => Some(UTF_16BE),
        () => None,
    }
}

/// UTF-8 with at most a few invalid places. Those affect only their own cells.
fn is_mostly_utf_8(sample: &[u8]) -> bool {
    let (mut good, mut bad) = (0, 0);
    for chunk in sample.utf8_chunks() {
        good += chunk.valid().chars().filter(|c| !c.is_ascii()).count();
        bad += usize::from(!chunk.invalid().is_empty());
    }
    // A character cut off by the end of the sample is not an error.
    let cut = std::str::from_utf8(sample).is_err_and(|error| error.error_len().is_none());
    cut || good >= 4 * bad
}

/// The most likely encoding of bytes that are not UTF-8.
fn guess(bytes: &[u8]) -> &'static Encoding {
    let mut detector = EncodingDetector::new(Iso2022JpDetection::Deny);
    detector.feed(bytes, false);
    let likeliest = detector.guess(None, Utf8Detection::Deny);
    let high = bytes.iter().filter(|byte| !byte.is_ascii()).count();
    let runs = || bytes.split(u8::is_ascii).filter(|run| !run.is_empty());
    // All characters of GB 2312 have this pattern; words in Western letters rarely do.
    let paired = runs().all(|run| run.len() % 2 == 0 && run.iter().all(|byte| (0xa1..=0xfe).contains(byte)));
    // Japanese text always contains kana. A short header in Chinese characters can look like Japanese otherwise.
    let letters = || runs().any(|run| run.chunks(2).any(|pair| matches!(pair[0], 0xa4 | 0xa5)));
    if likeliest == EUC_JP && paired && !letters() {
        return GBK;
    }
    if high >= TELLING_BYTES {
        return likeliest;
    }
    let double = [GBK, BIG5, EUC_JP, EUC_KR, SHIFT_JIS].contains(&likeliest);
    match (paired, double) {
        (true, _) => GBK,
        (false, true) => WINDOWS_1252,
        (false, false) => likeliest,
    }
}

/// Decodes the cells of a row that is not valid UTF-8, and lists the invalid ones. Only the bytes of these cells decide
/// the encoding, so a row is always read the same way.
pub(super) fn mend(record: &csv::ByteRecord) -> (csv::StringRecord, Vec<usize>) {
    let broken = |cell: &&[u8]| std::str::from_utf8(cell).is_err();
    let likeliest = guess(&record.iter().filter(broken).collect::<Vec<_>>().join(&b','));
    let (mut cells, mut undecodable) = (csv::StringRecord::new(), Vec::new());
    for (at, cell) in record.iter().enumerate() {
        match std::str::from_utf8(cell) {
            Ok(text) => cells.push_field(text),
            Err(_) => {
                undecodable.push(at);
                cells.push_field(likeliest.decode_without_bom_handling(cell).0.trim());
            }
        }
    }
    cells.set_position(record.position().cloned());
    (cells, undecodable)
}

/// Converts bytes that arrive in pieces to UTF-8 with line feeds.
pub(super) struct Transcoder {
    /// `None` for UTF-8, which needs no decoding.
    decoder: Option<Decoder>,
    /// `Some` if rows end with carriage returns: whether the last byte was one.
    returned: Option<bool>,
}

impl Transcoder {
    pub(super) fn new(charset: Charset) -> Self {
        let Charset(encoding) = charset;
        Self { decoder: (encoding != UTF_8).then(|| encoding.new_decoder_without_bom_handling()), returned: None }
    }

    /// The text of more bytes.
    pub(super) fn push<'a>(&mut self, bytes: &'a [u8]) -> Cow<'a, [u8]> {
        self.decode(bytes, false)
    }

    /// The remaining text after the last bytes. Nothing may be pushed after this.
    pub(super) fn end(&mut self) -> Vec<u8> {
        let rest = self.decode(&[], true).into_owned();
        self.decoder = None;
        rest
    }

    fn decode<'a>(&mut self, bytes: &'a [u8], last: bool) -> Cow<'a, [u8]> {
        let Some(decoder) = &mut self.decoder else { return self.with_feeds(Cow::Borrowed(bytes)) };
        let mut text = vec![0; decoder.max_utf8_buffer_length(bytes.len()).unwrap_or(bytes.len() * 3 + 16)];
        let (_, _, written, _) = decoder.decode_to_utf8(bytes, &mut text, last);
        text.truncate(written);
        self.with_feeds(Cow::Owned(text))
    }

    /// From now on carriage returns end lines. Also converts text that was already decoded.
    pub(super) fn return_ends_line<'a>(&mut self, text: Cow<'a, [u8]>) -> Cow<'a, [u8]> {
        self.returned = Some(false);
        self.with_feeds(text)
    }

    fn with_feeds<'a>(&mut self, text: Cow<'a, [u8]>) -> Cow<'a, [u8]> {
        let Some(returned) = &mut self.returned else { return text };
        let mut fed = Vec::with_capacity(text.len());
        for byte in text.iter() {
            match byte {
                b'\r' => fed.push(b'\n'),
                // The second byte of a CR LF line break.
                b'\n' if *returned => {}
                other => fed.push(*other),
            }
            *returned = *byte == b'\r';
        }
        Cow::Owned(fed)
    }
}

impl std::fmt::Debug for Transcoder {
    fn fmt(&self, formatter: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        let encoding = self.decoder.as_ref().map_or("UTF-8", |decoder| decoder.encoding().name());
        formatter.debug_struct("Transcoder").field("encoding", &encoding).field("returned", &self.returned).finish()
    }
}

/// Whether the first line ends with a lone carriage return, as on old Macs. Line breaks in quotes do not count.
pub(super) fn returns_end_lines(text: &[u8]) -> bool {
    let first = |heed: bool| {
        let mut quoted = false;
        text.iter().enumerate().find_map(|(at, byte)| {
            quoted ^= heed && *byte == b'"';
            (!quoted && matches!(byte, b'\r' | b'\n')).then_some(at)
        })
    };
    let at = first(true).or_else(|| first(false));
    at.is_some_and(|at| text[at] == b'\r' && text.get(at + 1).is_some_and(|next| *next != b'\n'))
}
