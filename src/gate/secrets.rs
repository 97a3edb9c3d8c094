//! Shapes of tokens, keys and passwords.
//!
//! Every shape begins with fixed letters, by which it is found; what follows is checked by hand, so
//! that names of variables and placeholders do not count. What was found is never shown.
//!
//! Sources: the issuers' documents of their tokens' prefixes, as gathered by gitleaks `config/gitleaks.toml`.

/// What begins with certain letters, and what has to follow.
pub(super) struct Shape {
    /// The letters.
    pub(super) start: &'static str,
    /// What it is, as a phrase.
    pub(super) what: &'static str,
    /// Whether what follows at this place of the text is it.
    pub(super) follows: fn(&[u8]) -> bool,
    /// Whether the letters before count, too: a token begins a word.
    pub(super) is_word: bool,
    /// Whether it only counts where people write settings: sources of programs are full of such words.
    pub(super) in_settings: bool,
}

const fn token(start: &'static str, what: &'static str, follows: fn(&[u8]) -> bool) -> Shape {
    Shape { start, what, follows, is_word: true, in_settings: false }
}

const fn setting(start: &'static str, what: &'static str, follows: fn(&[u8]) -> bool) -> Shape {
    Shape { start, what, follows, is_word: false, in_settings: true }
}

const GITHUB: &str = "a token of GitHub";
const AWS: &str = "an access key of AWS";
const SLACK: &str = "a token of Slack";
const PASSWORD: &str = "a password";
const SECRET: &str = "a token";

/// All shapes.
pub(super) const SHAPES: &[Shape] = &[
    token("ghp_", GITHUB, |rest| is_random(word(rest), 36)),
    token("gho_", GITHUB, |rest| is_random(word(rest), 36)),
    token("ghu_", GITHUB, |rest| is_random(word(rest), 36)),
    token("ghs_", GITHUB, |rest| is_random(word(rest), 36)),
    token("ghr_", GITHUB, |rest| is_random(word(rest), 36)),
    token("github_pat_", GITHUB, |rest| is_random(word(rest), 40)),
    token("AKIA", AWS, is_aws),
    token("ASIA", AWS, is_aws),
    token("xoxb-", SLACK, |rest| is_random(dashed(rest), 20)),
    token("xoxp-", SLACK, |rest| is_random(dashed(rest), 20)),
    token("xoxa-", SLACK, |rest| is_random(dashed(rest), 20)),
    token("xoxr-", SLACK, |rest| is_random(dashed(rest), 20)),
    token("xoxs-", SLACK, |rest| is_random(dashed(rest), 20)),
    token("glpat-", "a token of GitLab", |rest| is_random(dashed(rest), 20)),
    token("hf_", "a token of Hugging Face", |rest| is_mixed(word(rest), 34)),
    token("sk-", "a key of OpenAI or Anthropic", |rest| is_mixed(dashed(rest), 32)),
    token("AIza", "a key of Google", |rest| is_mixed(dashed(rest), 35)),
    token("npm_", "a token of npm", |rest| is_mixed(word(rest), 36)),
    token("pypi-AgE", "a token of PyPI", |rest| is_mixed(dashed(rest), 50)),
    token("eyJ", "a JSON web token", is_jwt),
    token("-----BEGIN ", "a private key", is_private_key),
    token("Bearer ", SECRET, |rest| is_mixed(base64(rest), 20)),
    token("bearer ", SECRET, |rest| is_mixed(base64(rest), 20)),
    Shape {
        start: "://",
        what: "a user name with its password",
        follows: has_credentials,
        is_word: false,
        in_settings: false,
    },
    token("\"auth\"", "a password of a registry", is_docker_auth),
    setting("password", PASSWORD, is_password),
    setting("Password", PASSWORD, is_password),
    setting("PASSWORD", PASSWORD, is_password),
    setting("passwd", PASSWORD, is_password),
    setting("PASSWD", PASSWORD, is_password),
    setting("_TOKEN", SECRET, is_secret),
    setting("_SECRET", SECRET, is_secret),
    setting("_API_KEY", SECRET, is_secret),
    setting("_SECRET_ACCESS_KEY", SECRET, is_secret),
];

/// The longest beginning of `text` of which every byte is one of these.
fn run(text: &[u8], belongs: impl Fn(u8) -> bool) -> &[u8] {
    let end = text.iter().position(|&byte| !belongs(byte)).unwrap_or(text.len());
    text.get(..end).unwrap_or_default()
}

fn word(text: &[u8]) -> &[u8] {
    run(text, |byte| byte.is_ascii_alphanumeric() || byte == b'_')
}

