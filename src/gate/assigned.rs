//! Passwords and tokens that are known by the name to which they are given.

use super::secrets::{PASSWORD, SECRET, different, run};

/// Parts of such names: where one stands, the name around it is looked at.
pub(super) const PARTS: [&str; 15] = [
    "password",
    "passwd",
    "passphrase",
    "_pass",
    "-pass",
    "_pwd",
    "_pw",
    "token",
    "secret",
    "apikey",
    "api_key",
    "api-key",
    "_key",
    "-key",
    "accesskey",
];
/// Words before `key` that make it a secret.
const OF_KEYS: [&str; 15] = [
    "api",
    "access",
    "secret",
    "private",
    "auth",
    "account",
    "encryption",
    "signing",
    "service",
    "client",
    "storage",
    "master",
    "shared",
    "app",
    "application",
];
/// Calls and words before a name on a line that does nothing but set it.
const SETTERS: [&str; 17] = [
    "export", "set", "setenv", "pushenv", "env", "declare", "typeset", "readonly", "local",
    "const", "let", "var", "x", "gx", "g", "default", "prepend",
];
/// Values that say what is to be there, or how it is asked for.
const WORDS: [&str; 88] = [
    "true",
    "false",
    "none",
    "null",
    "nil",
    "yes",
    "no",
    "on",
    "off",
    "required",
    "optional",
    "default",
    "disabled",
    "enabled",
    "prompt",
    "ask",
    "auto",
    "basic",
    "bearer",
    "digest",
    "files",
    "file",
    "env",
    "environment",
    "string",
    "str",
    "text",
    "bytes",
    "int",
    "integer",
    "bool",
    "boolean",
    "value",
    "empty",
    "unset",
    "unknown",
    "undefined",
    "test",
    "testing",
    "admin",
    "root",
    "guest",
    "user",
    "username",
    "postgres",
    "mysql",
    "invalid",
    "incorrect",
    "wrong",
    "missing",
    "failed",
    "denied",
    "accepted",
    "rejected",
    "expired",
    "plain",
    "plaintext",
    "sha256",
    "sha512",
    "md5",
    "systemd",
    "compat",
    "ldap",
    "password",
    "passwd",
    "pass",
    "pwd",
    "pw",
    "secret",
    "token",
    "key",
    "apikey",
    "changeme",
    "changeit",
    "xxx",
    "foo",
    "bar",
    "foobar",
    "hunter",
    "qwerty",
    "letmein",
    "interactive",
    "keyring",
    "external",
    "internal",
    "anonymous",
    "nopasswd",
    "public",
];
/// Parts of values that somebody is to replace.
const TO_REPLACE: [&str; 17] = [
    "example",
    "changeme",
    "change-me",
    "change_me",
    "placeholder",
    "redacted",
    "dummy",
    "your-",
    "your_",
    "yourp",
    "yourt",
    "yours",
    "xxxx",
    "password",
    "passwd",
    "...",
    "insert-",
];
/// Endings of names of files.
const FILES: [&str; 28] = [
    "txt", "json", "yaml", "yml", "toml", "cfg", "conf", "pem", "key", "crt", "env", "ini", "gpg",
    "enc", "py", "sh", "h", "c", "cpp", "md", "log", "csv", "xml", "html", "so", "db", "p12",
    "pfx",
];
/// First directories of paths.
const TOPS: [&str; 28] = [
    "run", "etc", "home", "usr", "var", "opt", "tmp", "srv", "mnt", "data", "apps", "cvmfs",
    "proc", "dev", "root", "scratch", "work", "project", "projects", "sw", "software", "lib",
    "lib64", "bin", "secrets", "users", "path", "nfs",
];
/// So far back a line of `.netrc` is looked at.
const NETRC: usize = 256;

/// What the name that is around these places of the text is given, if that looks secret.
pub(super) fn seen(text: &[u8], start: usize, end: usize) -> Option<&'static str> {
    let is_name = |byte: &u8| byte.is_ascii_alphanumeric() || b"_-.".contains(byte);
    let before = text.get(..start)?;
    let first = before.iter().rposition(|byte| !is_name(byte)).map_or(0, |at| at + 1);
    let rest = text.get(end..)?;
    let last = end + rest.iter().position(|byte| !is_name(byte)).unwrap_or(rest.len());
    // a name ends with the part, or nearly
    if start - first > 64 || last - end > 16 {
        return None;
    }
    let name = std::str::from_utf8(text.get(first..last)?).ok()?.trim_matches(['-', '.']);
    let kind = kind_of(name)?;
    let line = before.get(..first)?;
    let line = line.get(line.iter().rposition(|&byte| byte == b'\n').map_or(0, |at| at + 1)..)?;
    let rest = text.get(last..)?;
    let word = name == "password" && is_netrc(before);
    let (value, left) = if word { netrc_value(rest)? } else { value(line, rest)? };
    let is_bare = ends_line(left) && sets_only(line);
    is_secret(value, kind, is_bare, word).then_some(kind)
}

