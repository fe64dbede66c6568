//! JSON objects with their entries as written: a map would hide a repeated key, which must be reported.

use std::borrow::Cow;
use std::fmt;

use serde::Deserialize;
use serde::de::{Deserializer, MapAccess, Visitor};

/// As many entries as most samples have.
pub(super) const USUAL: usize = 12;

/// The entries of a JSON object in the order of the text, with repeated keys.
#[derive(Debug)]
pub(super) struct Entries<'a, T>(pub(super) Vec<(Cow<'a, str>, T)>);

/// The name of an entry, borrowed from the text unless it contains an escape.
#[derive(Deserialize)]
struct Name<'a>(#[serde(borrow)] Cow<'a, str>);

impl<'de, T: Deserialize<'de>> Entries<'de, T> {
    pub(super) fn read<A: MapAccess<'de>>(map: A) -> Result<Self, A::Error> {
        let mut entries = Vec::with_capacity(USUAL);
        Self::each(map, |name, value| entries.push((name, value)))?;
        Ok(Self(entries))
    }

    /// Hands on each entry, in the order of the text.
    pub(super) fn each<A: MapAccess<'de>>(mut map: A, mut take: impl FnMut(Cow<'de, str>, T)) -> Result<(), A::Error> {
        while let Some(Name(name)) = map.next_key()? {
            take(name, map.next_value()?);
        }
        Ok(())
    }
}

impl<'de: 'a, 'a, T: Deserialize<'de>> Deserialize<'de> for Entries<'a, T> {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        struct EntriesVisitor<T>(std::marker::PhantomData<T>);

        impl<'de, T: Deserialize<'de>> Visitor<'de> for EntriesVisitor<T> {
            type Value = Entries<'de, T>;

            fn expecting(&self, f: &mut fmt::Formatter) -> fmt::Result {
                f.write_str("an object")
            }

            fn visit_map<A: MapAccess<'de>>(self, map: A) -> Result<Entries<'de, T>, A::Error> {
                Entries::read(map)
            }
        }

        deserializer.deserialize_map(EntriesVisitor(std::marker::PhantomData))
    }
}
