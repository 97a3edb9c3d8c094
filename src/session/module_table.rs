//! Lmod's module table: `_ModuleTable001_` …, base64 of a Lua table in pieces.

use std::collections::BTreeMap;
use std::path::PathBuf;

use base64::Engine as _;
use base64::engine::general_purpose::STANDARD;

use super::lua_table::{Table, Value, parse_assignment, write_table};
use super::{SessionError, SessionModule};
use crate::environment::Variables;

/// Characters in a piece, as Lmod cuts them (`utils.lua`, `build_MT_envT`).
const PIECE: usize = 512;

/// What a module table says.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct ModuleTable {
    /// Active modules in load order.
    pub modules: Vec<SessionModule>,
    /// `MODULEPATH` as the table knows it.
    pub modulepath: Vec<String>,
    /// `MODULEPATH` when Lmod first ran in the session.
    pub base_modulepath: Vec<String>,
    /// Families: name → short name of the member.
    pub families: Vec<(String, String)>,
}

/// Reads the table from its variables; `None` where there are none.
///
/// # Errors
/// [`SessionError::MissingPiece`], [`SessionError::NotBase64`], [`SessionError::Table`].
pub fn decode(environment: &Variables) -> Result<Option<ModuleTable>, SessionError> {
    let Some(text) = joined_pieces(environment)? else { return Ok(None) };
    let text = STANDARD.decode(text.trim_end()).map_err(|_| SessionError::NotBase64)?;
    let table = parse_assignment(&text, "_ModuleTable_").map_err(SessionError::Table)?;
    Ok(Some(read_table(&table)?))
}

fn joined_pieces(environment: &Variables) -> Result<Option<String>, SessionError> {
    let count = match environment.get("_ModuleTable_Sz_") {
        Some(text) => {
            let count = text.trim().parse::<u32>().ok().filter(|count| *count < 100_000);
            Some(count.ok_or_else(|| SessionError::PieceCount(text.clone()))?)
        }
        None => None,
    };
    let mut text = String::new();
    for index in 1.. {
        let name = format!("_ModuleTable{index:03}_");
        match (environment.get(&name), count) {
            (_, Some(count)) if index > count => break,
            (Some(piece), _) => text.push_str(piece),
            (None, Some(_)) => return Err(SessionError::MissingPiece(name)),
            (None, None) => break,
        }
    }
    Ok((!text.is_empty()).then_some(text))
}

pub(super) fn read_table(table: &Table) -> Result<ModuleTable, SessionError> {
    let mut modules = Vec::new();
    for (short_name, entry) in table.table("mT").into_iter().flat_map(|modules| &modules.named) {
        let Value::Table(entry) = entry else { continue };
        if entry.text("status") == Some("active") {
            modules.push(read_module(short_name, entry)?);
        }
    }
    modules.sort_by(|(a, _), (b, _)| a.total_cmp(b));
    let texts = |name| table.table(name).map(|table| texts(&table.list)).unwrap_or_default();
    let base = match table.named.get("systemBaseMPATH") {
        Some(Value::Text(path)) => super::split_path(path),
        _ => Vec::new(),
    };
    let families = table.table("family").into_iter().flat_map(|families| &families.named);
    let families = families.filter_map(|(family, member)| match member {
        Value::Text(member) => Some((family.clone(), member.clone())),
        _ => None,
    });
    Ok(ModuleTable {
        modules: modules.into_iter().map(|(_, module)| module).collect(),
        modulepath: texts("mpathA"),
        base_modulepath: base,
        families: families.collect(),
    })
}

fn texts(list: &[Value]) -> Vec<String> {
    list.iter()
        .filter_map(|value| match value {
            Value::Text(text) => Some(text.clone()),
            _ => None,
        })
        .collect()
}