fn dashed(text: &[u8]) -> &[u8] {
    run(text, |byte| byte.is_ascii_alphanumeric() || b"_-".contains(&byte))
}

fn base64(text: &[u8]) -> &[u8] {
    run(text, |byte| byte.is_ascii_alphanumeric() || b"+/=._~-".contains(&byte))
}

/// Whether it is as long, and not made by a hand that filled in a place: letters and digits, at
/// least eight different ones.
fn is_random(text: &[u8], least: usize) -> bool {
    let mut different: Vec<u8> = text.to_vec();
    different.sort_unstable();
    different.dedup();
    text.len() >= least
        && different.len() >= 8
        && text.iter().any(u8::is_ascii_digit)
        && text.iter().any(u8::is_ascii_alphabetic)
}

/// The same, with letters of both cases.
fn is_mixed(text: &[u8], least: usize) -> bool {
    let has = |case: fn(&u8) -> bool| text.iter().any(case);
    is_random(text, least) && has(u8::is_ascii_lowercase) && has(u8::is_ascii_uppercase)
}

fn is_aws(rest: &[u8]) -> bool {
    let key = word(rest);
    let upper = key.iter().all(|byte| byte.is_ascii_uppercase() || byte.is_ascii_digit());
    key.len() == 16 && upper && !key.ends_with(b"EXAMPLE")
}

/// Two further parts behind dots; both parts that are JSON begin alike.
fn is_jwt(rest: &[u8]) -> bool {
    let mut parts = base64(rest).split(|&byte| byte == b'.');
    let long = |part: Option<&[u8]>, start: &[u8]| {
        part.is_some_and(|part| part.len() >= 10 && part.starts_with(start))
    };
    long(parts.next(), b"") && long(parts.next(), b"eyJ") && long(parts.next(), b"")
}

/// The rest of the line that begins a key, and a line of a key after it.
fn is_private_key(rest: &[u8]) -> bool {
    let kind = run(rest, |byte| byte.is_ascii_uppercase() || byte.is_ascii_digit() || byte == b' ');
    let kind_text = kind.strip_suffix(b" BLOCK").unwrap_or(kind);
    let Some(after) = rest.get(kind.len()..).and_then(|rest| rest.strip_prefix(b"-----")) else {
        return false;
    };
    if kind.len() > 40 || !kind_text.ends_with(b"PRIVATE KEY") {
        return false;
    }
    // in JSON the ends of lines are written as `\n`
    let mut after = after;
    while let Some(left) =
        [&b"\\n"[..], b"\\r", b"\n", b"\r", b" "].iter().find_map(|end| after.strip_prefix(*end))
    {
        after = left;
    }
    let headers: [&[u8]; 3] = [b"Proc-Type:", b"Version:", b"Comment:"];
    base64(after).len() >= 40 || headers.iter().any(|header| after.starts_with(header))
}

/// `user:password@host` as `://` is followed by.
fn has_credentials(rest: &[u8]) -> bool {
    let part =
        |text| run(text, |byte| byte.is_ascii_graphic() && !b":@/\"'<>\\`,;()|".contains(&byte));
    let user = part(rest);
    let Some(rest) = rest.get(user.len()..).and_then(|rest| rest.strip_prefix(b":")) else {
        return false;
    };
    let password = part(rest);
    let closed = rest.get(password.len()) == Some(&b'@');
    let host = rest.get(password.len() + 1..).unwrap_or_default();
    closed
        && !user.is_empty()
        && host.first().is_some_and(u8::is_ascii_alphanumeric)
        && !is_placeholder(password)
}

fn is_docker_auth(rest: &[u8]) -> bool {
    let value = rest.trim_ascii_start();
    let value = value.strip_prefix(b":").unwrap_or_default().trim_ascii_start();
    value.strip_prefix(b"\"").is_some_and(|value| {
        let value = base64(value);
        value.len() >= 12 && value.len().is_multiple_of(4) && !is_placeholder(value)
    })
}

/// What is set behind a name: `="…`, `: …`, `", "…`.
fn value(rest: &[u8]) -> Option<&[u8]> {
    let blank = |text| run(text, |byte| b" \t\"'".contains(&byte)).len();
    let rest = rest.get(blank(rest)..)?;
    let (mark, rest) = rest.split_first()?;
    if !b"=:,".contains(mark) || rest.starts_with(b"=") {
        return None;
    }
    let rest = rest.get(blank(rest)..)?;
    Some(run(rest, |byte| byte.is_ascii_graphic() && !b"\"',;".contains(&byte)))
}

fn is_password(rest: &[u8]) -> bool {
    let Some(value) = value(rest) else { return false };
    let digit = value.iter().any(u8::is_ascii_digit);
    let letter = value.iter().any(u8::is_ascii_alphabetic);
    (6..=128).contains(&value.len()) && digit && letter && !is_placeholder(value)
}

