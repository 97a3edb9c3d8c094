//! What a Tcl modulefile has said, as the Lua that Lmod evaluates in its place.
//!
//! Lmod writes the arguments of some commands between quotes as they are, and those of others
//! with quotes, backslashes, tabs and line ends escaped; where such a text is no Lua, Lmod
//! refuses the modulefile. So do we: the text is the same (`said.tcl` makes it, for the commands
//! of Lmod return it as well).

use std::collections::BTreeMap;
use std::fmt::Write as _;

/// Lua text, and where in the Tcl file its lines come from.
#[derive(Debug, Default, PartialEq, Eq)]
pub(in super::super) struct Calls {
    /// The text.
    pub(in super::super) text: String,
    /// Line of the text → line of the file, where that is known.
    pub(in super::super) lines: BTreeMap<u32, u32>,
}

impl Calls {
    /// Adds what a record says: a text as it is, or an error and its line.
    pub(super) fn add(&mut self, record: &[String]) {
        match record {
            [kind, text] if kind == "text" => self.push(text),
            [kind, message, line] if kind == "error" => self.error(message, line),
            _ => {}
        }
    }

    /// Replaces everything by an error.
    pub(super) fn fail(&mut self, message: &str, line: &str) {
        *self = Self::default();
        self.error(message, line);
    }

    fn push(&mut self, text: &str) {
        self.text.push_str(text);
    }

    fn error(&mut self, message: &str, line: &str) {
        if !self.text.is_empty() && !self.text.ends_with('\n') {
            self.push("\n");
        }
        if let Ok(line) = line.parse::<u32>()
            && line > 0
        {
            let at = self.text.bytes().filter(|byte| *byte == b'\n').count() + 1;
            self.lines.insert(u32::try_from(at).unwrap_or(u32::MAX), line);
        }
        self.push(&format!("LmodError({})\n", literal(message)));
    }
}

/// A text as a Lua string, whatever it holds.
pub(super) fn literal(text: &str) -> String {
    let mut literal = String::from("\"");
    for c in text.chars() {
        match c {
            '"' | '\\' => literal.extend(['\\', c]),
            c if c.is_ascii_control() => drop(write!(literal, "\\{:03}", u32::from(c))),
            c => literal.push(c),
        }
    }
    literal.push('"');
    literal
}

/// A text between Lmod's quotes.
pub(super) fn escape(word: &str) -> String {
    let mut escaped = String::with_capacity(word.len());
    for c in word.chars() {
        if matches!(c, '\\' | '\t' | '"' | '\n') {
            escaped.push('\\');
        }
        escaped.push(c);
    }
    escaped
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn an_error_knows_its_line_of_the_file() {
        let mut calls = Calls::default();
        for record in [&["text", "purge()\n"][..], &["error", "no \"such\"\nthing", "17"]] {
            let record: Vec<String> = record.iter().map(|&word| word.to_owned()).collect();
            calls.add(&record);
        }
        assert_eq!(calls.text, "purge()\nLmodError(\"no \\\"such\\\"\\010thing\")\n");
        assert_eq!(calls.lines, BTreeMap::from([(2, 17)]));
    }
}
