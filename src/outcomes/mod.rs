//! Outcomes: found by the decision that they belong to, in any order of commits.

pub(crate) mod current;
pub(crate) mod lookup;
pub(crate) mod out_of_order;
pub(crate) mod unmatched;
