//! `hide{}` and `forbid{}` of rc files: for whom, and from when until when.

use mlua::{Table, Value};

use super::super::evaluator::Evaluator;
use super::super::names::rc::{Hiding, Line, Says};
use super::{string, text};

/// A moment as rc files write it: a date, or a date with hours and minutes, in local time.
const MOMENT: &str = r#"
local year, month, day, hour, minute = (...):match("^%s*(%d+)-(%d+)-(%d+)T?(%d*):?(%d*)")
if not year then return nil end
return os.time{ year = year, month = month, day = day, hour = tonumber(hour) or 0, min = tonumber(minute) or 0,
    sec = 0, isdst = os.date("*t").isdst }
"#;

/// Keys that all of them know, with Lua's types; `table` stands for a list of texts.
const COMMON: [(&str, &str); 8] = [
    ("name", "string"),
    ("nameA", "table"),
    ("before", "string"),
    ("after", "string"),
    ("userA", "table"),
    ("groupA", "table"),
    ("notUserA", "table"),
    ("notGroupA", "table"),
];

/// Keys of hiding only.
const HIDING: [(&str, &str); 2] = [("kind", "string"), ("hidden_loaded", "boolean")];

/// Keys of forbidding only.
const FORBIDDING: [(&str, &str); 2] = [("message", "string"), ("nearly_message", "string")];

impl Evaluator<'_> {
    /// What `hide{…}`, `forbid{…}` or one of the same for patterns says to this user at this time.
    pub(super) fn conditional(&self, function: &str, what: &Value) -> mlua::Result<Vec<Line>> {
        let Value::Table(table) = what else {
            // Lmod means to refuse this, and stumbles.
            return Err(mlua::Error::RuntimeError(format!("{function}: it needs a table")));
        };
        let (hides, pattern) = (function.starts_with("hide"), function.ends_with("Regex"));
        let own = if hides { HIDING } else { FORBIDDING };
        for pair in table.pairs::<Value, Value>() {
            let (key, value) = pair?;
            let key = string(&key).unwrap_or_default();
            let Some((_, wanted)) = COMMON.iter().chain(&own).find(|(known, _)| *known == key)
            else {
                return Err(self.refuse(format!("{function}: it has no key `{key}`")));
            };
            if key == "name" && !matches!(value, Value::String(_) | Value::Table(_)) {
                // Lmod means to refuse this, and stumbles.
                return Err(mlua::Error::RuntimeError(format!("{function}: no such name")));
            }
            let several = key == "name" && matches!(value, Value::Table(_));
            let texts = match &value {
                Value::Table(all) => {
                    let elements = all.sequence_values::<Value>();
                    elements.into_iter().all(|one| one.is_ok_and(|one| one.is_string()))
                }
                _ => true,
            };
            if (value.type_name() != *wanted && !several) || !texts {
                return Err(self.refuse(format!("{function}: `{key}` must be a {wanted}")));
            }
        }
        let now = self.concerns(table)? && self.is_time(table)?;
        let says = if hides {
            Says::Hidden(self.hiding(function, table, now)?)
        } else {
            Says::Forbidden(now)
        };
        let names = names(table)?.into_iter();
        Ok(names.map(|about| Line::Rule { about, pattern, says }).collect())
    }

    fn hiding(&self, function: &str, table: &Table, now: bool) -> mlua::Result<Hiding> {
        let kind = string(&table.raw_get("kind")?);
        let hiding = match kind.as_deref() {
            Some("soft") => Hiding::Soft,
            Some("hidden") => Hiding::Hidden,
            Some("hard") => Hiding::Hard,
            Some(kind) => {
                return Err(self.refuse(format!("{function}: there is no kind `{kind}`")));
            }
            // Lmod forgets to say so of patterns, and then shows them to nobody.
            None if function == "hideRegex" => Hiding::Hard,
            None => Hiding::Hidden,
        };
        Ok(if now { hiding } else { Hiding::Not })
    }

    /// Whether the entry is for the user: listed, or nobody is and the user is not left out.
    fn concerns(&self, table: &Table) -> mlua::Result<bool> {
        let list = |key: &str| -> mlua::Result<Option<Vec<String>>> {
            Ok(match table.raw_get(key)? {
                Value::Table(all) => Some(strings(&all)?),
                _ => None,
            })
        };
        let (users, groups) = (list("userA")?, list("groupA")?);
        let (not_users, not_groups) = (list("notUserA")?, list("notGroupA")?);
        if users.is_none() && groups.is_none() && not_users.is_none() && not_groups.is_none() {
            return Ok(true);
        }
        let mine = |list: &Option<Vec<String>>, flag: &str| -> mlua::Result<bool> {
            let Some(list) = list else { return Ok(false) };
            let own = self.identity(flag)?;
            Ok(own.iter().any(|own| list.contains(own)))
        };
        if mine(&users, "-u")? || mine(&groups, "-G")? {
            return Ok(true);
        }
        let listed = users.is_some() || groups.is_some();
        Ok(!listed && !mine(&not_users, "-u")? && !mine(&not_groups, "-G")?)
    }

    /// The user's name (`-u`), or those of the user's groups (`-G`).
    pub(super) fn identity(&self, flag: &str) -> mlua::Result<Vec<String>> {
        let output = self.run_command("myConfig", format!("id {flag} -n 2>/dev/null"), &[])?;
        let names = String::from_utf8_lossy(&output.stdout).into_owned();
        Ok(names.split_whitespace().map(str::to_owned).collect())
    }

    /// Whether it is after `after` and before `before`.
    fn is_time(&self, table: &Table) -> mlua::Result<bool> {
        let moment = |key: &str| -> mlua::Result<Option<i64>> {
            let Some(written) = string(&table.raw_get(key)?) else { return Ok(None) };
            let parsed = self.lua.load(MOMENT).call::<Option<i64>>(written.as_str())?;
            parsed.map_or_else(
                || Err(self.refuse(format!("`{written}` is no time such as 2026-01-31T12:00"))),
                |moment| Ok(Some(moment)),
            )
        };
        let (before, after) = (moment("before")?, moment("after")?);
        if before.is_none() && after.is_none() {
            return Ok(true);
        }
        let now: i64 = self.lua.load("return os.time()").call(())?;
        Ok(before.is_none_or(|before| now <= before) && after.is_none_or(|after| now >= after))
    }
}

fn names(table: &Table) -> mlua::Result<Vec<String>> {
    let several = table.raw_get::<Option<Table>>("nameA")?;
    match (table.raw_get("name")?, several) {
        (Value::Table(all), _) | (Value::Nil, Some(all)) => strings(&all),
        (Value::Nil, None) => Err(mlua::Error::RuntimeError("it names nothing".to_owned())),
        (name, _) => Ok(string(&name).into_iter().collect()),
    }
}

fn strings(table: &Table) -> mlua::Result<Vec<String>> {
    table.sequence_values::<mlua::LuaString>().map(|one| Ok(text(&one?))).collect()
}
