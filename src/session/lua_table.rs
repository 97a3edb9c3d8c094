//! Lua table constructors as text: read and written without a Lua interpreter, since they come
//! from variables that anybody may have set.

use std::collections::BTreeMap;
use std::fmt::Write as _;

/// A literal value.
#[derive(Debug, Clone, PartialEq)]
pub(super) enum Value {
    /// `nil`.
    Nil,
    /// `true`, `false`.
    Boolean(bool),
    /// A number; integers too.
    Number(f64),
    /// A string. Bytes that are not UTF-8 have been replaced.
    Text(String),
    /// `{…}`.
    Table(Table),
}

/// `{…}`: the list part and the named part.
#[derive(Debug, Clone, Default, PartialEq)]
pub(super) struct Table {
    /// `{a, b}`, and `[1] = …` as far as they come in order.
    pub(super) list: Vec<Value>,
    /// `{name = …, ["name"] = …}`.
    pub(super) named: BTreeMap<String, Value>,
}

impl Table {
    pub(super) fn text(&self, name: &str) -> Option<&str> {
        match self.named.get(name)? {
            Value::Text(text) => Some(text),
            _ => None,
        }
    }

    pub(super) fn number(&self, name: &str) -> Option<f64> {
        match self.named.get(name)? {
            Value::Number(number) => Some(*number),
            _ => None,
        }
    }

    pub(super) fn table(&self, name: &str) -> Option<&Self> {
        match self.named.get(name)? {
            Value::Table(table) => Some(table),
            _ => None,
        }
    }
}

/// Why a text is no table.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[error("{what} at byte {offset}")]
pub struct SyntaxError {
    /// What was found or missing.
    pub what: &'static str,
    /// Where, in bytes from the start of the text.
    pub offset: usize,
}

/// Deeper nesting than Lmod ever writes.
const MAX_DEPTH: u32 = 64;

/// Reads `name = {…}`.
///
/// # Errors
/// [`SyntaxError`] where the text is anything else.
pub(super) fn parse_assignment(text: &[u8], name: &str) -> Result<Table, SyntaxError> {
    let mut parser = Parser { text, at: 0 };
    parser.skip_space();
    if parser.word() != name.as_bytes() {
        return Err(parser.error("another name than the table's"));
    }
    parser.expect(b'=', "no `=` after the table's name")?;
    let value = parser.value(0)?;
    parser.skip_space();
    if parser.at != text.len() {
        return Err(parser.error("text behind the table"));
    }
    match value {
        Value::Table(table) => Ok(table),
        _ => Err(parser.error("not a table")),
    }
}

struct Parser<'a> {
    text: &'a [u8],
    at: usize,
}

