//! Flags for what cannot be seen in a table's file, shared by the commands for predictions, training and descriptors.

use clap::Args;

use crate::tables::{Charset, Mapping, ReadOptions};

#[derive(Args, Clone, Debug, Default)]
pub(super) struct TableFlags {
    /// Encoding of the text, such as utf-8, windows-1252 or gb18030; guessed where it is not given.
    #[arg(long)]
    encoding: Option<Charset>,
    /// Sheet of a workbook, by name or by number from 1; the first one that is not empty where none is given.
    #[arg(long)]
    sheet: Option<String>,
    /// What a column is: COLUMN=FIELD with an element's symbol, a process parameter, `formula` or `other`, such as
    /// "AlT=Al"; may be repeated.
    #[arg(long = "map", value_name = "COLUMN=FIELD", value_parser = Mapping::pair)]
    maps: Vec<(String, String)>,
}

/// Values for whole columns that a table does not have.
#[derive(Args, Clone, Debug, Default)]
pub(super) struct SetFlags {
    /// One value for all rows: FIELD=VALUE, such as "test_temperature=25"; may be repeated.
    #[arg(long = "set", value_name = "FIELD=VALUE", value_parser = Mapping::pair)]
    sets: Vec<(String, String)>,
}

impl TableFlags {
    pub(super) fn options(&self) -> ReadOptions {
        ReadOptions { encoding: self.encoding, sheet: self.sheet.clone() }
    }

    pub(super) fn mapping(&self, sets: &SetFlags) -> Mapping {
        Mapping { columns: self.maps.clone(), values: sets.sets.clone() }
    }
}
