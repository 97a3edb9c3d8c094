//! Untrusted text on its way to a terminal.

use std::fmt;

/// Displays text that came from files, modulefiles or the session: control characters, and
/// characters that reorder or hide others, are shown as `\u{…}`.
#[derive(Debug, Clone, Copy)]
pub struct Escaped<'a>(pub &'a str);

impl fmt::Display for Escaped<'_> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        for c in self.0.chars() {
            match c {
                '\n' => f.write_str("\\n")?,
                '\t' => f.write_str("\\t")?,
                '\r' => f.write_str("\\r")?,
                c if c.is_control() || hides_others(c) => write!(f, "{}", c.escape_unicode())?,
                c => fmt::Write::write_char(f, c)?,
            }
        }
        Ok(())
    }
}

/// Characters without a picture of their own that change how their neighbours are shown:
/// bidirectional controls, zero-width ones, line separators, tags.
fn hides_others(c: char) -> bool {
    matches!(c, '\u{61c}' | '\u{200b}'..='\u{200f}' | '\u{2028}'..='\u{202e}' | '\u{2060}'..='\u{2069}'
        | '\u{feff}' | '\u{e0000}'..='\u{e007f}')
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn nothing_that_a_terminal_obeys_gets_through() {
        for (text, shown) in [
            ("plain naïve (text)", "plain naïve (text)"),
            ("red \x1b[31m", "red \\u{1b}[31m"),
            ("two\nlines\r", "two\\nlines\\r"),
            ("c1 \u{9b}31m", "c1 \\u{9b}31m"),
            ("gpj.\u{202e}exe", "gpj.\\u{202e}exe"),
        ] {
            assert_eq!(Escaped(text).to_string(), shown);
        }
    }
}
