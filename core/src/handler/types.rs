//! What an action remembers of its table between requests: the columns' types, which the catalogue told the first of them.
//! The guard proves them every time, so what is remembered too long costs time and nothing else.

use std::collections::BTreeMap;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};

use crate::guard::ColumnType;
use crate::primitives::Identifier;

/// So often in a row something in this database may refuse what is sent with remembered types, and then run it without.
const REFUSALS: u8 = 3;

/// Types by column. Clones share what is remembered.
#[derive(Debug, Clone, Default)]
pub(super) struct RememberedTypes(Arc<Mutex<Remembered>>);

#[derive(Debug, Default)]
struct Remembered {
    types: BTreeMap<Identifier, ColumnType>,
    refusals: u8,
}

impl RememberedTypes {
    /// What a guard begins with; nothing if it has to ask.
    pub(super) fn recall(&self) -> BTreeMap<Identifier, ColumnType> {
        let remembered = self.lock();
        if remembered.refusals < REFUSALS { remembered.types.clone() } else { BTreeMap::new() }
    }

    /// The types that a guard came to its effect with: what it recalled if they were `proven`, else what it was told. If it
    /// recalled any, it may have been `refused` before it asked.
    pub(super) fn found(&self, types: &BTreeMap<Identifier, ColumnType>, proven: bool, refused: bool) {
        let mut remembered = self.lock();
        if remembered.types != *types {
            *remembered = Remembered { types: types.clone(), refusals: 0 };
        } else if proven {
            remembered.refusals = 0;
        } else if refused {
            remembered.refusals = remembered.refusals.saturating_add(1);
        }
    }

    fn lock(&self) -> MutexGuard<'_, Remembered> {
        self.0.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn types(kind: &str) -> BTreeMap<Identifier, ColumnType> {
        BTreeMap::from([(Identifier::new("id").unwrap(), ColumnType::new(kind).unwrap())])
    }

    #[test]
    fn who_is_refused_three_times_in_a_row_asks_again_until_the_types_are_others() {
        let remembered = RememberedTypes::default();
        assert!(remembered.recall().is_empty());
        // Several at once asked: none of them was refused.
        (0..9).for_each(|_| remembered.found(&types("bigint"), false, false));
        assert_eq!(remembered.recall(), types("bigint"));
        (0..2).for_each(|_| remembered.found(&types("bigint"), false, true));
        remembered.found(&types("bigint"), true, false);
        (0..2).for_each(|_| remembered.found(&types("bigint"), false, true));
        assert_eq!(remembered.recall(), types("bigint"));
        remembered.found(&types("bigint"), false, true);
        assert!(remembered.recall().is_empty());
        remembered.found(&types("bigint"), false, false);
        assert!(remembered.recall().is_empty(), "asking proves nothing");
        remembered.found(&types("text"), false, false);
        assert_eq!(remembered.recall(), types("text"));
    }
}
