//! Names that come back in row after row, made once.

use std::collections::HashSet;
use std::sync::Arc;

/// The words met so far.
#[derive(Default)]
pub struct TextPool {
    /// The last ones, newest last: mostly it is one of them.
    near: Vec<Arc<str>>,
    all: HashSet<Arc<str>>,
}

/// Words that are looked through before the others are searched.
const NEAR: usize = 8;
/// Words are forgotten when there are more: any column may hold as many as rows.
const MOST: usize = 1 << 16;

impl TextPool {
    /// `text`, shared with all who have it.
    pub fn get(&mut self, text: &str) -> Arc<str> {
        if let Some(known) = self.near.iter().find(|known| &***known == text) {
            return known.clone();
        }
        if self.all.len() >= MOST {
            self.all.clear();
        }
        let word = match self.all.get(text) {
            Some(known) => known.clone(),
            None => {
                let word: Arc<str> = text.into();
                self.all.insert(word.clone());
                word
            }
        };
        if self.near.len() == NEAR {
            self.near.remove(0);
        }
        self.near.push(word.clone());
        word
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_word_is_itself_and_made_once() {
        let mut words = TextPool::default();
        let first = words.get("BUY");
        for number in 0..20 {
            assert_eq!(&*words.get(&number.to_string()), number.to_string());
        }
        assert!(Arc::ptr_eq(&first, &words.get("BUY")));
    }
}
