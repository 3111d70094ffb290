//! The parts of a column, as Parquet stores it.

/// A column with nulls: the values that are there, and for each row whether there is one.
pub struct Optional<T> {
    pub values: Vec<T>,
    pub levels: Vec<i16>,
}

impl<T> Default for Optional<T> {
    fn default() -> Self {
        Optional {
            values: Vec::new(),
            levels: Vec::new(),
        }
    }
}

impl<T> Optional<T> {
    pub fn push(&mut self, value: Option<T>) {
        self.levels.push(i16::from(value.is_some()));
        self.values.extend(value);
    }

    pub fn clear(&mut self) {
        self.values.clear();
        self.levels.clear();
    }
}

/// A column of lists.
pub struct ListColumn<T> {
    pub values: Vec<T>,
    /// 1 for an element, 0 for an empty list.
    pub levels: Vec<i16>,
    /// 0 begins a row, 1 goes on with it.
    pub repeats: Vec<i16>,
}

impl<T> Default for ListColumn<T> {
    fn default() -> Self {
        ListColumn {
            values: Vec::new(),
            levels: Vec::new(),
            repeats: Vec::new(),
        }
    }
}

impl<T> ListColumn<T> {
    pub fn push(&mut self, values: impl Iterator<Item = T>) {
        let before = self.values.len();
        for value in values {
            self.repeats.push(i16::from(self.values.len() > before));
            self.levels.push(1);
            self.values.push(value);
        }
        if self.values.len() == before {
            self.repeats.push(0);
            self.levels.push(0);
        }
    }

    pub fn clear(&mut self) {
        self.values.clear();
        self.levels.clear();
        self.repeats.clear();
    }
}

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