fn is_secret(rest: &[u8]) -> bool {
    value(rest).is_some_and(|value| {
        let all = base64(value).len() == value.len();
        all && !value.starts_with(b"/") && is_random(value, 16)
    })
}

/// Whether somebody is to put something else in its place, or a program does.
fn is_placeholder(text: &[u8]) -> bool {
    let words: [&[u8]; 10] = [
        b"password",
        b"passwd",
        b"pass",
        b"pwd",
        b"pw",
        b"secret",
        b"token",
        b"xxx",
        b"example",
        b"changeme",
    ];
    let lower = text.to_ascii_lowercase();
    let mut different = lower.clone();
    different.sort_unstable();
    different.dedup();
    text.is_empty()
        || different.len() < 3
        || words.iter().any(|word| lower == *word)
        || text.iter().any(|byte| b"$<>{}()[]*".contains(byte))
        || text.windows(2).any(|pair| pair == b"%s" || pair == b"%(")
}

#[cfg(test)]
mod tests {
    use super::*;

    fn found(text: &str) -> Vec<&'static str> {
        let shape = |shape: &Shape| {
            let at = text.find(shape.start)?;
            (shape.follows)(text.as_bytes().get(at + shape.start.len()..)?).then_some(shape.what)
        };
        let mut found: Vec<_> = SHAPES.iter().filter_map(shape).collect();
        found.dedup();
        found
    }

    /// Made of pieces: a scanner of this repository would find them whole.
    fn random(length: usize) -> String {
        "a1B2c3D4e5F6g7H8i9J0kLmNoPqRsTuVwXyZ".chars().cycle().take(length).collect()
    }

    #[test]
    fn tokens_and_keys_are_known_by_their_shape() {
        let begin = ["-----BEGIN", "PRIVATE KEY-----"];
        for (text, want) in [
            (format!("export T=ghp_{}", random(36)), GITHUB),
            (format!("github_pat_{}", random(60)), GITHUB),
            (format!("AKIA{}", "ABCD2345EFGH6789"), AWS),
            (format!("xoxb-{}", random(30)), SLACK),
            (format!("glpat-{}", random(20)), "a token of GitLab"),
            (format!("hf_{}", random(34)), "a token of Hugging Face"),
            (format!("sk-proj-{}", random(48)), "a key of OpenAI or Anthropic"),
            (format!("eyJ{0}.eyJ{0}.{0}", random(20)), "a JSON web token"),
            (format!("{} RSA {}\n{}\n", begin[0], begin[1], random(64)), "a private key"),
            (format!("\"{} {}\\n{}\\n", begin[0], begin[1], random(64)), "a private key"),
            (format!("Authorization: Bearer {}", random(40)), SECRET),
            ("http://jane:hunter2@proxy:3128".to_owned(), "a user name with its password"),
            ("{\"auth\": \"amFuZTpodW50ZXIy\"}".to_owned(), "a password of a registry"),
            ("password = hunter2".to_owned(), PASSWORD),
            ("setenv(\"DB_PASSWORD\", \"hunter2\")".to_owned(), PASSWORD),
            (format!("MY_TOKEN={}", random(20)), SECRET),
        ] {
            assert_eq!(found(&text), [want], "{text}");
        }
    }

    #[test]
    fn placeholders_names_and_public_things_are_none() {
        let begin = ["-----BEGIN", "PRIVATE KEY-----"];
        for text in [
            "ghp_xxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxx".to_owned(),
            "ghp_short1".to_owned(),
            format!("AKIA{}", "IOSFODNN7EXAMPLE"),
            format!("{} {}", begin[0], begin[1]),
            format!("{} {}\nsee the manual\n", begin[0], begin[1]),
            format!("{} CERTIFICATE-----\n{}\n", begin[0], random(64)),
            "https://user:password@host/".to_owned(),
            "https://$USER:$PW@host/".to_owned(),
            "https://example.org:8080/x@y".to_owned(),
            "git+ssh://git@github.com/x".to_owned(),
            "passwd: files systemd".to_owned(),
            "password == other1".to_owned(),
            "password: ${PASSWORD1}".to_owned(),
            "OMPI_TOKEN=/usr/lib/x86_64/libfoo1".to_owned(),
            "sk-learn-contrib-and-other-words-of-a-name".to_owned(),
            "eyJhbGciOiJub25lIn0".to_owned(),
            "{\"auth\": \"none\"}".to_owned(),
        ] {
            assert_eq!(found(&text), [""; 0], "{text}");
        }
    }
}
