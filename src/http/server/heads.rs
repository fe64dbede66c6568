//! Rejects HTTP/1 request heads with lines that end without CR: the line feed is replaced, so that hyper refuses the
//! head.
//!
//! Hyper itself accepts such lines. A proxy in front that does not accept them would see other requests than hyper
//! does, which allows request smuggling.

use memchr::memchr;

/// The bytes before the line feed that ends a head.
const BEFORE_END: u32 = u32::from_be_bytes(*b"\0\r\n\r");

/// Scans the incoming bytes of one connection.
#[derive(Debug, Default)]
pub(in crate::http) struct Heads {
    /// The last three bytes read.
    tail: u32,
    /// Number of the last request whose head is complete.
    ended: Option<usize>,
}

impl Heads {
    /// Checks bytes that arrived while a request head was expected. `request` is the number of the request on this
    /// connection.
    pub(in crate::http) fn check(&mut self, request: usize, bytes: &mut [u8]) {
        if self.ended == Some(request) {
            return;
        }
        let mut from = 0;
        while let Some(at) = memchr(b'\n', &bytes[from..]).map(|at| from + at) {
            let before = self.tail_after(&bytes[..at]);
            if before as u8 != b'\r' {
                bytes[at] = 0;
            }
            if before == BEFORE_END {
                (self.tail, self.ended) = (0, Some(request));
                return;
            }
            from = at + 1;
        }
        self.tail = self.tail_after(bytes);
    }

    /// The last three bytes after `bytes` are appended.
    fn tail_after(&self, bytes: &[u8]) -> u32 {
        let last = &bytes[bytes.len().saturating_sub(3)..];
        last.iter().fold(self.tail, |tail, byte| tail << 8 | u32::from(*byte)) & 0xff_ffff
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn checked(pieces: &[(usize, &str)]) -> String {
        let mut heads = Heads::default();
        let check = |(request, piece): &(usize, &str)| {
            let mut bytes = piece.as_bytes().to_vec();
            heads.check(*request, &mut bytes);
            String::from_utf8(bytes).unwrap()
        };
        pieces.iter().map(check).collect()
    }

    #[test]
    fn bare_line_feeds_are_spoiled_in_heads_alone() {
        let whole = [(0, "GET / HTTP/1.1\r"), (0, "\nhost: x\r\n\r\nbody\nof\nlines"), (1, "GET / HTTP/1.1\r\n\r\n")];
        assert_eq!(checked(&whole), whole.iter().map(|(_, piece)| *piece).collect::<String>());
        assert_eq!(checked(&[(0, "GET / HTTP/1.1\nhost: x\r\n")]), "GET / HTTP/1.1\0host: x\r\n");
        assert_eq!(checked(&[(0, "a\r\n\r\n\n"), (1, "b\n")]), "a\r\n\r\n\nb\0");
        let bytes: Vec<String> = "GET / HTTP/1.1\r\n\r\nx\n".chars().map(String::from).collect();
        let bytewise: Vec<(usize, &str)> = bytes.iter().map(|byte| (0, byte.as_str())).collect();
        assert_eq!(checked(&bytewise), bytes.concat(), "in whatever pieces it comes");
        assert_eq!(checked(&[(0, "a\r"), (0, "\n\r"), (0, "\nb\n")]), "a\r\n\r\nb\n");
        assert_eq!(checked(&[(0, "a\n"), (0, "\r\n"), (0, "\n")]), "a\0\r\n\0", "a spoiled head has no end");
    }
}