/// The module and its load order. Version 2 of the table (Lmod 5 and 6) says `FN` for `fn`.
fn read_module(short_name: &str, entry: &Table) -> Result<(f64, SessionModule), SessionError> {
    let missing = |field| SessionError::ModuleWithout { module: short_name.to_owned(), field };
    let file = entry.text("fn").or_else(|| entry.text("FN")).ok_or_else(|| missing("fn"))?;
    let full_name = entry.text("fullName").ok_or_else(|| missing("fullName"))?;
    let depth = entry.number("stackDepth").unwrap_or(0.0).clamp(0.0, 1e6);
    let module = SessionModule {
        short_name: short_name.to_owned(),
        full_name: full_name.to_owned(),
        user_name: entry.text("userName").unwrap_or(full_name).to_owned(),
        file: PathBuf::from(file),
        #[allow(
            clippy::cast_possible_truncation,
            clippy::cast_sign_loss,
            reason = "clamped above"
        )]
        stack_depth: depth as u32,
        weighted_version: entry.text("wV").unwrap_or_default().to_owned(),
        reference_count: entry.number("ref_count").map(|count| {
            #[allow(clippy::cast_possible_truncation, clippy::cast_sign_loss, reason = "clamped")]
            let count = count.clamp(0.0, 1e6) as u32;
            count
        }),
        properties: properties(entry),
    };
    Ok((entry.number("loadOrder").unwrap_or(f64::MAX), module))
}

fn properties(entry: &Table) -> Vec<(String, String)> {
    let all = entry.table("propT").into_iter().flat_map(|all| &all.named);
    let pairs = all.filter_map(|(name, values)| match values {
        Value::Table(values) => {
            Some(values.named.keys().map(|value| (name.clone(), value.clone())))
        }
        _ => None,
    });
    pairs.flatten().collect()
}

/// The variables in which a Lmod that starts with them finds this table (version 3).
#[must_use]
pub fn encode(table: &ModuleTable) -> Variables {
    let mut text = "_ModuleTable_ = ".to_owned();
    write_table(&table_of(table), &mut text);
    text.push('\n');
    let text = STANDARD.encode(text);
    let pieces =
        text.as_bytes().chunks(PIECE).map(|piece| String::from_utf8_lossy(piece).into_owned());
    let mut variables: Variables = pieces
        .enumerate()
        .map(|(i, piece)| (format!("_ModuleTable{:03}_", i + 1), piece))
        .collect();
    variables.insert("_ModuleTable_Sz_".to_owned(), variables.len().to_string());
    variables
}

fn table_of(table: &ModuleTable) -> Table {
    let texts = |texts: &[String]| {
        let list = texts.iter().cloned().map(Value::Text).collect();
        Value::Table(Table { list, ..Table::default() })
    };
    let modules = table.modules.iter().enumerate();
    let modules = modules.map(|(i, m)| (m.short_name.clone(), Value::Table(entry_of(i, m))));
    let families = table.families.iter().map(|(f, m)| (f.clone(), Value::Text(m.clone())));
    let named = |named| Value::Table(Table { named, list: Vec::new() });
    let fields = [
        ("MTversion", Value::Number(3.0)),
        ("c_rebuildTime", Value::Boolean(false)),
        ("c_shortTime", Value::Boolean(false)),
        ("depthT", named([].into())),
        ("family", named(families.collect())),
        ("mT", named(modules.collect())),
        ("mpathA", texts(&table.modulepath)),
        ("systemBaseMPATH", Value::Text(table.base_modulepath.join(":"))),
    ];
    Table {
        named: fields.into_iter().map(|(name, value)| (name.to_owned(), value)).collect(),
        list: Vec::new(),
    }
}

fn property_table(module: &SessionModule) -> Table {
    let mut named: BTreeMap<String, Value> = BTreeMap::new();
    for (name, value) in &module.properties {
        let values = named.entry(name.clone()).or_insert_with(|| Value::Table(Table::default()));
        if let Value::Table(values) = values {
            values.named.insert(value.clone(), Value::Number(1.0));
        }
    }
    Table { named, list: Vec::new() }
}

fn entry_of(index: usize, module: &SessionModule) -> Table {
    let text = |text: &str| Value::Text(text.to_owned());
    let number = |number: u32| Value::Number(f64::from(number));
    let mut fields = vec![
        ("fn", text(&module.file.to_string_lossy())),
        ("fullName", text(&module.full_name)),
        ("loadOrder", number(u32::try_from(index + 1).unwrap_or(u32::MAX))),
        ("propT", Value::Table(property_table(module))),
        ("stackDepth", number(module.stack_depth)),
        ("status", text("active")),
        ("userName", text(&module.user_name)),
        ("wV", text(&module.weighted_version)),
    ];
    if let Some(count) = module.reference_count {
        fields.push(("ref_count", number(count)));
    }
    Table {
        named: fields.into_iter().map(|(name, value)| (name.to_owned(), value)).collect(),
        list: Vec::new(),
    }
}
