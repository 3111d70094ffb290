//! The bytes of the human-readable files: one line per entry, specified in `FORMAT.md`.
//!
//! Everything here appends to a `Vec<u8>` and cannot fail. One entry is one line, whatever its
//! names and messages contain. Text is escaped before it becomes part of a line, so no name can
//! start a second line, a second column or a terminal's colour.

pub(crate) mod escape;
pub(crate) mod render;
pub(crate) mod stamp;

pub(crate) use render::{
    AnswerColumn, DecisionLine, LineValue, NameColumn, push_checkpoint_event, push_decision,
    push_gap, push_outcome, push_system_event,
};
pub(crate) use stamp::Stamps;

/// Appends `number` in decimal. A few ns.
fn push_u64(out: &mut Vec<u8>, mut number: u64) {
    let mut digits = [0; 20];
    let mut start = digits.len();
    loop {
        start -= 1;
        digits[start] = b'0' + (number % 10) as u8;
        number /= 10;
        if number == 0 {
            break;
        }
    }
    out.extend_from_slice(&digits[start..]);
}