/// What a name's value is: a password, or a token; `None` if nothing secret.
fn kind_of(name: &str) -> Option<&'static str> {
    let parts = parts_of(name);
    let last = parts.last()?.trim_end_matches(|c: char| c.is_ascii_digit());
    let ends = |ends: &[&str]| ends.iter().any(|end| last.ends_with(end));
    let previous = parts.len().checked_sub(2).and_then(|at| parts.get(at)).map(String::as_str);
    if parts.iter().any(|part| part == "public" || part == "pub") {
        return None;
    }
    if ends(&["password", "passwd", "passphrase"])
        || previous.is_some() && matches!(last, "pass" | "pwd" | "pw")
    {
        return Some(PASSWORD);
    }
    let of_key = |word: &str| OF_KEYS.contains(&word);
    let is_key = last == "key" && previous.is_some_and(of_key)
        || last == "data" && previous == Some("key") && parts.len() >= 3;
    let is_token = ends(&["token", "secret", "apikey", "accesskey", "secretkey", "privatekey"]);
    (is_key || is_token).then_some(SECRET)
}

/// The words of a name in lower case: `DB_PASSWD`, `client-key-data`, `accountKey`.
fn parts_of(name: &str) -> Vec<String> {
    let mut parts = vec![String::new()];
    let mut was_lower = false;
    for c in name.chars() {
        let splits = "_-.".contains(c);
        if splits || was_lower && c.is_ascii_uppercase() {
            parts.push(String::new());
        }
        if let (false, Some(part)) = (splits, parts.last_mut()) {
            part.push(c.to_ascii_lowercase());
        }
        was_lower = c.is_ascii_lowercase();
    }
    parts.retain(|part| !part.is_empty());
    parts
}

/// Whether a variable of this name and value should not be shown.
pub(super) fn is_secret_variable(name: &str) -> bool {
    let words = [
        "password",
        "passwd",
        "passphrase",
        "pass",
        "pwd",
        "token",
        "secret",
        "apikey",
        "credential",
        "credentials",
        "auth",
        "cookie",
    ];
    let parts = parts_of(name);
    kind_of(name).is_some()
        || !matches!(name, "PWD" | "OLDPWD")
            && parts.iter().any(|part| words.contains(&part.as_str()))
        || parts.last().is_some_and(|part| part == "key")
}

/// What is set behind a name, and what follows: `="…`, `: …`, `", "…`, `>…<`; in a line of Tcl or
/// the C shell with a blank.
fn value<'a>(line: &[u8], rest: &'a [u8]) -> Option<(&'a [u8], &'a [u8])> {
    let blank = |text: &[u8]| run(text, |byte| b" \t".contains(&byte)).len();
    let quotes = |text: &[u8]| run(text, |byte| b"\"'\\`".contains(&byte)).len();
    let closing = quotes(rest);
    let rest = rest.get(closing..)?;
    let spaces = blank(rest);
    let rest = rest.get(spaces..)?;
    let (mark, after) = rest.split_first()?;
    let rest = match mark {
        b'=' if after.starts_with(b"=") || after.starts_with(b"~") => return None,
        b':' if after.starts_with(b":") => return None,
        b'=' if after.starts_with(b">") => after.get(1..)?,
        b':' if after.starts_with(b"=") => after.get(1..)?,
        b'=' | b':' => after,
        b',' if closing > 0 => after,
        b'>' if line.ends_with(b"<") => after,
        _ if spaces > 0 && has_setter(line) => rest,
        _ => return None,
    };
    let rest = rest.get(blank(rest)..)?;
    let opening = quotes(rest);
    let rest = rest.get(opening..)?;
    let ends = b"\"'`,;&\\<";
    let value = run(rest, |byte| byte.is_ascii_graphic() && !ends.contains(&byte));
    Some((value, rest.get(value.len()..)?))
}

/// Whether the line so far is `setenv`, or `set` of fish.
fn has_setter(line: &[u8]) -> bool {
    let text = String::from_utf8_lossy(line);
    let mut words = text.split_whitespace();
    matches!(words.next(), Some("setenv" | "pushenv"))
        || text.trim_start().starts_with("set -") && text.trim_start().len() < 12
}

/// Whether nothing stands before a name on its line but what sets it.
fn sets_only(line: &[u8]) -> bool {
    let text = String::from_utf8_lossy(line);
    let words = text.split(|c: char| !c.is_ascii_alphanumeric()).filter(|word| !word.is_empty());
    line.len() <= 80 && words.into_iter().all(|word| SETTERS.contains(&word))
}

/// Whether a line ends here, but for what closes it or says something of it.
fn ends_line(left: &[u8]) -> bool {
    if left.starts_with(b"</") {
        return true;
    }
    let closed = run(left, |byte| b"\"'`,;)} \t\\\r".contains(&byte)).len();
    left.get(closed..).is_none_or(|left| left.first().is_none_or(|byte| b"\n#".contains(byte)))
}

