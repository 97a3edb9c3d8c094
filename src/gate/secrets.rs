//! Shapes of tokens and keys.
//!
//! Every shape begins with fixed letters, by which it is found; what follows is checked by hand, so
//! that names of variables and placeholders do not count. What was found is never shown.
//!
//! Source: the issuers' documents of their tokens' prefixes, as gathered by gitleaks `config/gitleaks.toml`.

use super::assigned::is_placeholder;

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
    /// Whether it only counts where people write settings.
    pub(super) in_settings: bool,
    /// Whether the letters have this case.
    pub(super) exact: bool,
}

const fn token(start: &'static str, what: &'static str, follows: fn(&[u8]) -> bool) -> Shape {
    Shape { start, what, follows, is_word: true, in_settings: false, exact: true }
}

/// What may follow other letters.
const fn part(start: &'static str, what: &'static str, follows: fn(&[u8]) -> bool) -> Shape {
    Shape { start, what, follows, is_word: false, in_settings: false, exact: true }
}

const GITHUB: &str = "a token of GitHub";
const GITLAB: &str = "a token of GitLab";
const AWS: &str = "an access key of AWS";
const AZURE: &str = "a key of Azure";
const GOOGLE: &str = "a key of Google";
const HUGGING_FACE: &str = "a token of Hugging Face";
const SLACK: &str = "a token of Slack";
const STRIPE: &str = "a key of Stripe";
const DIGITAL_OCEAN: &str = "a token of DigitalOcean";
const VAULT: &str = "a token of Vault";
const GRAFANA: &str = "a token of Grafana";
const PRIVATE_KEY: &str = "a private key";
const HASH: &str = "the hash of a password";
/// What a private key is called, for those who leave out the published ones.
pub(super) const PUBLISHED_KEY: &str = PRIVATE_KEY;
pub(super) const PASSWORD: &str = "a password";
pub(super) const SECRET: &str = "a token";

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
    token("ABIA", AWS, is_aws),
    token("ACCA", AWS, is_aws),
    token("xoxb-", SLACK, |rest| is_random(dashed(rest), 20)),
    token("xoxp-", SLACK, |rest| is_random(dashed(rest), 20)),
    token("xoxa-", SLACK, |rest| is_random(dashed(rest), 20)),
    token("xoxe-", SLACK, |rest| is_random(dashed(rest), 20)),
    token("xoxe.", SLACK, |rest| is_random(dashed(rest), 20)),
    token("xoxr-", SLACK, |rest| is_random(dashed(rest), 20)),
    token("xoxs-", SLACK, |rest| is_random(dashed(rest), 20)),
    token("xapp-", SLACK, |rest| is_random(dashed(rest), 20)),
    token("hooks.slack.com/", "a webhook of Slack", |rest| {
        is_random(run(rest, |byte| byte.is_ascii_alphanumeric() || b"+/".contains(&byte)), 40)
    }),
    token("glpat-", GITLAB, |rest| is_random(dashed(rest), 20)),
    token("gldt-", GITLAB, |rest| is_random(dashed(rest), 20)),
    token("glrt-", GITLAB, |rest| is_random(dashed(rest), 20)),
    token("glcbt-", GITLAB, |rest| is_random(dashed(rest), 20)),
    token("glptt-", GITLAB, |rest| is_random(dashed(rest), 20)),
    token("glft-", GITLAB, |rest| is_random(dashed(rest), 20)),
    token("glimt-", GITLAB, |rest| is_random(dashed(rest), 20)),
    token("glsoat-", GITLAB, |rest| is_random(dashed(rest), 20)),
    token("glagent-", GITLAB, |rest| is_random(dashed(rest), 40)),
    token("gloas-", GITLAB, |rest| is_random(dashed(rest), 40)),
    token("GR1348941", GITLAB, |rest| is_varied(dashed(rest), 20)),
    // all letters
    token("hf_", HUGGING_FACE, |rest| is_varied(alphanumeric(rest), 34)),
    token("api_org_", HUGGING_FACE, |rest| is_varied(alphanumeric(rest), 34)),
    token("sk-", "a key of OpenAI or Anthropic", |rest| is_mixed(dashed(rest), 32)),
    token("nvapi-", "a key of NVIDIA", |rest| is_mixed(dashed(rest), 40)),
    token("AIza", GOOGLE, |rest| is_mixed(dashed(rest), 35)),
    token("ya29.", GOOGLE, |rest| is_mixed(dashed(rest), 20)),
    token("GOCSPX-", GOOGLE, |rest| is_varied(dashed(rest), 24)),
    token("npm_", "a token of npm", |rest| is_varied(alphanumeric(rest), 36)),
    token("pypi-AgE", "a token of PyPI", |rest| is_mixed(dashed(rest), 50)),
    token("rubygems_", "a token of RubyGems", |rest| is_random(word(rest), 48)),
    token("SG.", "a key of SendGrid", |rest| is_mixed(base64(rest), 60)),
    token("sk_live_", STRIPE, |rest| is_random(alphanumeric(rest), 16)),
    token("rk_live_", STRIPE, |rest| is_random(alphanumeric(rest), 16)),
    token("sk_prod_", STRIPE, |rest| is_random(alphanumeric(rest), 16)),
    token("hvs.", VAULT, |rest| is_varied(dashed(rest), 24)),
    token("hvb.", VAULT, |rest| is_varied(dashed(rest), 24)),
    token("dapi", "a token of Databricks", |rest| is_random(hexadecimal(rest), 32)),
    token("dop_v1_", DIGITAL_OCEAN, |rest| is_random(hexadecimal(rest), 64)),
    token("doo_v1_", DIGITAL_OCEAN, |rest| is_random(hexadecimal(rest), 64)),
    token("dor_v1_", DIGITAL_OCEAN, |rest| is_random(hexadecimal(rest), 64)),
    token("dckr_pat_", "a token of Docker", |rest| is_varied(dashed(rest), 27)),
    token("glsa_", GRAFANA, |rest| is_random(word(rest), 32)),
    token("glc_eyJ", GRAFANA, |rest| is_mixed(base64(rest), 32)),
    token("shpat_", "a token of Shopify", |rest| is_random(hexadecimal(rest), 32)),
    token("ATATT3", "a token of Atlassian", |rest| is_mixed(base64(rest), 100)),
    token("AKCp", "a key of Artifactory", |rest| is_mixed(alphanumeric(rest), 69)),
    token("lin_api_", "a key of Linear", |rest| is_random(alphanumeric(rest), 40)),
    token("PMAK-", "a key of Postman", |rest| is_random(dashed(rest), 59)),
    token("AGE-SECRET-KEY-1", PRIVATE_KEY, |rest| is_varied(alphanumeric(rest), 58)),
    token("eyJ", "a JSON web token", is_jwt),
    token("-----BEGIN ", PRIVATE_KEY, is_private_key),
    token("---- BEGIN SSH2 ENCRYPTED PRIVATE KEY ---", PRIVATE_KEY, |rest| rest.len() > 40),
    token("PuTTY-User-Key-File-", PRIVATE_KEY, |rest| {
        rest.first().is_some_and(u8::is_ascii_digit) && rest.get(1) == Some(&b':')
    }),
    token("\"auth\"", "a password of a registry", is_docker_auth),
    part("://", "a user name with its password", has_credentials),
    part("AccountKey=", AZURE, |rest| is_mixed(base64(rest), 40)),
    part("SharedAccessKey=", AZURE, |rest| is_mixed(base64(rest), 40)),
    part("&sig=", AZURE, is_signature),
    part("?sig=", AZURE, is_signature),
    // as `crypt` writes them: shadow, htpasswd
    part("$1$", HASH, |rest| is_hash(rest, 24)),
    part("$apr1$", HASH, |rest| is_hash(rest, 24)),
    part("$2a$", HASH, |rest| is_hash(rest, 56)),
    part("$2b$", HASH, |rest| is_hash(rest, 56)),
    part("$2y$", HASH, |rest| is_hash(rest, 56)),
    part("$5$", HASH, |rest| is_hash(rest, 44)),
    part("$6$", HASH, |rest| is_hash(rest, 87)),
    part("$y$", HASH, |rest| is_hash(rest, 44)),
    part("$7$", HASH, |rest| is_hash(rest, 44)),
    part("$argon2", HASH, |rest| is_hash(rest, 44)),
    part("{SHA}", HASH, |rest| base64(rest).len() == 28 && is_mixed(base64(rest), 28)),
    part("{SSHA}", HASH, |rest| is_mixed(base64(rest), 32)),
    Shape {
        start: "Authorization",
        what: SECRET,
        follows: is_authorization,
        is_word: false,
        in_settings: true,
        exact: false,
    },
    Shape {
        start: "Bearer ",
        what: SECRET,
        follows: |rest| is_mixed(base64(rest), 20),
        is_word: true,
        in_settings: false,
        exact: false,
    },
];

