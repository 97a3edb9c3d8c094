//! Texts for one version of Lua, made into texts with the same meaning for ours.
//!
//! Before 5.3 every number is a float, written without `.0`. Concatenation cannot be redefined for
//! numbers, so every `..` becomes two with [`JOINT`] between them, an object that `dialect.lua`
//! defines; what a version's grammar lacks is refused, what ours has lost is rewritten.

use std::borrow::Cow;

use crate::stack::LuaVersion;

/// The global that stands between the two sides of every concatenation.
pub(super) const JOINT: &str = "__module_export_joint";

/// What a version of Lua does not understand.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[error("{message} (Lua {lua})")]
pub(super) struct Refused {
    pub(super) line: u32,
    message: String,
    lua: LuaVersion,
}

/// The text for our Lua.
///
/// # Errors
/// If `lua` does not have the syntax that it uses.
pub(super) fn translate(text: &[u8], lua: LuaVersion) -> Result<Cow<'_, [u8]>, Refused> {
    if lua == LuaVersion::Lua54 || (lua == LuaVersion::Lua53 && !text.contains(&b'<')) {
        return Ok(Cow::Borrowed(text));
    }
    let mut reader =
        Reader { text, at: 0, line: 1, lua, before: [Token::Start; 2], line_before: 1, out: None };
    reader.run()?;
    Ok(reader.out.map_or(Cow::Borrowed(text), |out| Cow::Owned(out.finish(text))))
}

/// What a token is, as far as it matters for the next.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Token {
    Start,
    /// `local`.
    Local,
    /// `goto`.
    Goto,
    /// A keyword that begins a block.
    Block,
    /// Another keyword.
    Keyword,
    Name,
    Semicolon,
    Bracket,
    Other,
}

/// The rewritten text so far: pieces of the original with pieces of ours between.
#[derive(Debug, Default)]
struct Output {
    text: Vec<u8>,
    copied: usize,
}

impl Output {
    fn finish(mut self, text: &[u8]) -> Vec<u8> {
        self.text.extend_from_slice(text.get(self.copied..).unwrap_or_default());
        self.text
    }
}

struct Reader<'a> {
    text: &'a [u8],
    at: usize,
    line: u32,
    lua: LuaVersion,
    /// The last token, and the one before it.
    before: [Token; 2],
    line_before: u32,
    out: Option<Output>,
}

