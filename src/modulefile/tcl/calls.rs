//! What a Tcl modulefile has said, as the Lua that Lmod evaluates in its place.
//!
//! Lmod writes the arguments of some commands between quotes as they are, and those of others
//! with quotes, backslashes, tabs and line ends escaped; where such a text is no Lua, Lmod
//! refuses the modulefile. So do we: the text is the same.

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

/// How calls are written.
#[derive(Debug, Clone, Copy)]
pub(super) struct Style {
    /// `load` or `unload`.
    pub(super) mode: &'static str,
    /// Path calls have modes, and priorities are numbers.
    pub(super) modes: bool,
    /// Priorities are numbers.
    pub(super) numbers: bool,
}

impl Calls {
    /// Adds what a record says.
    pub(super) fn add(&mut self, style: Style, record: &[String]) {
        let words: Vec<&str> = record.iter().map(String::as_str).collect();
        match words.as_slice() {
            ["call", function, words @ ..] => self.call(function, words),
            ["modes", function, modes, words @ ..] => self.call_in_modes(function, modes, words),
            ["path", function, modes, name, value, separator, priority] => {
                let path = Path { function, modes, name, value, separator, priority };
                self.path(style, &path);
            }
            ["long", function, text] => self.push(&format!("{function}([===[{text}]===])\n")),
            ["puts", channel, text] => self.puts(style, channel, text),
            ["complete", shell, name] => self.push(&format!("complete(\"{shell}\",\"{name}\")\n")),
            ["complete", shell, name, words @ ..] => {
                let words: Vec<String> = words.iter().map(|word| escape(trim(word))).collect();
                let words = words.join(" ");
                self.push(&format!("complete(\"{shell}\",\"{name}\",\"{words}\")\n"));
            }
            ["error", message, line] => self.error(message, line),
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

    fn call(&mut self, function: &str, words: &[&str]) {
        self.push(&format!("{function}({})\n", quoted(words)));
    }

    fn call_in_modes(&mut self, function: &str, modes: &str, words: &[&str]) {
        if words.is_empty() {
            self.push(&format!("{function}()\n"));
        } else {
            self.push(&format!("{function}{{{}, {}}}\n", mode_list(modes), quoted(words)));
        }
    }

    fn path(&mut self, style: Style, path: &Path) {
        let Path { function, modes, name, value, separator, priority } = path;
        let quote = if style.numbers { "" } else { "\"" };
        let mut text = format!(
            "{function}{{\"{name}\",\"{value}\",delim=\"{separator}\",priority={quote}{priority}{quote}"
        );
        if style.modes {
            let _ = write!(text, ",{}", mode_list(modes));
        }
        self.push(&text);
        self.push("}\n");
    }

    fn puts(&mut self, style: Style, channel: &str, text: &str) {
        match channel {
            "stderr" => self.push(&format!("LmodMsgRaw([===[{text}]===])\n")),
            "stdout" => {
                let mode = style.mode;
                self.push(&format!("execute{{cmd=[===[{text}]===],modeA={{\"{mode}\"}}}}\n"));
            }
            "prestdout" => self.push(&format!("io.stdout:write([===[{text}]===])\n")),
            // Lmod takes what goes elsewhere for Lua.
            _ => {
                self.push(text);
                self.push("\n");
            }
        }
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

struct Path<'a> {
    function: &'a str,
    modes: &'a str,
    name: &'a str,
    value: &'a str,
    separator: &'a str,
    priority: &'a str,
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

/// `modeA={"load","unload"}` for `load unload`.
fn mode_list(modes: &str) -> String {
    let modes: Vec<String> = modes.split_whitespace().map(|mode| format!("\"{mode}\"")).collect();
    format!("modeA={{{}}}", modes.join(","))
}

fn quoted(words: &[&str]) -> String {
    let words: Vec<String> =
        words.iter().map(|word| format!("\"{}\"", escape(trim(word)))).collect();
    words.join(",")
}

/// Lmod drops blanks and line ends after an argument.
fn trim(word: &str) -> &str {
    word.trim_end_matches(['\r', '\n', ' '])
}

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
    fn records_become_the_calls_that_lmod_evaluates() {
        let now = Style { mode: "load", modes: true, numbers: true };
        let then = Style { mode: "unload", modes: false, numbers: false };
        for (style, record, want) in [
            (now, &["call", "setenv", "X", "a \"b\" \\ \r\n"][..], r#"setenv("X","a \"b\" \\")"#),
            (now, &["call", "purge"], "purge()"),
            (now, &["modes", "load", "load unload", "a"], r#"load{modeA={"load","unload"}, "a"}"#),
            (now, &["modes", "load", "normal"], "load()"),
            (
                now,
                &["path", "prepend_path", "normal", "P", "/a", ":", "0"],
                r#"prepend_path{"P","/a",delim=":",priority=0,modeA={"normal"}}"#,
            ),
            (
                then,
                &["path", "prepend_path", "normal", "P", "/a", ":", "0"],
                r#"prepend_path{"P","/a",delim=":",priority="0"}"#,
            ),
            (then, &["puts", "stdout", "x"], r#"execute{cmd=[===[x]===],modeA={"unload"}}"#),
            (now, &["puts", "file5", "x"], "x"),
            (now, &["complete", "bash", "x", "-W", "a"], r#"complete("bash","x","-W a")"#),
        ] {
            let mut calls = Calls::default();
            let record: Vec<String> = record.iter().map(|&word| word.to_owned()).collect();
            calls.add(style, &record);
            assert_eq!(calls.text.trim_end_matches('\n'), want);
        }
    }

    #[test]
    fn an_error_knows_its_line_of_the_file() {
        let style = Style { mode: "load", modes: true, numbers: true };
        let mut calls = Calls::default();
        for record in [&["call", "purge"][..], &["error", "no \"such\"\nthing", "17"]] {
            let record: Vec<String> = record.iter().map(|&word| word.to_owned()).collect();
            calls.add(style, &record);
        }
        assert_eq!(calls.text, "purge()\nLmodError(\"no \\\"such\\\"\\010thing\")\n");
        assert_eq!(calls.lines, BTreeMap::from([(2, 17)]));
    }
}
