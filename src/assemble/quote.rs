//! Words for shells to read.

use std::borrow::Cow;

/// `text` as one word that POSIX shells and the shell built into Apptainer read alike.
///
/// The usual way to write an apostrophe, `'\''`, leaves the backslash in the word when
/// Apptainer 1.4.5 reads it (seen); `'"'"'` does not.
pub(super) fn quote(text: &str) -> Cow<'_, str> {
    if text.contains('\'') {
        Cow::Owned(format!("'{}'", text.replace('\'', "'\"'\"'")))
    } else {
        shell_words::quote(text)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_word_is_read_back_as_it_was() {
        for text in ["", "plain", "it's", "'", "a \"b\" $c `d` \\ !\n*", "''"] {
            assert_eq!(shell_words::split(&quote(text)).unwrap(), [text]);
        }
    }
}