/// Whether `machine` or `default`, and `login`, stand not far before.
fn is_netrc(before: &[u8]) -> bool {
    let near = before.get(before.len().saturating_sub(NETRC)..).unwrap_or_default();
    let text = String::from_utf8_lossy(near);
    let words: Vec<_> = text.split_whitespace().collect();
    let at = |wanted: &[&str]| words.iter().rposition(|word| wanted.contains(word));
    match (at(&["machine", "default"]), at(&["login"])) {
        // one entry has at most a few words
        (Some(machine), Some(login)) => login > machine && words.len() - login <= 4,
        _ => false,
    }
}

fn netrc_value(rest: &[u8]) -> Option<(&[u8], &[u8])> {
    let blank = run(rest, |byte| byte.is_ascii_whitespace()).len();
    let rest = rest.get(blank..)?;
    let value = run(rest, |byte| byte.is_ascii_graphic());
    (blank > 0).then(|| (value, rest.get(value.len()..).unwrap_or_default()))
}

/// Whether a value looks like a password or token that somebody uses.
fn is_secret(value: &[u8], kind: &str, is_bare: bool, is_certain: bool) -> bool {
    if value.len() > 4096 || is_placeholder(value) || is_no_text(value) {
        return false;
    }
    if is_certain {
        return value.len() >= 3;
    }
    let digit = value.iter().any(u8::is_ascii_digit);
    let letter = value.iter().any(u8::is_ascii_alphabetic);
    let least = match (kind == PASSWORD, is_bare) {
        (true, _) => 6,
        (false, true) => 8,
        (false, false) => 16,
    };
    if !letter || value.len() < least || different(value) < 5 {
        return false;
    }
    if kind == PASSWORD && value.len() > 128 {
        return false;
    }
    // words of a sentence, and names of things, have no digits
    digit || is_bare && is_no_word(value) && (kind == PASSWORD || is_long(value))
}

/// Whether letters alone may be a token: what a program calls something is shorter, or of one case.
fn is_long(value: &[u8]) -> bool {
    let has = |case: fn(&u8) -> bool| value.iter().any(case);
    value.len() >= 20 && has(u8::is_ascii_lowercase) && has(u8::is_ascii_uppercase)
}

/// Whether letters alone may be a secret: a name of something says so.
fn is_no_word(value: &[u8]) -> bool {
    let lower = String::from_utf8_lossy(value).to_ascii_lowercase();
    let telling = ["token", "secret", "passw", "credential", "key", "_", "."];
    value.len() >= 6 && !telling.iter().any(|part| lower.contains(part))
}

/// Whether a value is a path, a name of a file or of something in a program, an identifier.
fn is_no_text(value: &[u8]) -> bool {
    let text = String::from_utf8_lossy(value);
    let top = text.strip_prefix('/').and_then(|path| path.split('/').next());
    let is_path = top.is_some_and(|top| TOPS.contains(&top))
        || ["./", "../", "~", "@", "%", "file:", "//"].iter().any(|start| text.starts_with(start))
        || text.contains("://")
        || text.contains("->")
        || text.contains("::");
    is_path || is_file_name(&text) || is_identifier(&text) || is_uuid(value)
}

fn is_file_name(text: &str) -> bool {
    text.rsplit_once('.').is_some_and(|(stem, end)| {
        !stem.is_empty() && FILES.contains(&end.to_ascii_lowercase().as_str())
    })
}

/// `get_password1`, `settings.SECRET2`: words, each with at most a number behind it.
fn is_identifier(text: &str) -> bool {
    let is_word = |part: &str| {
        let letters = part.trim_start_matches(|c: char| c.is_ascii_alphabetic());
        let digits = letters.trim_start_matches(|c: char| c.is_ascii_digit());
        letters.len() < part.len()
            && digits.len() <= 1
            && digits.chars().all(|c| c.is_ascii_alphabetic())
            && part.len() <= 16
    };
    let one_case = !text.contains(|c: char| c.is_ascii_uppercase())
        || !text.contains(|c: char| c.is_ascii_lowercase())
        || text.contains('.');
    text.contains(['_', '.'])
        && one_case
        && text.split(['_', '.']).filter(|part| !part.is_empty()).all(is_word)
}

fn is_uuid(value: &[u8]) -> bool {
    let is_dash = |at: usize| matches!(at, 8 | 13 | 18 | 23);
    let fits = |(at, byte): (usize, &u8)| {
        if is_dash(at) { *byte == b'-' } else { byte.is_ascii_hexdigit() }
    };
    value.len() == 36 && value.iter().enumerate().all(fits)
}

/// Whether somebody is to put something else in its place, or a program does.
pub(super) fn is_placeholder(text: &[u8]) -> bool {
    let lower = String::from_utf8_lossy(text).to_ascii_lowercase();
    text.is_empty()
        || different(lower.as_bytes()) < 3
        || WORDS.contains(&lower.as_str())
        || TO_REPLACE.iter().any(|part| lower.contains(part))
        || text.iter().any(|byte| b"$<>{}()[]*|^".contains(byte))
        || text.windows(2).any(|pair| pair == b"%s" || pair == b"%(")
}

#[cfg(test)]
mod tests;