impl Reader<'_> {
    fn peek(&self, ahead: usize) -> u8 {
        self.text.get(self.at + ahead).copied().unwrap_or(0)
    }

    fn refuse(&self, message: impl Into<String>) -> Refused {
        Refused { line: self.line, message: message.into(), lua: self.lua }
    }

    /// Puts `new` in place of the next `length` bytes, which are passed over.
    fn replace(&mut self, length: usize, new: &[u8]) {
        let (text, at) = (self.text, self.at);
        let out = self.out.get_or_insert_default();
        out.text.extend_from_slice(text.get(out.copied..at).unwrap_or_default());
        out.text.extend_from_slice(new);
        out.copied = at + length;
        self.at += length;
    }

    fn seen(&mut self, token: Token) {
        self.before = [token, self.before[0]];
        self.line_before = self.line;
    }

    fn run(&mut self) -> Result<(), Refused> {
        while self.at < self.text.len() {
            match self.peek(0) {
                b'\n' => {
                    self.line += 1;
                    self.at += 1;
                }
                b'-' if self.peek(1) == b'-' => self.comment(),
                b'[' if self.long_level().is_some() => {
                    self.long();
                    self.seen(Token::Other);
                }
                quote @ (b'"' | b'\'') => {
                    self.string(quote)?;
                    self.seen(Token::Other);
                }
                b'0'..=b'9' => {
                    self.number();
                    self.seen(Token::Other);
                }
                byte if byte.is_ascii_alphabetic() || byte == b'_' => self.word()?,
                byte if byte.is_ascii_whitespace() => self.at += 1,
                _ => self.operator()?,
            }
        }
        Ok(())
    }

    fn comment(&mut self) {
        self.at += 2;
        if self.peek(0) == b'[' && self.long_level().is_some() {
            self.long();
            return;
        }
        while self.at < self.text.len() && self.peek(0) != b'\n' {
            self.at += 1;
        }
    }

    /// How many `=` are in the opening of a long text here.
    fn long_level(&self) -> Option<usize> {
        let mut level = 0;
        while self.peek(1 + level) == b'=' {
            level += 1;
        }
        (self.peek(1 + level) == b'[').then_some(level)
    }

    fn long(&mut self) {
        let level = self.long_level().unwrap_or_default();
        let end: Vec<u8> = [b"]".as_slice(), &b"=".repeat(level), b"]"].concat();
        self.at += level + 2;
        while self.at < self.text.len() {
            if self.text.get(self.at..).is_some_and(|rest| rest.starts_with(&end)) {
                self.at += end.len();
                return;
            }
            self.line += u32::from(self.peek(0) == b'\n');
            self.at += 1;
        }
    }

    fn string(&mut self, quote: u8) -> Result<(), Refused> {
        self.at += 1;
        while self.at < self.text.len() {
            match self.peek(0) {
                byte if byte == quote => {
                    self.at += 1;
                    return Ok(());
                }
                b'\\' => self.escape()?,
                // unfinished: ours says so
                b'\n' => return Ok(()),
                _ => self.at += 1,
            }
        }
        Ok(())
    }

    fn escape(&mut self) -> Result<(), Refused> {
        let next = self.peek(1);
        let everywhere = b"abfnrtv\\\"'\r\n".contains(&next) || next.is_ascii_digit();
        let known = match self.lua {
            LuaVersion::Lua51 => everywhere,
            LuaVersion::Lua52 => everywhere || b"xz".contains(&next),
            _ => everywhere || b"xzu".contains(&next),
        };
        if known {
            self.line += u32::from(next == b'\n');
            self.at += 2;
        } else if self.lua == LuaVersion::Lua51 {
            // stands for itself
            self.replace(1, b"");
            self.at += 1;
        } else {
            return Err(self.refuse("invalid escape sequence"));
        }
        Ok(())
    }

    fn number(&mut self) {
        let hexadecimal = self.peek(0) == b'0' && matches!(self.peek(1), b'x' | b'X');
        loop {
            let exponent =
                matches!((self.peek(0), hexadecimal), (b'e' | b'E', false) | (b'p' | b'P', true));
            if exponent && matches!(self.peek(1), b'+' | b'-') {
                self.at += 2;
            } else if self.peek(0).is_ascii_alphanumeric()
                || (self.peek(0) == b'.' && self.peek(1) != b'.')
            {
                self.at += 1;
            } else {
                return;
            }
        }
    }

    fn word(&mut self) -> Result<(), Refused> {
        let from = self.at;
        while self.peek(0).is_ascii_alphanumeric() || self.peek(0) == b'_' {
            self.at += 1;
        }
        let token = match self.text.get(from..self.at).unwrap_or_default() {
            b"local" => Token::Local,
            b"goto" => Token::Goto,
            b"then" | b"do" | b"else" | b"repeat" => Token::Block,
            b"and" | b"break" | b"elseif" | b"end" | b"false" | b"for" | b"function" | b"if"
            | b"in" | b"nil" | b"not" | b"or" | b"return" | b"true" | b"until" | b"while" => {
                Token::Keyword
            }
            _ => Token::Name,
        };
        if self.lua == LuaVersion::Lua51 && self.before[0] == Token::Goto && token == Token::Name {
            return Err(self.refuse("there is no `goto`"));
        }
        self.seen(token);
        Ok(())
    }

    fn operator(&mut self) -> Result<(), Refused> {
        let old = !self.lua.has_integers();
        let (first, second) = (self.peek(0), self.peek(1));
        match (first, second) {
            (b'.', b'.') if self.peek(2) == b'.' => self.at += 3,
            (b'.', b'.') if old => self.replace(2, format!("..{JOINT}..").as_bytes()),
            (b'.', b'0'..=b'9') => self.number(),
            (b'/', b'/') | (b'<', b'<') | (b'>', b'>') if old => {
                let operator = format!("{}{}", char::from(first), char::from(second));
                return Err(self.refuse(format!("there is no operator `{operator}`")));
            }
            (b'~', b'=') => self.at += 2,
            (b'&' | b'|' | b'~', _) if old => {
                let operator = char::from(first);
                return Err(self.refuse(format!("there is no operator `{operator}`")));
            }
            (b':', b':') if self.lua == LuaVersion::Lua51 => {
                return Err(self.refuse("there are no labels"));
            }
            (b'<', _) if self.before == [Token::Name, Token::Local] => {
                return Err(self.refuse("there are no attributes of variables"));
            }
            (b';', _) => return self.semicolon(),
            (b'(', _) => self.parenthesis()?,
            _ => self.at += 1,
        }
        self.seen(if first == b']' { Token::Bracket } else { Token::Other });
        Ok(())
    }

    /// Before 5.2 there is no empty statement.
    fn semicolon(&mut self) -> Result<(), Refused> {
        let first = matches!(self.lua, LuaVersion::Lua51 | LuaVersion::LuaJit);
        if first && matches!(self.before[0], Token::Start | Token::Semicolon | Token::Block) {
            return Err(self.refuse("unexpected symbol near ';'"));
        }
        self.at += 1;
        self.seen(Token::Semicolon);
        Ok(())
    }

    /// Before 5.2 the arguments of a call begin on its line.
    fn parenthesis(&mut self) -> Result<(), Refused> {
        let first = matches!(self.lua, LuaVersion::Lua51 | LuaVersion::LuaJit);
        let called = matches!(self.before[0], Token::Name | Token::Bracket);
        if first && called && self.line != self.line_before {
            return Err(self.refuse("ambiguous syntax (function call x new statement)"));
        }
        self.at += 1;
        Ok(())
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn translated(text: &str, lua: LuaVersion) -> Result<String, u32> {
        translate(text.as_bytes(), lua)
            .map(|text| String::from_utf8_lossy(&text).into_owned())
            .map_err(|refused| refused.line)
    }

    #[test]
    fn concatenations_get_a_joint_where_numbers_are_floats() {
        for (text, want) in [
            ("x = a..b", "x = a..J..b"),
            ("x = ... ; y = 'a..b' .. [[..]]", "x = ... ; y = 'a..b' ..J.. [[..]]"),
            (
                "-- a..b\n--[==[ a..b\n]]..]==] a = 1. ..2",
                "-- a..b\n--[==[ a..b\n]]..]==] a = 1. ..J..2",
            ),
            ("x = 1e-5 .. .5", "x = 1e-5 ..J.. .5"),
        ] {
            let want = want.replace('J', JOINT);
            assert_eq!(translated(text, LuaVersion::Lua51), Ok(want.clone()));
            assert_eq!(translated(text, LuaVersion::LuaJit), Ok(want));
            assert_eq!(translated(text, LuaVersion::Lua53).as_deref(), Ok(text));
        }
    }

    #[test]
    fn what_a_version_lacks_is_refused_with_its_line() {
        use LuaVersion::{Lua51, Lua52, Lua53, Lua54, LuaJit};
        for (text, without) in [
            ("\nx = 7 // 2", &[Lua51, LuaJit, Lua52][..]),
            ("\nx = 7 & 2", &[Lua51, LuaJit, Lua52]),
            ("\nx = ~2", &[Lua51, LuaJit, Lua52]),
            ("if a ~= b then end", &[]),
            ("\nlocal x <const> = 1", &[Lua51, LuaJit, Lua52, Lua53]),
            ("\ngoto out ::out::", &[Lua51]),
            ("local s = 'a'\nlocal t = '\\xff'", &[]),
            ("\nx = '\\.'", &[LuaJit, Lua52, Lua53]),
            ("f();\n;", &[Lua51, LuaJit]),
            ("f\n(1)", &[Lua51, LuaJit]),
            ("if a < b then end", &[]),
        ] {
            for lua in [Lua51, LuaJit, Lua52, Lua53, Lua54] {
                let got = translated(text, lua);
                // ours refuses bad escapes itself
                let ours = lua == Lua53 && text.contains("\\.");
                let refused = without.contains(&lua) && !ours;
                assert_eq!(got.err(), refused.then_some(2), "{text:?} in {lua}");
            }
        }
    }

    #[test]
    fn unknown_escapes_stand_for_themselves_in_the_oldest() {
        let text = r#"x = "\.\x41\n\065""#;
        assert_eq!(translated(text, LuaVersion::Lua51).as_deref(), Ok(r#"x = ".x41\n\065""#));
    }
}
