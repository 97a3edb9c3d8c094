//! Modulefiles that ask who loads them, and variables that lead to licences.

use std::path::Path;

use crate::base::Escaped;
use crate::environment::Variables;

/// Calls by which a modulefile lets only some people in. Sources: Lmod's `userInGroup` and
/// `userInGroups`; `module-info usergroups` and `username` of Environment Modules.
const CALLS: [&str; 4] =
    ["userInGroup", "module-info usergroups", "module-info  usergroups", "module-info username"];

/// Ends of names of variables that lead to a licence. Sources: `FlexNet`'s `*_LICENSE_FILE` and
/// `LM_LICENSE_FILE`, RLM's `RLM_LICENSE`.
const LICENCES: [&str; 4] = ["LICENSE_FILE", "LICENSE_SERVER", "LICENSE_SERVERS", "RLM_LICENSE"];

/// A sentence for each modulefile, of the module with this name, that asks who loads it.
pub fn modulefiles<'a>(modules: impl IntoIterator<Item = (&'a str, &'a Path)>) -> Vec<String> {
    let sentence = |(name, file): (&str, &Path)| {
        let text = std::fs::read(file).ok()?;
        let line = guard(&String::from_utf8_lossy(&text))?;
        Some(format!(
            "the module {} is for members of a group (`{}`, line {line}): see whether you may hand it on",
            Escaped(name),
            Escaped(&file.to_string_lossy())
        ))
    };
    modules.into_iter().filter_map(sentence).collect()
}

/// The line of a modulefile that asks who loads it.
fn guard(text: &str) -> Option<usize> {
    let asks = |line: &str| {
        let code = line.trim_start();
        let is_comment = code.starts_with("--") || code.starts_with('#');
        !is_comment && CALLS.iter().any(|call| code.contains(call))
    };
    text.lines().position(asks).map(|at| at + 1)
}

/// A sentence for each variable of the image that leads to a licence.
#[must_use]
pub fn licence_variables(variables: &Variables) -> Vec<String> {
    let leads = |name: &str| LICENCES.iter().any(|end| name.ends_with(end));
    let set = variables.iter().filter(|(name, value)| leads(name) && !value.is_empty());
    let sentence = |(name, value): (&String, &String)| {
        format!(
            "the image sets {} to `{}`: where it runs there may be no such licence, and whoever has it sees the name",
            Escaped(name),
            Escaped(value)
        )
    };
    set.map(sentence).collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn calls_count_and_comments_do_not() {
        for (text, want) in [
            ("help([[x]])\nif not userInGroup(\"vasp\") then\n", Some(2)),
            ("if (userInGroups('a','b')) then end", Some(1)),
            ("#%Module\nif { [module-info usergroups vasp] } {\n", Some(2)),
            ("-- userInGroup(\"vasp\")\n  -- userInGroup\n", None),
            ("#%Module\n# module-info usergroups\nsetenv A b\n", None),
        ] {
            assert_eq!(guard(text), want, "{text}");
        }
    }

    #[test]
    fn variables_of_licences_are_known_by_their_ends() {
        let variables = ["LM_LICENSE_FILE", "MLM_LICENSE_FILE", "LICENSE", "X_LICENSE_FILES"];
        let mut variables: Variables =
            variables.map(|name| (name.to_owned(), "1@lic".to_owned())).into();
        variables.insert("EMPTY_LICENSE_FILE".to_owned(), String::new());
        let sentences = licence_variables(&variables);
        assert_eq!(sentences.len(), 2, "{sentences:?}");
        assert!(sentences[0].starts_with("the image sets LM_LICENSE_FILE to `1@lic`"));
    }
}