/// Whether one of the shapes is in a short text.
pub(super) fn has_shape(text: &[u8]) -> bool {
    let fits = |shape: &Shape, at: usize| {
        let begins = text.get(at..at + shape.start.len());
        let rest = text.get(at + shape.start.len()..).unwrap_or_default();
        begins.is_some_and(|begins| begins.eq_ignore_ascii_case(shape.start.as_bytes()))
            && (shape.follows)(rest)
    };
    (0..text.len()).any(|at| SHAPES.iter().any(|shape| fits(shape, at)))
}

/// The longest beginning of `text` of which every byte is one of these.
pub(super) fn run(text: &[u8], belongs: impl Fn(u8) -> bool) -> &[u8] {
    let end = text.iter().position(|&byte| !belongs(byte)).unwrap_or(text.len());
    text.get(..end).unwrap_or_default()
}

pub(super) fn word(text: &[u8]) -> &[u8] {
    run(text, |byte| byte.is_ascii_alphanumeric() || byte == b'_')
}

fn dashed(text: &[u8]) -> &[u8] {
    run(text, |byte| byte.is_ascii_alphanumeric() || b"_-".contains(&byte))
}

fn base64(text: &[u8]) -> &[u8] {
    run(text, |byte| byte.is_ascii_alphanumeric() || b"+/=._~-".contains(&byte))
}

