//! What of the environment `tclsh` knows, and which files have to know it.
//!
//! A process with thousands of variables makes a new interpreter slowly, and each modulefile gets a
//! new one. So the variables are sent only where a file may look at them, and then only those that
//! have changed.

use crate::environment::Variables;

use super::server::{add_line, add_words};

/// Commands of a file that may look at the environment, or at what it says, without a sign that the
/// prelude sees: `$env(NAME)` and `exec` it does see.
const COMMANDS: [&str; 6] = ["append", "cd", "clock", "package", "source", "upvar"];

/// Texts of a file that mean the same.
const SIGNS: [&str; 4] = ["unset", "~", "tempfile", "tcl_platform"];

/// Whether the file has to be given the environment before it runs.
pub(super) fn must_be_given(text: &[u8]) -> bool {
    let text = String::from_utf8_lossy(text);
    let words = || text.split(|c: char| !(c.is_ascii_alphanumeric() || "_.-/".contains(c)));
    SIGNS.iter().any(|sign| text.contains(sign)) || words().any(|word| COMMANDS.contains(&word))
}

/// The variables that `tclsh` knows.
#[derive(Debug, Default)]
pub(super) struct Known {
    variables: Variables,
}

impl Known {
    /// Lines that make it know `changes` as well.
    pub(super) fn lines(
        &mut self,
        changes: impl IntoIterator<Item = (String, Option<String>)>,
    ) -> Vec<u8> {
        let sound = |text: &str| !text.contains('\0');
        let mut lines = Vec::new();
        for (name, value) in changes {
            let old = self.variables.get(&name);
            if name.is_empty() || name.contains('=') || !sound(&name) || old == value.as_ref() {
                continue;
            }
            if let Some(value) = value.filter(|value| sound(value)) {
                add_value(&mut lines, &name, old.map(String::as_str), &value);
                self.variables.insert(name, value);
            } else {
                add_line(&mut lines, b"unset", &[name.as_bytes()]);
                self.variables.remove(&name);
            }
        }
        lines
    }
}

/// Of a list that grows by an element for each file only the new element travels.
fn add_value(lines: &mut Vec<u8>, name: &str, old: Option<&str>, value: &str) {
    let old = old.filter(|old| old.is_ascii() && value.is_ascii()).unwrap_or_default();
    let same = |pair: &(u8, u8)| pair.0 == pair.1;
    let head = old.bytes().zip(value.bytes()).take_while(same).count();
    let most = old.len().min(value.len()) - head;
    let tail = old.bytes().rev().zip(value.bytes().rev()).take(most).take_while(same).count();
    let middle = value.get(head..value.len() - tail).filter(|_| head + tail > 0);
    match middle {
        Some(middle) => {
            lines.extend_from_slice(b"splice ");
            add_words(lines, &[name.as_bytes(), middle.as_bytes()]);
            lines.pop();
            lines.extend_from_slice(format!(" {head} {tail}\n").as_bytes());
        }
        None => add_line(lines, b"set", &[name.as_bytes(), value.as_bytes()]),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_file_is_given_the_environment_where_the_prelude_cannot_see_that_it_looks() {
        for (text, must) in [
            ("#%Module\nsetenv A 1\nprepend-path PATH /a/resources/cd-1\n", false),
            ("if { ![is-loaded clock/1] } { module load openmpi-source }", false),
            ("setenv A $env(HOME)$::env(HOME)[getenv HOME]", false),
            ("unsetenv A", true),
            ("set a ~/x", true),
            ("global env; upvar 0 env(HOME) h", true),
            ("if {[catch {source /a}]} {cd}", true),
        ] {
            assert_eq!(must_be_given(text.as_bytes()), must, "{text}");
        }
    }

    #[test]
    fn only_differences_travel() {
        let mut known = Known::default();
        let mut said = |pairs: &[(&str, Option<&str>)]| {
            let changes = pairs.iter().map(|(a, b)| ((*a).to_owned(), b.map(str::to_owned)));
            String::from_utf8(known.lines(changes.collect::<Vec<_>>())).unwrap()
        };
        assert_eq!(said(&[("P", Some("/b"))]), "set x50 x2f62\n");
        assert_eq!(said(&[("P", Some("/b")), ("Q", None)]), "");
        assert_eq!(said(&[("P", Some("/a:/b"))]), "splice x50 x613a2f 1 1\n");
        assert_eq!(said(&[("P", Some("/a:/b:"))]), "splice x50 x3a 5 0\n");
        assert_eq!(said(&[("P", Some("é"))]), "set x50 xc3a9\n");
        assert_eq!(said(&[("P", Some("xx"))]), "set x50 x7878\n");
        assert_eq!(said(&[("P", Some("x"))]), "splice x50 x 1 0\n");
        assert_eq!(said(&[("P", None)]), "unset x50\n");
    }
}
