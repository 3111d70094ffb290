//! A command line without its secrets.

use crate::entry::manifest::{MOST_ARGUMENTS, MOST_COMMAND_LINE};

/// What stands for a secret.
const MASK: &str = "***";
/// What stands for the rest of a command line that is too long.
const CUT: &str = "…";
/// Words of names of secrets.
const WORDS: [&str; 29] = [
    "auth",
    "authorization",
    "bearer",
    "cookie",
    "cred",
    "credential",
    "credentials",
    "creds",
    "dsn",
    "jwt",
    "key",
    "keys",
    "otp",
    "pass",
    "passcode",
    "passphrase",
    "passwd",
    "password",
    "passwords",
    "pat",
    "private",
    "pw",
    "pwd",
    "sas",
    "secret",
    "secrets",
    "sig",
    "signature",
    "token",
];
/// What stands before a secret.
const SCHEMES: [&str; 3] = ["basic", "bearer", "token"];
/// Ends of words of names of secrets: `apikey`, `dbpassword`.
const ENDS: [&str; 7] = [
    "key",
    "passwd",
    "password",
    "pwd",
    "secret",
    "token",
    "passphrase",
];

/// The arguments, with a mask in the place of each secret, and cut where they become too long.
pub(super) fn without_secrets(arguments: impl IntoIterator<Item = String>) -> Vec<String> {
    let (mut kept, mut bytes, mut hides_next) = (Vec::new(), CUT.len(), false);
    for argument in arguments {
        let hidden = hides_next;
        // Also of one that is hidden: `--auth --token x` may be two options or one with its value.
        hides_next = match argument.strip_suffix(['=', ':']) {
            // `Authorization: x` and `--password= x`, in two arguments.
            Some(name) => is_secret_name(last_name(name)),
            None => {
                argument.starts_with('-')
                    && !argument.contains(['=', ':'])
                    && is_secret_name(&argument)
            }
        };
        // `Bearer x`, in two arguments.
        hides_next |= hidden
            && SCHEMES
                .iter()
                .any(|scheme| argument.eq_ignore_ascii_case(scheme));
        let masked = match hidden {
            true => MASK.to_owned(),
            false => masked(&argument),
        };
        // The last place is for the sign that it was cut.
        if kept.len() + 1 >= MOST_ARGUMENTS || bytes + masked.len() > MOST_COMMAND_LINE {
            kept.push(CUT.to_owned());
            break;
        }
        bytes += masked.len();
        kept.push(masked);
    }
    kept
}

/// One argument without its secrets.
fn masked(argument: &str) -> String {
    let secret = argument.char_indices().find(|(place, sign)| {
        let name = argument.get(..*place).unwrap_or_default();
        // What follows `://` is no value of a name.
        matches!(sign, '=' | ':') && is_secret_name(last_name(name))
    });
    let (shown, is_cut) = match secret {
        Some((place, _)) => (argument.get(..=place).unwrap_or_default(), true),
        None => (argument, false),
    };
    let mut shown = without_user(shown);
    if is_cut {
        shown.push_str(MASK);
    }
    shown
}

/// A URL without the part that may have a password.
fn without_user(argument: &str) -> String {
    let Some((scheme, rest)) = argument.split_once("://") else {
        return argument.to_owned();
    };
    // The last one: a password may have `@` and `/` that should have been encoded.
    match rest.rsplit_once('@') {
        Some((_, host)) => format!("{scheme}://{MASK}@{host}"),
        None => argument.to_owned(),
    }
}

/// The name at the end of `text`: what is behind the last sign that is of no name.
fn last_name(text: &str) -> &str {
    let text = text.trim_end_matches(|sign: char| !is_of_name(sign));
    let begin = text.rfind(|sign: char| !is_of_name(sign));
    begin.map_or(text, |begin| {
        let behind = text.get(begin..).unwrap_or_default();
        behind.trim_start_matches(|sign: char| !is_of_name(sign))
    })
}

fn is_of_name(sign: char) -> bool {
    sign.is_alphanumeric() || matches!(sign, '-' | '_' | '.')
}