fn alphanumeric(text: &[u8]) -> &[u8] {
    run(text, |byte| byte.is_ascii_alphanumeric())
}

fn hexadecimal(text: &[u8]) -> &[u8] {
    run(text, |byte| byte.is_ascii_hexdigit())
}

/// How many different bytes there are.
pub(super) fn different(text: &[u8]) -> usize {
    let mut different: Vec<u8> = text.to_vec();
    different.sort_unstable();
    different.dedup();
    different.len()
}

/// Whether it is as long, and not made by a hand that filled in a place: at least eight different
/// letters or digits, or six of a short one.
fn is_varied(text: &[u8], least: usize) -> bool {
    text.len() >= least && different(text) >= if text.len() < 16 { 6 } else { 8 }
}

/// The same, with letters and digits.
fn is_random(text: &[u8], least: usize) -> bool {
    is_varied(text, least)
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
        && !(password.len() <= 5 && password.iter().all(u8::is_ascii_digit))
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

/// What signs a request, with the other parts of such an address beside it.
fn is_signature(rest: &[u8]) -> bool {
    let value = run(rest, |byte| byte.is_ascii_alphanumeric() || b"%+/=_-".contains(&byte));
    is_mixed(value, 40)
}

/// Salt and hash in the letters of `crypt`.
fn is_hash(rest: &[u8], least: usize) -> bool {
    let value = run(rest, |byte| byte.is_ascii_alphanumeric() || b"./$=,+-".contains(&byte));
    value.contains(&b'$') && is_mixed(value, least)
}

/// The value of such a header.
fn is_authorization(rest: &[u8]) -> bool {
    let blank = |text| run(text, |byte| b" \t\"'\\,".contains(&byte)).len();
    let rest = rest.get(blank(rest)..).unwrap_or_default();
    let Some(rest) = [b":", b"="].iter().find_map(|mark| rest.strip_prefix(*mark)) else {
        return false;
    };
    let rest = rest.get(blank(rest)..).unwrap_or_default();
    let scheme = run(rest, |byte| byte.is_ascii_alphabetic());
    let known = [&b"basic"[..], b"bearer", b"token", b"apikey", b"negotiate"];
    if !known.iter().any(|known| scheme.eq_ignore_ascii_case(known)) {
        return false;
    }
    let rest = rest.get(scheme.len()..).unwrap_or_default();
    let value = base64(rest.get(blank(rest)..).unwrap_or_default());
    rest.first() == Some(&b' ') && value.len() >= 8 && is_varied(value, 8) && !is_placeholder(value)
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

    fn letters(length: usize) -> String {
        "aQbWcEdRfTgYhUjIkOlP".chars().cycle().take(length).collect()
    }

    fn hex(length: usize) -> String {
        "0f1e2d3c4b5a6978".chars().cycle().take(length).collect()
    }

    #[test]
    fn tokens_and_keys_are_known_by_their_shape() {
        let begin = ["-----BEGIN", "PRIVATE KEY-----"];
        for (text, want) in [
            (format!("export T=ghp_{}", random(36)), GITHUB),
            (format!("github_pat_{}", random(60)), GITHUB),
            (format!("AKIA{}", "ABCD2345EFGH6789"), AWS),
            (format!("xoxb-{}", random(30)), SLACK),
            (format!("xapp-1-A{}-{}", random(10), random(30)), SLACK),
            (
                format!("https://hooks.slack.com/services/T{}/{}", random(9), random(34)),
                "a webhook of Slack",
            ),
            (format!("glpat-{}", random(20)), GITLAB),
            (format!("gldt-{}", random(20)), GITLAB),
            (format!("glrt-{}", random(20)), GITLAB),
            (format!("GR1348941{}", random(20)), GITLAB),
            (format!("hf_{}", letters(34)), HUGGING_FACE),
            (format!("sk-proj-{}", random(48)), "a key of OpenAI or Anthropic"),
            (format!("ya29.{}", random(60)), GOOGLE),
            (format!("GOCSPX-{}", random(28)), GOOGLE),
            (format!("SG.{}.{}", random(22), random(43)), "a key of SendGrid"),
            (format!("sk_live_{}", random(24)), STRIPE),
            (format!("rk_live_{}", random(24)), STRIPE),
            (format!("hvs.{}", random(90)), VAULT),
            (format!("dapi{}", hex(32)), "a token of Databricks"),
            (format!("dop_v1_{}", hex(64)), DIGITAL_OCEAN),
            (format!("dckr_pat_{}", random(27)), "a token of Docker"),
            (
                format!("AGE-SECRET-KEY-1{}", "QPZRY9X8GF2TVDW0S3JN54KHCE6MUA7L".repeat(2)),
                PRIVATE_KEY,
            ),
            (format!("eyJ{0}.eyJ{0}.{0}", random(20)), "a JSON web token"),
            (format!("{} RSA {}\n{}\n", begin[0], begin[1], random(64)), PRIVATE_KEY),
            (format!("\"{} {}\\n{}\\n", begin[0], begin[1], random(64)), PRIVATE_KEY),
            (format!("---- BEGIN SSH2 ENCRYPTED PRIVATE KEY ----\n{}", random(64)), PRIVATE_KEY),
            ("PuTTY-User-Key-File-2: ssh-rsa\n".to_owned(), PRIVATE_KEY),
            (format!("Authorization: Bearer {}", random(40)), SECRET),
            (format!("\"Authorization\": \"Basic {}\"", "amFuZTpodW50ZXIy"), SECRET),
            (format!("-H 'Authorization: token {}'", hex(40)), SECRET),
            ("http://jane:hunter2@proxy:3128".to_owned(), "a user name with its password"),
            ("{\"auth\": \"amFuZTpodW50ZXIy\"}".to_owned(), "a password of a registry"),
            (format!("AccountName=x;AccountKey={}==", random(86)), AZURE),
            (format!("?sv=2022&se=2026&sig={}%3D", random(43)), AZURE),
            (format!("root:$6$salt1234${}:1::", random(86)), HASH),
            (format!("jane:$apr1$abcdEFGH${}", random(22)), HASH),
            (format!("jane:{{SHA}}{}=", random(27)), HASH),
        ] {
            assert_eq!(found(&text), [want], "{text}");
            assert!(has_shape(text.as_bytes()), "{text}");
        }
    }

    #[test]
    fn placeholders_names_and_public_things_are_none() {
        let begin = ["-----BEGIN", "PRIVATE KEY-----"];
        for text in [
            "ghp_xxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxx".to_owned(),
            "ghp_short1".to_owned(),
            "hf_hub_download_with_some_more_words_of_a_name".to_owned(),
            format!("AKIA{}", "IOSFODNN7EXAMPLE"),
            format!("{} {}", begin[0], begin[1]),
            format!("{} {}\nsee the manual\n", begin[0], begin[1]),
            format!("{} CERTIFICATE-----\n{}\n", begin[0], random(64)),
            "https://user:password@host/".to_owned(),
            "https://$USER:$PW@host/".to_owned(),
            "https://example.org:8080/x@y".to_owned(),
            "https://repo:8443@v2.example/x".to_owned(),
            "git+ssh://git@github.com/x".to_owned(),
            "sk-learn-contrib-and-other-words-of-a-name".to_owned(),
            "eyJhbGciOiJub25lIn0".to_owned(),
            "{\"auth\": \"none\"}".to_owned(),
            "Authorization: Bearer <token>".to_owned(),
            "Authorization: Basic auth".to_owned(),
            "echo $1$2 $5$6".to_owned(),
            "dapi0".to_owned(),
            "SG.txt".to_owned(),
        ] {
            assert_eq!(found(&text), [""; 0], "{text}");
        }
    }
}
