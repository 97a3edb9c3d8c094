//! Python's literals, as far as easyconfigs have them.

use std::collections::BTreeMap;

/// Lists in lists that are followed.
const DEEPEST: usize = 16;

/// A literal.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) enum Literal {
    Text(String),
    /// A list or tuple.
    List(Vec<Self>),
    /// A dictionary.
    Map(Vec<(Self, Self)>),
    /// The name of a constant.
    Name(String),
    /// A number.
    Other,
}

impl Literal {
    /// The text, if it is one.
    pub(super) fn text(&self) -> Option<&str> {
        match self {
            Self::Text(text) => Some(text),
            _ => None,
        }
    }
}

/// The names at the beginning of a line to which a literal is assigned; of several assignments
/// the last counts.
pub(super) fn assignments(text: &str) -> BTreeMap<String, Literal> {
    let mut found = BTreeMap::new();
    let mut rest = text;
    while !rest.is_empty() {
        let after = assignment(rest).map(|(name, value, behind)| {
            found.insert(name.to_owned(), value);
            behind
        });
        let rest_of_line = after.unwrap_or(rest);
        rest = rest_of_line.split_once('\n').map_or("", |(_, next)| next);
    }
    found
}

/// `NAME = LITERAL` at the start of `text`, and what follows in its last line.
fn assignment(text: &str) -> Option<(&str, Literal, &str)> {
    let (name, rest) = name(text)?;
    let rest = rest.trim_start_matches([' ', '\t']).strip_prefix('=')?;
    let mut parser = Parser { rest, depth: 0 };
    parser.blanks(false);
    let value = parser.literal()?;
    parser.blanks(false);
    let ends = parser.rest.is_empty() || parser.rest.starts_with(['\n', '\r', '#', ';']);
    ends.then_some((name, value, parser.rest))
}

fn name(text: &str) -> Option<(&str, &str)> {
    let is_part = |c: char| c.is_ascii_alphanumeric() || c == '_';
    let end = text.find(|c| !is_part(c)).unwrap_or(text.len());
    let (name, rest) = text.split_at_checked(end)?;
    let starts = name.starts_with(|c: char| c.is_ascii_alphabetic() || c == '_');
    starts.then_some((name, rest))
}

struct Parser<'a> {
    rest: &'a str,
    depth: usize,
}

impl Parser<'_> {
    /// Skips blanks; between brackets line ends and comments, too.
    fn blanks(&mut self, in_brackets: bool) {
        loop {
            let blank = |c: char| c == ' ' || c == '\t' || in_brackets && c.is_whitespace();
            self.rest = self.rest.trim_start_matches(blank);
            match self.rest.strip_prefix("\\\n") {
                Some(next) => self.rest = next,
                None if in_brackets && self.rest.starts_with('#') => {
                    self.rest = self.rest.split_once('\n').map_or("", |(_, next)| next);
                }
                None => return,
            }
        }
    }

    fn take(&mut self, prefix: &str) -> bool {
        let rest = self.rest.strip_prefix(prefix);
        self.rest = rest.unwrap_or(self.rest);
        rest.is_some()
    }

    fn literal(&mut self) -> Option<Literal> {
        match self.rest.chars().next()? {
            '\'' | '"' => self.texts().map(Literal::Text),
            '[' => self.list(']').map(Literal::List),
            '(' => self.list(')').map(Literal::List),
            '{' => self.map().map(Literal::Map),
            c if c.is_ascii_digit() || c == '-' => {
                let number = |c: char| c.is_ascii_alphanumeric() || c == '.' || c == '-';
                self.rest = self.rest.trim_start_matches(number);
                Some(Literal::Other)
            }
            _ => {
                let (found, rest) = name(self.rest)?;
                self.rest = rest;
                // a prefix of a text, a call, an element: more than a literal
                let ends = !self.rest.starts_with(['\'', '"', '(', '[', '.']);
                ends.then(|| Literal::Name(found.to_owned()))
            }
        }
    }

    /// Texts that stand beside one another are one.
    fn texts(&mut self) -> Option<String> {
        let mut text = String::new();
        while self.rest.starts_with(['\'', '"']) {
            text.push_str(&self.text()?);
            self.blanks(self.depth > 0);
        }
        Some(text)
    }

    fn text(&mut self) -> Option<String> {
        let long = ["\"\"\"", "'''"].into_iter().find(|quote| self.rest.starts_with(quote));
        let quote = long.or_else(|| self.rest.get(..1))?;
        let mut rest = self.rest.strip_prefix(quote)?;
        let mut text = String::new();
        loop {
            if let Some(behind) = rest.strip_prefix(quote) {
                self.rest = behind;
                return Some(text);
            }
            let c = rest.chars().next().filter(|&c| c != '\n' || long.is_some())?;
            rest = rest.get(c.len_utf8()..)?;
            if c != '\\' {
                text.push(c);
                continue;
            }
            let escaped = rest.chars().next()?;
            rest = rest.get(escaped.len_utf8()..)?;
            match escaped {
                '\n' => {}
                'n' => text.push('\n'),
                't' => text.push('\t'),
                '\\' | '\'' | '"' => text.push(escaped),
                other => text.extend(['\\', other]),
            }
        }
    }

    fn list(&mut self, end: char) -> Option<Vec<Literal>> {
        let mut list = Vec::new();
        self.between(end, |parser| {
            list.push(parser.literal()?);
            Some(())
        })?;
        Some(list)
    }

    fn map(&mut self) -> Option<Vec<(Literal, Literal)>> {
        let mut map = Vec::new();
        self.between('}', |parser| {
            let key = parser.literal()?;
            parser.blanks(true);
            if !parser.take(":") {
                return None;
            }
            parser.blanks(true);
            map.push((key, parser.literal()?));
            Some(())
        })?;
        Some(map)
    }

    /// What stands between the bracket that comes next and `end`, separated by commas.
    fn between(&mut self, end: char, mut each: impl FnMut(&mut Self) -> Option<()>) -> Option<()> {
        self.depth += 1;
        if self.depth > DEEPEST {
            return None;
        }
        self.rest = self.rest.get(1..)?;
        loop {
            self.blanks(true);
            if let Some(rest) = self.rest.strip_prefix(end) {
                self.rest = rest;
                self.depth -= 1;
                return Some(());
            }
            each(self)?;
            self.blanks(true);
            if !self.take(",") && !self.rest.starts_with(end) {
                return None;
            }
        }
    }
}
