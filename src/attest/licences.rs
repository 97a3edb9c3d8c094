//! Who may do what with the parts of an image, and where they come from.

use std::fmt::Write as _;

use serde::Serialize;

use crate::base::Escaped;
use crate::stack::Source;

/// A part of an image that has a licence of its own.
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize)]
pub struct Component {
    /// `module`, `package` of a compatibility layer or a distribution, `base` that others made.
    pub kind: &'static str,
    /// `GCC/13.2.0`, `app-shells/bash`.
    pub name: String,
    /// Its version; `None` if nobody says it.
    pub version: Option<String>,
    /// As its easyconfig or its package database says; `None` if these say nothing.
    pub license: Option<String>,
    /// Its page.
    pub homepage: Option<String>,
    /// What it was built from.
    pub sources: Vec<Source>,
    /// Paths in the image of its licences, of who made it, and of what it has to tell.
    pub license_files: Vec<String>,
}

/// The index.
#[derive(Serialize)]
struct Index<'a> {
    schema_version: u32,
    components: &'a [Component],
}

/// Licence files of a part that are shown to people; the rest are counted.
const SHOWN: usize = 8;

/// `index.json`: every part, in the order given.
#[must_use]
pub fn index(components: &[Component]) -> String {
    let index = Index { schema_version: 1, components };
    // a value that was built here can be written
    serde_json::to_string_pretty(&index).unwrap_or_default() + "\n"
}

/// `README.txt`: the same for people.
#[must_use]
pub fn readme(components: &[Component]) -> String {
    let mut text = String::from(
        "Licences, sources and checksums of what this image holds, as the easyconfigs of its modules\n\
         and the package databases of what lies under them state them. \"not stated\" means that these\n\
         say nothing, not that there is no licence. The same is in index.json. Licence files of\n\
         everything packed are in the image; texts/, if it is there, has those that packages name.\n",
    );
    for component in components {
        // writing to a String cannot fail
        // names of files and texts of easyconfigs are read at a terminal
        let _ = write!(text, "\n{} {}\n", component.kind, Escaped(&component.name));
        let stated = |value: &Option<String>| value.clone().unwrap_or("not stated".to_owned());
        for (what, value) in [
            ("version", stated(&component.version)),
            ("licence", stated(&component.license)),
            ("homepage", stated(&component.homepage)),
        ] {
            let _ = writeln!(text, "    {what:<9} {}", Escaped(&value));
        }
        if component.sources.is_empty() {
            text.push_str("    source    not stated\n");
        }
        for source in &component.sources {
            let checksum = source.checksum.as_deref().unwrap_or("checksum not stated");
            let (address, checksum) = (Escaped(&source.address), Escaped(checksum));
            let _ = writeln!(text, "    source    {address}\n              {checksum}");
        }
        for file in component.license_files.iter().take(SHOWN) {
            let _ = writeln!(text, "    file      {}", Escaped(file));
        }
        if component.license_files.len() > SHOWN {
            let _ = writeln!(text, "    and {} more files", component.license_files.len() - SHOWN);
        }
    }
    text
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_is_not_stated_is_said_to_be_so() {
        let known = Component {
            kind: "module",
            name: "zlib/1.2.13".to_owned(),
            version: Some("1.2.13".to_owned()),
            license: Some("Zlib".to_owned()),
            homepage: Some("https://zlib.net/".to_owned()),
            sources: vec![Source {
                address: "https://zlib.net/zlib-1.2.13.tar.gz".to_owned(),
                checksum: Some("sha256:ab".to_owned()),
            }],
            license_files: (0..10).map(|at| format!("/p/LICENSE{at}")).collect(),
        };
        let unknown = Component { kind: "package", name: "x".to_owned(), ..Component::default() };
        let components = [known, unknown];
        let text = readme(&components);
        let (_, list) = text.split_once("\n\n").unwrap();
        let files: String =
            (0..8).map(|at| ["    file      /p/LICENSE", &at.to_string(), "\n"].concat()).collect();
        assert_eq!(
            list,
            format!(
                "module zlib/1.2.13\n    version   1.2.13\n    licence   Zlib\n    homepage  https://zlib.net/\n    source    https://zlib.net/zlib-1.2.13.tar.gz\n              sha256:ab\n{files}    and 2 more files\n\npackage x\n    version   not stated\n    licence   not stated\n    homepage  not stated\n    source    not stated\n"
            )
        );
        let index: serde_json::Value = serde_json::from_str(&index(&components)).unwrap();
        assert_eq!(index["components"][0]["sources"][0]["checksum"], "sha256:ab");
        assert!(index["components"][1]["license"].is_null());
    }

    #[test]
    fn nothing_that_a_terminal_obeys_is_written_for_people() {
        let bad = "a\u{1b}[31m\u{202e}\nb".to_owned();
        let component = Component {
            kind: "module",
            name: bad.clone(),
            version: Some(bad.clone()),
            license: Some(bad.clone()),
            homepage: Some(bad.clone()),
            sources: vec![Source { address: bad.clone(), checksum: Some(bad.clone()) }],
            license_files: vec![bad],
        };
        let text = readme(&[component]);
        assert_eq!(text.matches("a\\u{1b}[31m\\u{202e}\\nb").count(), 7, "{text}");
        assert!(!text.contains('\u{1b}') && !text.contains('\u{202e}'), "{text}");
    }
}
