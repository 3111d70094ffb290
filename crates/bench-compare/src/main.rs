//! The same decision, remembered in several ways.

fn main() {}