/// Whether a name's words tell of a secret.
fn is_secret_name(name: &str) -> bool {
    let mut words = vec![String::new()];
    let mut before = ' ';
    for sign in name.chars() {
        // `apiKey` has two words, and `APIKEY` one.
        let begins = sign.is_uppercase() && before.is_lowercase();
        if !sign.is_alphanumeric() || begins {
            words.push(String::new());
        }
        if let Some(word) = words.last_mut().filter(|_| sign.is_alphanumeric()) {
            word.extend(sign.to_lowercase());
        }
        before = sign;
    }
    words.iter().any(|word| {
        let word = word.trim_end_matches(|sign: char| sign.is_ascii_digit());
        WORDS.contains(&word) || ENDS.iter().any(|end| word.ends_with(end))
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    fn line(arguments: &[&str]) -> String {
        without_secrets(arguments.iter().map(|one| (*one).to_owned())).join(" ")
    }

    #[test]
    fn secrets_are_masked() {
        for (given, kept) in [
            (
                "agent --password hunter2 --seed 7",
                "agent --password *** --seed 7",
            ),
            ("agent --token=abc", "agent --token=***"),
            ("agent --api-keys=abc", "agent --api-keys=***"),
            ("agent --password= abc 7", "agent --password=*** *** 7"),
            (
                "curl -H Authorization: Bearer abc now",
                "curl -H Authorization:*** *** *** now",
            ),
            (
                "agent https://store/x?sv=1&sig=abc",
                "agent https://store/x?sv=1&sig=***",
            ),
            ("env API_KEY=abc agent", "env API_KEY=*** agent"),
            (
                "docker -eAWS_SECRET_ACCESS_KEY=a",
                "docker -eAWS_SECRET_ACCESS_KEY=***",
            ),
            ("agent --dbPassword=x", "agent --dbPassword=***"),
            ("agent --apikey x y", "agent --apikey *** y"),
            ("agent --access-token2=x", "agent --access-token2=***"),
            ("agent --header=X-Api-Key:x", "agent --header=X-Api-Key:***"),
            ("agent {\"password\":\"x\"}", "agent {\"password\":***"),
            // It may be the value of the first, and an option of its own.
            ("agent --auth --password x", "agent --auth *** ***"),
            ("agent --password -x", "agent --password ***"),
            // All behind it goes, because a secret may have any sign.
            ("agent --pass=a,b=c", "agent --pass=***"),
            ("agent https://user:x@host/a", "agent https://***@host/a"),
            ("agent postgres://u:p/w@x@host", "agent postgres://***@host"),
            (
                "agent https://x@host/?token=abc&a=b",
                "agent https://***@host/?token=***",
            ),
            (
                "agent --url=redis://:x@host:6379/0",
                "agent --url=redis://***@host:6379/0",
            ),
            ("agent --ключ-token=x", "agent --ключ-token=***"),
        ] {
            let given: Vec<&str> = given.split(' ').collect();
            assert_eq!(line(&given), kept);
        }
        let header = ["curl", "-H", "Authorization: Bearer abc"];
        assert_eq!(line(&header), "curl -H Authorization:***");
    }

    #[test]
    fn all_else_stays() {
        let harmless = "agent --seed 42 --max-tokens=512 --bypass --keep 3 --lr=0.1 KEYS a:b \
            https://host:80/path?x=1 C:\\data -p 80 --author=me = : =x --";
        let given: Vec<&str> = harmless.split_whitespace().collect();
        assert_eq!(line(&given), given.join(" "));
        assert!(without_secrets([]).is_empty());
    }

    #[test]
    fn a_long_line_is_cut() {
        let many = without_secrets((0..500).map(|number| number.to_string()));
        assert_eq!(many.len(), MOST_ARGUMENTS);
        assert_eq!(many.last().map(String::as_str), Some(CUT));
        let long = without_secrets(["agent".to_owned(), "x".repeat(MOST_COMMAND_LINE)]);
        assert_eq!(long, ["agent", CUT]);
    }
}
