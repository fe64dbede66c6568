//! Heads of requests of HTTP/1 whose lines end without CR: they are spoiled, so that hyper refuses them.
//!
//! Its own because hyper reads such lines as lines. A proxy before it that does not sees other requests than it does, which is
//! how requests are smuggled past a proxy's rules.

/// The last bytes of a head.
const END: u32 = u32::from_be_bytes(*b"\r\n\r\n");

/// Reads along.
#[derive(Debug, Default)]
pub(super) struct Heads {
    /// The last four bytes.
    tail: u32,
    /// The last request of the connection whose head has ended.
    ended: Option<usize>,
}

impl Heads {
    /// Looks at bytes that came where the head of a request was expected, the connection's request of that number.
    pub(super) fn check(&mut self, request: usize, bytes: &mut [u8]) {
        for byte in bytes {
            if self.ended == Some(request) {
                return;
            }
            let bare = *byte == b'\n' && self.tail as u8 != b'\r';
            self.tail = self.tail << 8 | u32::from(*byte);
            if bare {
                *byte = 0;
            }
            if self.tail == END {
                (self.tail, self.ended) = (0, Some(request));
            }
        }
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
    }
}
