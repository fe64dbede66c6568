//! Splits into training and test rows, read from `split,row,part` files with rows counted from 0. The part is `test` or
//! `unused`; rows that are not listed are training rows. With the same file, comparisons are paired.

use std::collections::BTreeMap;
use std::io::Read;

/// A split of a data set.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Split {
    /// Training rows.
    pub train: Vec<usize>,
    /// Test rows.
    pub test: Vec<usize>,
}

/// Why a splits file cannot be used.
#[derive(Debug, thiserror::Error)]
pub enum SplitError {
    /// The file does not have the right format.
    #[error("{0}")]
    Csv(#[from] csv::Error),
    /// A row does not exist in the data, or there are no training or test rows.
    #[error("{0}")]
    Rows(String),
}

/// Reads the splits of a data set of `rows` rows.
///
/// # Errors
/// [`SplitError`] if the file has another format or does not fit the data.
pub fn read_splits(reader: impl Read, rows: usize) -> Result<Vec<Split>, SplitError> {
    let mut listed: BTreeMap<usize, BTreeMap<usize, bool>> = BTreeMap::new();
    for record in csv::Reader::from_reader(reader).deserialize() {
        let (split, row, part): (usize, usize, String) = record?;
        if row >= rows {
            return Err(SplitError::Rows(format!("split {split} names row {row}, the data has {rows} rows")));
        }
        if part != "test" && part != "unused" {
            return Err(SplitError::Rows(format!("the part of row {row} is \"{part}\", not test or unused")));
        }
        listed.entry(split).or_default().insert(row, part == "test");
    }
    let split = |listed: BTreeMap<usize, bool>| Split {
        train: (0..rows).filter(|row| !listed.contains_key(row)).collect(),
        test: listed.iter().filter(|(_, tests)| **tests).map(|(row, _)| *row).collect(),
    };
    let splits: Vec<Split> = listed.into_values().map(split).collect();
    if splits.is_empty() || splits.iter().any(|split| split.train.len() < 2 || split.test.is_empty()) {
        return Err(SplitError::Rows("no test rows, or none left to train on".to_owned()));
    }
    Ok(splits)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn rows_not_listed_are_for_training() {
        let splits = read_splits("split,row,part\n0,1,test\n0,3,test\n1,0,test\n1,4,unused\n".as_bytes(), 5).unwrap();
        assert_eq!(splits[0], Split { train: vec![0, 2, 4], test: vec![1, 3] });
        assert_eq!(splits[1], Split { train: vec![1, 2, 3], test: vec![0] });
        assert!(read_splits("split,row,part\n0,9,test\n".as_bytes(), 5).is_err());
        assert!(read_splits("split,row,part\n0,1,train\n".as_bytes(), 5).is_err());
        assert!(read_splits("split,row,part\n".as_bytes(), 5).is_err());
    }
}
