//! Names as the columns want them.

use std::collections::HashMap;
use std::sync::Arc;

/// A text of a column, of which a copy costs little: `Arc<str>`, or the byte array of Parquet.
pub trait ColumnText: Clone + Default + for<'a> From<&'a str> {}

impl<T: Clone + Default + for<'a> From<&'a str>> ColumnText for T {}

/// Each name made once.
pub struct Names<T> {
    /// By where a name lies, for those met last: a reader gives the same name from the same place.
    near: Vec<Option<(Arc<str>, T)>>,
    all: HashMap<Arc<str>, T>,
}

/// Places for names met last.
const NEAR: usize = 256;
/// Names are forgotten when there are more: they may be as many as rows.
const MOST: usize = 1 << 16;
/// The same between two groups of rows: many files may be open.
const KEPT: usize = 1 << 10;

impl<T> Default for Names<T> {
    fn default() -> Self {
        Names {
            near: Vec::new(),
            all: HashMap::new(),
        }
    }
}

impl<T: ColumnText> Names<T> {
    /// The name as a text that is shared.
    pub fn get(&mut self, name: &Arc<str>) -> T {
        // Allocations lie at multiples of 16.
        let place = (Arc::as_ptr(name).cast::<u8>().addr() >> 4) % NEAR;
        if let Some(Some((known, array))) = self.near.get(place)
            && Arc::ptr_eq(known, name)
        {
            return array.clone();
        }
        let array = self.find(name);
        if self.near.is_empty() {
            self.near.resize(NEAR, None);
        }
        if let Some(near) = self.near.get_mut(place) {
            *near = Some((name.clone(), array.clone()));
        }
        array
    }

    /// Forgets the names if they are many.
    pub fn forget(&mut self) {
        if self.all.len() > KEPT {
            *self = Names::default();
        }
    }

    fn find(&mut self, name: &Arc<str>) -> T {
        if let Some(known) = self.all.get(name) {
            return known.clone();
        }
        if self.all.len() >= MOST {
            self.all.clear();
        }
        let array = T::from(name);
        self.all.insert(name.clone(), array.clone());
        array
    }
}
