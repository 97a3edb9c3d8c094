//! Rc files in Tcl whose answer is plain without a Tcl interpreter.
//!
//! Only what is certain counts: comments, and the commands that name versions, with words in
//! which nothing means anything to Tcl or to Lua.

use super::super::names::rc::Line;

/// What the file says; `None` if only Tcl can tell.
pub(in super::super) fn parse(text: &str) -> Option<Vec<Line>> {
    let (mut lines, mut default) = (Vec::new(), None);
    for line in text.lines() {
        let line = line.trim_matches([' ', '\t']);
        if line.starts_with('#') {
            // A comment goes on after a backslash.
            if line.ends_with('\\') {
                return None;
            }
            continue;
        }
        let words = words(line)?;
        let words: Vec<&str> = words.iter().map(String::as_str).collect();
        match words.as_slice() {
            [] => {}
            ["module-version", module, names @ ..] if !names.is_empty() => {
                lines.push(Line::Version {
                    module: (*module).to_owned(),
                    names: names.iter().map(|name| (*name).to_owned()).collect(),
                });
            }
            ["module-alias", name, target] => {
                lines.push(Line::Alias { name: (*name).to_owned(), target: (*target).to_owned() });
            }
            ["hide-version" | "hide-modulefile", what] => {
                lines.push(Line::Hide((*what).to_owned()));
            }
            ["set", "ModulesVersion", version] => default = Some((*version).to_owned()),
            _ => return None,
        }
    }
    lines.extend(default.map(Line::Default));
    Some(lines)
}

/// The words of a line, in quotes, braces or bare.
fn words(line: &str) -> Option<Vec<String>> {
    let mut words = Vec::new();
    let mut rest = line;
    while let Some(first) = rest.chars().next() {
        let (word, after) = match first {
            '"' => rest.get(1..)?.split_once('"')?,
            '{' => rest.get(1..)?.split_once('}')?,
            _ => rest.split_at(rest.find([' ', '\t']).unwrap_or(rest.len())),
        };
        let blank = |c: char| c == ' ' && (first == '"' || first == '{');
        if !word.chars().all(|c| is_plain(c) || blank(c)) {
            return None;
        }
        if !(after.is_empty() || after.starts_with([' ', '\t'])) {
            return None;
        }
        words.push(word.to_owned());
        rest = after.trim_start_matches([' ', '\t']);
    }
    Some(words)
}

fn is_plain(c: char) -> bool {
    c.is_ascii_alphanumeric() || "_./+@:=,%^~-".contains(c)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn plain_lines_are_read_and_others_are_left_to_tcl() {
        let lines = parse(
            "#%Module1.0\n\n\
             module-version x/1.0 default stable\n\
             \tset ModulesVersion 1.0\n\
             module-alias \"y\" {x/stable}\n\
             hide-version x/0.9\n\
             set ModulesVersion \"2.0\"\n",
        )
        .unwrap();
        assert_eq!(lines.len(), 4);
        assert_eq!(lines[3], Line::Default("2.0".to_owned()));
        for other in [
            "if { 1 } { module-version x/1 default }",
            "set ModulesVersion $v",
            "set ModulesVersion [exec true]",
            "set ModulesVersion 1.0 ;# why",
            "set ModulesVersion a\\\\b",
            "module-version x/1",
            "module-version {x/1}default",
            "module-alias x \"a",
            "set v 1.0",
            "# more \\\nset ModulesVersion 1.0",
            "module-alias x é",
            "exit",
        ] {
            assert_eq!(parse(other), None, "{other}");
        }
    }
}
