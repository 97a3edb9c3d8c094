//! Elements of path variables, written as Lmod writes them.

/// How elements are cleaned.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Cleaning<'a> {
    /// What a leading `~` stands for (`$HOME`).
    pub home: &'a str,
    /// What becomes of white space around an element.
    pub blanks: Blanks,
    /// As how many delimiters a longer row of them counts; 0: as many as there are.
    pub longest_row: usize,
}

/// What becomes of white space around an element; Lmod has had all of these.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Blanks {
    /// It goes.
    Trimmed,
    /// One blank stays in front.
    OneBefore,
    /// It stays.
    Kept,
}

/// Returns `value` without doubled and trailing slashes and without `.` components, a leading `~`
/// replaced; `..` stays. A trailing `//` that follows a name stays too (TeX's search paths).
#[must_use]
pub fn regularize(value: &str, cleaning: Cleaning) -> String {
    let spaced;
    let value = match cleaning.blanks {
        Blanks::Kept => value,
        Blanks::Trimmed => value.trim_matches(is_space),
        Blanks::OneBefore if value.starts_with(is_space) => {
            spaced = format!(" {}", value.trim_matches(is_space));
            spaced.trim_end_matches(is_space)
        }
        Blanks::OneBefore => value.trim_end_matches(is_space),
    };
    let recursive = value.ends_with("//") && value.len() > 2 && !value.ends_with("///");
    let mut clean = collapse_slashes(value);
    while let Some(at) = clean.find("/./") {
        clean.replace_range(at..at + 2, "");
    }
    if clean.ends_with('/') {
        clean.pop();
    }
    if let Some(rest) = clean.strip_prefix('~') {
        clean = collapse_slashes(&format!("{}{rest}", cleaning.home));
        if clean.ends_with('/') {
            clean.pop();
        }
    }
    if clean.is_empty() {
        return clean;
    }
    let mut clean = without_dots(&clean);
    if recursive {
        clean.push_str("//");
    }
    clean
}

/// Lua's `%s`.
pub(crate) fn is_space(c: char) -> bool {
    matches!(c, ' ' | '\t' | '\n' | '\r' | '\x0b' | '\x0c')
}

/// Every run of slashes becomes one.
pub(crate) fn collapse_slashes(value: &str) -> String {
    let mut clean = String::with_capacity(value.len() + 2);
    for c in value.chars() {
        if c != '/' || !clean.ends_with('/') {
            clean.push(c);
        }
    }
    clean
}

/// Drops `.` components; a path of nothing else is `.`.
fn without_dots(value: &str) -> String {
    let kept: Vec<&str> = value.split('/').filter(|part| *part != ".").collect();
    if kept.is_empty() { ".".to_owned() } else { kept.join("/") }
}

/// Splits `value` at `delimiter` into cleaned elements. Of several empty elements at the end one
/// stays; with `no_recursion` (`MODULEPATH`) a trailing `//` goes as well.
#[must_use]
pub fn split(value: &str, delimiter: &str, no_recursion: bool, cleaning: Cleaning) -> Vec<String> {
    if value.is_empty() {
        return vec![String::new()];
    }
    let collapsed;
    let mut value = value;
    if cleaning.longest_row > 0 && !delimiter.is_empty() {
        collapsed = collapse_delimiters(value, delimiter, cleaning.longest_row);
        value = &collapsed;
    }
    let parts: Vec<&str> =
        if delimiter.is_empty() { vec![value] } else { value.split(delimiter).collect() };
    let mut elements: Vec<String> = parts
        .into_iter()
        .map(|part| {
            let mut element = regularize(part, cleaning);
            if no_recursion && element.ends_with("//") {
                element.truncate(element.len() - 2);
            }
            element
        })
        .collect();
    let named = elements.iter().rposition(|element| !element.is_empty()).map_or(0, |at| at + 1);
    elements.truncate(named + 1);
    elements
}

fn collapse_delimiters(value: &str, delimiter: &str, longest: usize) -> String {
    let longer = delimiter.repeat(longest + 1);
    let allowed = delimiter.repeat(longest);
    let mut value = value.to_owned();
    while value.contains(&longer) {
        value = value.replace(&longer, &allowed);
    }
    value
}

#[cfg(test)]
mod tests {
    use super::*;

    const LMOD_8: Cleaning = Cleaning { home: "/home/u", blanks: Blanks::Trimmed, longest_row: 0 };

    #[test]
    fn elements_are_written_in_one_form() {
        for (value, want) in [
            ("/a/b", "/a/b"),
            ("//a///b/", "/a/b"),
            ("/a/./b/./", "/a/b"),
            ("/a/././b", "/a/b"),
            ("/a/../b", "/a/../b"),
            ("./a", "a"),
            (".", "."),
            ("./.", "."),
            ("~/x", "/home/u/x"),
            ("  /a ", "/a"),
            ("/", ""),
            ("", ""),
            ("/tex//", "/tex//"),
            ("$HOME/x", "$HOME/x"),
        ] {
            assert_eq!(regularize(value, LMOD_8), want, "{value:?}");
        }
    }

    #[test]
    fn empty_elements_survive_inside_and_one_at_the_end() {
        for (value, want) in [
            ("/a:/b", vec!["/a", "/b"]),
            ("/a::/b", vec!["/a", "", "/b"]),
            ("/a:", vec!["/a", ""]),
            ("/a:::", vec!["/a", ""]),
            ("::", vec![""]),
            ("", vec![""]),
        ] {
            assert_eq!(split(value, ":", false, LMOD_8), want, "{value:?}");
        }
    }

    #[test]
    fn newer_lmod_keeps_blanks_and_joins_delimiters() {
        let lmod_9 = Cleaning { home: "/h", blanks: Blanks::Kept, longest_row: 2 };
        assert_eq!(split(" /a::::/b", ":", false, lmod_9), [" /a", "", "/b"]);
        assert_eq!(split("/a//", ":", true, lmod_9), ["/a"]);
    }
}
