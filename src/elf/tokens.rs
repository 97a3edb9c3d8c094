//! Words in search paths that `ld.so` replaces.

use super::Architecture;

/// A word that `ld.so` replaces.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Token {
    Origin,
    Lib,
    Platform,
}

/// The token that `text` begins with, `$NAME` or `${NAME}`, and what follows it.
pub(super) fn token(text: &[u8]) -> Option<(Token, &[u8])> {
    let rows =
        [(&b"ORIGIN"[..], Token::Origin), (b"LIB", Token::Lib), (b"PLATFORM", Token::Platform)];
    let text = text.strip_prefix(b"$")?;
    rows.into_iter().find_map(|(name, token)| {
        let plain = || {
            let after = text.strip_prefix(name)?;
            let ends = after.first().is_none_or(|b| !b.is_ascii_alphanumeric() && *b != b'_');
            ends.then_some(after)
        };
        let braced = || text.strip_prefix(b"{")?.strip_prefix(name)?.strip_prefix(b"}");
        plain().or_else(braced).map(|after| (token, after))
    })
}

/// What `$PLATFORM` may be: what the kernel says (`AT_PLATFORM`), and what glibc before 2.37 makes
/// of it on newer CPUs.
pub(super) const fn platforms(architecture: Architecture) -> &'static [&'static str] {
    match (architecture.machine, architecture.is_64_bit) {
        (62, true) => &["x86_64", "haswell", "xeon_phi"],
        (3, false) => &["i686"],
        (183, true) => &["aarch64"],
        _ => &[],
    }
}
