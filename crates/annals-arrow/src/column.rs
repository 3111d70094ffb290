//! The parts of a column, as Parquet stores it and arrays of Arrow are made of.

/// A column with nulls: the values that are there, and for each row whether there is one.
#[derive(Clone, Debug)]
pub struct Optional<T> {
    /// The values that are there.
    pub values: Vec<T>,
    /// 1 for a row with a value, 0 for one without.
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
    /// Adds a row.
    pub fn push(&mut self, value: Option<T>) {
        self.levels.push(i16::from(value.is_some()));
        self.values.extend(value);
    }

    /// Each row's value.
    pub fn iter(&self) -> impl Iterator<Item = Option<&T>> {
        let mut values = self.values.iter();
        let levels = self.levels.iter();
        levels.map(move |level| (*level == 1).then(|| values.next()).flatten())
    }

    /// Forgets the rows.
    pub fn clear(&mut self) {
        self.values.clear();
        self.levels.clear();
    }
}

/// A column of lists.
#[derive(Clone, Debug)]
pub struct ListColumn<T> {
    /// The elements of all lists.
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
    /// Adds a row.
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

    /// Forgets the rows.
    pub fn clear(&mut self) {
        self.values.clear();
        self.levels.clear();
        self.repeats.clear();
    }
}

/// A column of rows, by its type.
#[derive(Clone, Copy, Debug)]
#[non_exhaustive]
pub enum ColumnValues<'c, T> {
    /// A text in each row.
    Text(&'c [T]),
    /// A text or nothing.
    OptionalText(&'c Optional<T>),
    /// A number in each row.
    Int32(&'c [i32]),
    /// A number in each row.
    Int64(&'c [i64]),
    /// A number or nothing. Some columns are declared unsigned: the bits are the number.
    OptionalInt64(&'c Optional<i64>),
    /// A number or nothing.
    OptionalFloat(&'c Optional<f32>),
    /// A number or nothing.
    OptionalDouble(&'c Optional<f64>),
    /// Yes, no or nothing.
    OptionalBool(&'c Optional<bool>),
    /// Texts.
    TextList(&'c ListColumn<T>),
    /// Numbers.
    FloatList(&'c ListColumn<f32>),
    /// Numbers.
    DoubleList(&'c ListColumn<f64>),
}