impl Parser<'_> {
    const fn error(&self, what: &'static str) -> SyntaxError {
        SyntaxError { what, offset: self.at }
    }

    fn peek(&self) -> Option<u8> {
        self.text.get(self.at).copied()
    }

    /// Passes over blanks and comments (a saved collection begins with some).
    fn skip_space(&mut self) {
        loop {
            while self.text.get(self.at).is_some_and(u8::is_ascii_whitespace) {
                self.at += 1;
            }
            if !self.text.get(self.at..).is_some_and(|rest| rest.starts_with(b"--")) {
                return;
            }
            while self.text.get(self.at).is_some_and(|&byte| byte != b'\n') {
                self.at += 1;
            }
        }
    }

    fn expect(&mut self, byte: u8, what: &'static str) -> Result<(), SyntaxError> {
        self.skip_space();
        if self.peek() != Some(byte) {
            return Err(self.error(what));
        }
        self.at += 1;
        Ok(())
    }

    fn word(&mut self) -> &[u8] {
        let start = self.at;
        while self.peek().is_some_and(|c| c.is_ascii_alphanumeric() || c == b'_') {
            self.at += 1;
        }
        &self.text[start..self.at]
    }

    fn value(&mut self, depth: u32) -> Result<Value, SyntaxError> {
        self.skip_space();
        match self.peek() {
            Some(b'{') => self.table(depth).map(Value::Table),
            Some(b'"' | b'\'') => self.quoted().map(Value::Text),
            Some(b'[') => self.long_string().map(Value::Text),
            Some(b'-' | b'.' | b'0'..=b'9') => self.number(),
            Some(_) => match self.word() {
                b"true" => Ok(Value::Boolean(true)),
                b"false" => Ok(Value::Boolean(false)),
                b"nil" => Ok(Value::Nil),
                _ => Err(self.error("a value that is not a literal")),
            },
            None => Err(self.error("the end where a value should be")),
        }
    }

    fn table(&mut self, depth: u32) -> Result<Table, SyntaxError> {
        if depth >= MAX_DEPTH {
            return Err(self.error("tables nested too deep"));
        }
        self.expect(b'{', "no table")?;
        let mut table = Table::default();
        loop {
            self.skip_space();
            if self.peek() == Some(b'}') {
                self.at += 1;
                return Ok(table);
            }
            self.field(&mut table, depth)?;
            self.skip_space();
            match self.peek() {
                Some(b',' | b';') => self.at += 1,
                Some(b'}') => {}
                _ => return Err(self.error("no `,` or `}` after a field")),
            }
        }
    }

    fn field(&mut self, table: &mut Table, depth: u32) -> Result<(), SyntaxError> {
        let key = self.key()?;
        let value = self.value(depth + 1)?;
        match key {
            Some(Value::Text(name)) => {
                table.named.insert(name, value);
            }
            // `[1] = …`: Lmod writes them in order
            None | Some(Value::Number(_)) => table.list.push(value),
            Some(_) => return Err(self.error("a key that is neither a name nor a number")),
        }
        Ok(())
    }

    /// `name =` or `[…] =`; `None` (and nothing consumed) where the field is a plain value.
    fn key(&mut self) -> Result<Option<Value>, SyntaxError> {
        let start = self.at;
        if self.peek() == Some(b'[') && !matches!(self.text.get(self.at + 1), Some(b'[' | b'=')) {
            self.at += 1;
            let key = self.value(MAX_DEPTH)?;
            self.expect(b']', "no `]` after a key")?;
            self.expect(b'=', "no `=` after a key")?;
            return Ok(Some(key));
        }
        let name = String::from_utf8_lossy(self.word()).into_owned();
        self.skip_space();
        if !name.is_empty() && self.peek() == Some(b'=') {
            self.at += 1;
            return Ok(Some(Value::Text(name)));
        }
        self.at = start;
        Ok(None)
    }

    fn quoted(&mut self) -> Result<String, SyntaxError> {
        let quote = self.peek();
        self.at += 1;
        let mut bytes = Vec::new();
        loop {
            let Some(byte) = self.peek() else { return Err(self.error("a string without end")) };
            self.at += 1;
            match byte {
                _ if Some(byte) == quote => break,
                b'\\' => bytes.push(self.escape()?),
                _ => bytes.push(byte),
            }
        }
        Ok(String::from_utf8_lossy(&bytes).into_owned())
    }

    fn escape(&mut self) -> Result<u8, SyntaxError> {
        let Some(byte) = self.peek() else { return Err(self.error("a string without end")) };
        self.at += 1;
        Ok(match byte {
            b'n' => b'\n',
            b't' => b'\t',
            b'r' => b'\r',
            b'a' => 7,
            b'b' => 8,
            b'f' => 12,
            b'v' => 11,
            b'0'..=b'9' => {
                let mut code = u32::from(byte - b'0');
                for _ in 0..2 {
                    let Some(digit @ b'0'..=b'9') = self.peek() else { break };
                    code = code * 10 + u32::from(digit - b'0');
                    self.at += 1;
                }
                u8::try_from(code).map_err(|_| self.error("an escape beyond one byte"))?
            }
            b'\\' | b'"' | b'\'' | b'\n' => byte,
            _ => return Err(self.error("an unknown escape")),
        })
    }

    /// `[[…]]`, `[=[…]=]`; a newline right after the opening is dropped, as Lua does.
    fn long_string(&mut self) -> Result<String, SyntaxError> {
        self.at += 1;
        let level = self.text[self.at..].iter().take_while(|&&b| b == b'=').count();
        self.at += level;
        if self.peek() != Some(b'[') {
            return Err(self.error("no long string"));
        }
        self.at += 1;
        if self.peek() == Some(b'\n') {
            self.at += 1;
        }
        let close = [b"]".as_slice(), &vec![b'='; level], b"]"].concat();
        let rest = &self.text[self.at..];
        let Some(length) = rest.windows(close.len()).position(|window| window == close) else {
            return Err(self.error("a string without end"));
        };
        self.at += length + close.len();
        Ok(String::from_utf8_lossy(&rest[..length]).into_owned())
    }

    fn number(&mut self) -> Result<Value, SyntaxError> {
        let start = self.at;
        while self.peek().is_some_and(|c| c.is_ascii_alphanumeric() || b"+-.".contains(&c)) {
            self.at += 1;
        }
        let text = std::str::from_utf8(&self.text[start..self.at]).unwrap_or_default();
        text.parse()
            .map(Value::Number)
            .map_err(|_| SyntaxError { what: "no number", offset: start })
    }
}

