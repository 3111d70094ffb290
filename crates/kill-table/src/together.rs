//! Two processes record in one place, and one or both are killed.

use std::path::Path;
use std::thread;
use std::time::Duration;

use anyhow::{Context, Result};

use crate::round::{Cost, count};
use crate::shape::Shape;
use crate::subjects::Kind;
use crate::teller::Teller;

/// Who dies, with the times after the first answers of both.
#[derive(Clone, Copy, Debug)]
pub enum Course {
    /// Both: the second one so long after the first.
    Both(Duration, Duration),
    /// One. The other goes on for as long again, and ends in good order.
    One(Duration, Duration),
    /// One. Another opens the place in its stead, while the survivor goes on; then both die.
    Replaced(Duration, Duration),
}

/// Lets two children of `kind` record in `dir`, which is empty, until their end.
pub fn round(
    program: &Path,
    kind: &Kind,
    shape: Shape,
    dir: &Path,
    course: Course,
) -> Result<Cost> {
    let start = |process: u64| {
        let orders = ["--process".to_owned(), process.to_string()];
        Teller::start(program, kind, shape, dir, &orders)
    };
    let (mut one, mut other) = (start(0)?, start(1)?);
    one.first()?;
    other.first()?;
    let (Course::Both(first, second)
    | Course::One(first, second)
    | Course::Replaced(first, second)) = course;
    thread::sleep(first);
    one.kill()?;
    let mut said = one.died()?;
    let deaths = match course {
        Course::Both(..) => {
            thread::sleep(second);
            other.kill()?;
            said.extend(other.died()?);
            2
        }
        Course::One(..) => {
            thread::sleep(second);
            said.extend(other.finish()?);
            1
        }
        Course::Replaced(..) => {
            let mut third = start(2)?;
            third.first()?;
            thread::sleep(second);
            third.kill()?;
            other.kill()?;
            said.extend(other.died()?);
            said.extend(third.died()?);
            3
        }
    };
    count(kind, dir, &said, deaths).with_context(|| format!("{course:?}"))
}
