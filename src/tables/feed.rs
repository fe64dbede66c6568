//! Rows as they come, of a table or of lines of JSON: bytes in, chunks of whole rows out.
//!
//! Its own because every door cuts both the same way, wherever its bytes come from: a socket, or a file.

use std::sync::Arc;

use super::error::TableError;
use super::opening::Head;
use super::reader::{Chunk, Decide, ReadOptions, TableReader};
use super::rows::{RowTooLong, Rows};

/// Rows, by their format.
#[derive(Debug)]
pub enum Feed {
    /// Lines of JSON; and whether the last bytes have come.
    Lines(Rows, bool),
    /// A table.
    Table(Box<TableReader>),
}

/// Why bytes are no rows.
#[derive(Debug, thiserror::Error)]
pub enum FeedError {
    /// A line without an end.
    #[error(transparent)]
    Row(#[from] RowTooLong),
    /// No table.
    #[error(transparent)]
    Table(#[from] TableError),
}

impl Feed {
    /// Lines of JSON.
    pub fn lines() -> Self {
        Self::Lines(Rows::lines(), false)
    }

    /// A table.
    pub fn table(options: &ReadOptions, decide: Decide) -> Self {
        Self::Table(Box::new(TableReader::new(options, decide)))
    }

    /// Takes the next bytes.
    ///
    /// # Errors
    /// [`FeedError`]
    pub fn push(&mut self, bytes: &[u8]) -> Result<(), FeedError> {
        match self {
            Self::Lines(rows, _) => Ok(rows.push(bytes)?),
            Self::Table(reader) => Ok(reader.push(bytes)?),
        }
    }

    /// There are no more bytes.
    ///
    /// # Errors
    /// [`FeedError`]
    pub fn end(&mut self) -> Result<(), FeedError> {
        match self {
            Self::Lines(_, ended) => {
                *ended = true;
                Ok(())
            }
            Self::Table(reader) => Ok(reader.end()?),
        }
    }

    /// The header of a table, as soon as it is known; of lines there is none.
    pub fn head(&self) -> Option<&Arc<Head>> {
        match self {
            Self::Lines(..) => None,
            Self::Table(reader) => reader.head(),
        }
    }

    /// The next rows, when there are many, or no more to come.
    pub fn chunk(&mut self) -> Option<Chunk> {
        match self {
            Self::Lines(rows, ended) => rows.chunk().or_else(|| ended.then(|| rows.rest()).flatten()).map(unnumbered),
            Self::Table(reader) => reader.chunk(),
        }
    }

    /// The next rows, if there is a whole one.
    pub fn take_whole(&mut self) -> Option<Chunk> {
        match self {
            Self::Lines(rows, _) => rows.take_whole().map(unnumbered),
            Self::Table(reader) => reader.take_whole(),
        }
    }
}

/// Lines of JSON are known by their place in the answer.
fn unnumbered(bytes: Vec<u8>) -> Chunk {
    Chunk { bytes, line: 0 }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn both_formats_give_their_last_row_at_the_end() {
        for (mut feed, text, rows) in [
            (Feed::lines(), "{}\n{}", vec!["{}\n", "{}"]),
            (Feed::table(&ReadOptions::default(), Decide::AtFirstRow), "C,Cr\n0.1,1\n0.2,2", vec!["0.1,1\n", "0.2,2"]),
        ] {
            feed.push(text.as_bytes()).unwrap();
            assert!(feed.chunk().is_none(), "few rows wait for more");
            let whole = feed.take_whole().unwrap();
            feed.end().unwrap();
            let rest = feed.chunk().unwrap();
            assert_eq!([whole, rest].map(|chunk| String::from_utf8(chunk.bytes).unwrap()).to_vec(), rows);
            assert!(feed.chunk().is_none() && feed.take_whole().is_none());
        }
    }
}