/// Writes a table the way Lmod does: sorted, every name in brackets and quotes.
pub(super) fn write_table(table: &Table, out: &mut String) {
    out.push_str("{\n");
    for value in &table.list {
        write_value(value, out);
        out.push_str(",\n");
    }
    for (name, value) in &table.named {
        out.push('[');
        write_text(name, out);
        out.push_str("] = ");
        write_value(value, out);
        out.push_str(",\n");
    }
    out.push('}');
}

fn write_value(value: &Value, out: &mut String) {
    match value {
        Value::Nil => out.push_str("nil"),
        Value::Boolean(value) => out.push_str(if *value { "true" } else { "false" }),
        // writing to a String cannot fail
        Value::Number(number) => drop(write!(out, "{number}")),
        Value::Text(text) => write_text(text, out),
        Value::Table(table) => write_table(table, out),
    }
}

fn write_text(text: &str, out: &mut String) {
    out.push('"');
    for c in text.chars() {
        match c {
            '"' | '\\' => out.extend(['\\', c]),
            '\n' => out.push_str("\\n"),
            c if c.is_ascii_control() => drop(write!(out, "\\{:03}", u32::from(c))),
            c => out.push(c),
        }
    }
    out.push('"');
}

#[cfg(test)]
mod tests {
    use super::*;

    fn parse(text: &str) -> Result<Table, SyntaxError> {
        parse_assignment(text.as_bytes(), "t")
    }

    #[test]
    fn every_form_that_lmod_writes_is_read() {
        let table = parse(
            "t = {\n a = 1,\n [\"b-c\"] = \"x\\n\\\"y\\\\\\065\",\n d = {},\n e = {\"p\", 'q',},\n f = false,\n\
             g = -2.5, h = [==[\nlong ]] ]==], i = nil; [1] = true }",
        )
        .unwrap();
        assert_eq!(table.number("a"), Some(1.0));
        assert_eq!(table.text("b-c"), Some("x\n\"y\\A"));
        assert_eq!(table.table("d"), Some(&Table::default()));
        assert_eq!(
            table.table("e").unwrap().list,
            [Value::Text("p".into()), Value::Text("q".into())]
        );
        assert_eq!(table.named["f"], Value::Boolean(false));
        assert_eq!(table.number("g"), Some(-2.5));
        assert_eq!(table.text("h"), Some("long ]] "));
        assert_eq!(table.list, [Value::Boolean(true)]);
    }

    #[test]
    fn what_is_written_reads_back_equal() {
        let table = parse("t={a={b={\"x\\ty\",2,{c=\"\\0\"}}},[\"q\\\"]\"]=\"é\"}").unwrap();
        let mut text = "t = ".to_owned();
        write_table(&table, &mut text);
        assert_eq!(parse(&text).unwrap(), table);
    }

    #[test]
    fn code_and_broken_text_are_refused_with_their_place() {
        for (text, offset) in [
            ("", 0),
            ("u = {}", 1),
            ("t = os.execute('x')", 6),
            ("t = {a = f()}", 10),
            ("t = {a = 1", 10),
            ("t = {\"abc", 9),
            ("t = {[[abc]", 7),
            ("t = {} x", 7),
            ("t = {1 2}", 7),
            ("t = \"x\"", 7),
        ] {
            assert_eq!(parse(text).map_err(|e| e.offset), Err(offset), "{text}");
        }
        assert!(parse(&format!("t = {}{}", "{".repeat(9999), "}".repeat(9999))).is_err());
    }
}
