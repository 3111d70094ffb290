//! A column of lists that may be absent.

/// A column of lists, or of none.
pub struct OptionalList<T> {
    pub values: Vec<T>,
    /// 2 for an element, 1 for an empty list, 0 for none.
    pub levels: Vec<i16>,
    /// 0 begins a row, 1 goes on with it.
    pub repeats: Vec<i16>,
}

impl<T> Default for OptionalList<T> {
    fn default() -> Self {
        OptionalList {
            values: Vec::new(),
            levels: Vec::new(),
            repeats: Vec::new(),
        }
    }
}

impl<T: Copy> OptionalList<T> {
    pub fn push(&mut self, values: Option<&[T]>) {
        let many = values.map_or(0, <[T]>::len);
        self.repeats.push(0);
        self.repeats.extend((1..many).map(|_| 1));
        match values {
            Some([]) => self.levels.push(1),
            None => self.levels.push(0),
            Some(values) => {
                self.levels.extend(values.iter().map(|_| 2));
                self.values.extend_from_slice(values);
            }
        }
    }

    pub fn clear(&mut self) {
        self.values.clear();
        self.levels.clear();
        self.repeats.clear();
    }
}
