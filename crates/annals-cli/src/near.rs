//! Names that are not there, and those that may have been meant.

use strsim::damerau_levenshtein;

use crate::failure::Failure;

/// Names that are shown.
const SHOWN: usize = 5;

/// Those of `known` that `name` may be a misspelling of, the nearest first.
fn near<'n>(name: &str, known: &'n [String]) -> Vec<&'n str> {
    let folded = name.to_lowercase();
    let mut near: Vec<(usize, &str)> = Vec::new();
    for other in known {
        let theirs = other.to_lowercase();
        let distance = damerau_levenshtein(&folded, &theirs);
        // A third of the letters may differ; or one of them is the beginning of the other.
        let begins = folded.len() >= 3 && (theirs.starts_with(&folded));
        let longest = folded.chars().count().max(theirs.chars().count());
        if begins || distance * 3 <= longest {
            near.push((distance, other));
        }
    }
    near.sort_unstable();
    near.into_iter().map(|(_, name)| name).collect()
}

/// A name that has to be there, and that nothing bears.
pub fn unknown(what: &str, name: &str, known: &[String], shows: &str) -> Failure {
    Failure::Usage(sentence(what, name, known, shows))
}

/// The message about an unknown name; `shows` is the command that lists the known ones.
pub fn sentence(what: &str, name: &str, known: &[String], shows: &str) -> String {
    let near = near(name, known);
    let some = |names: &mut dyn Iterator<Item = &str>, of: usize| {
        let named: Vec<String> = names.take(SHOWN).map(|name| format!("{name:?}")).collect();
        let more = of.saturating_sub(named.len());
        match more {
            0 => named.join(", "),
            _ => format!("{} and {more} more", named.join(", ")),
        }
    };
    let instead = if !near.is_empty() {
        let names = some(&mut near.iter().copied(), near.len());
        format!("did you mean {names}?")
    } else if known.is_empty() {
        "there are none".to_owned()
    } else {
        let names = some(&mut known.iter().map(String::as_str), known.len());
        format!("known are {names}")
    };
    format!("no {what} {name:?}: {instead} ({shows})")
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_nearest_name_comes_first() {
        let known = ["dqn_agent", "dqn_agent_2", "cnn", "DQN"].map(str::to_owned);
        assert_eq!(near("dqn_agnet", &known), ["dqn_agent", "dqn_agent_2"]);
        assert_eq!(near("dqn", &known), ["DQN", "dqn_agent", "dqn_agent_2"]);
        assert_eq!(near("CNN", &known), ["cnn"]);
        assert!(near("lstm", &known).is_empty() && near("", &known).is_empty());
    }

    #[test]
    fn a_name_that_is_like_none_is_told_which_there_are() {
        let known: Vec<String> = (0..9).map(|n| format!("model_{n}")).collect();
        let said = |name: &str, known: &[String]| sentence("model", name, known, "run x");
        assert!(said("abc", &known).contains("known are \"model_0\""));
        assert!(said("abc", &known).contains("and 4 more (run x)"));
        assert_eq!(said("abc", &[]), "no model \"abc\": there are none (run x)");
    }
}
