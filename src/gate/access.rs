//! Files that not everybody may read where they come from.

use std::path::Path;

use crate::base::Escaped;
use crate::closure::Closed;

/// Files and directories that are named; the rest are counted.
const NAMED: usize = 5;

/// A sentence for each file or directory that others could not read at its source. In an image
/// everybody can. Where not `all` are wanted, the rest is counted.
#[must_use]
pub fn warnings(closed: &[Closed], all: bool) -> Vec<String> {
    let wanted = if all { closed.len() } else { NAMED };
    let groups = std::fs::read_to_string("/etc/group").unwrap_or_default();
    let sentence = |one: &Closed| {
        let what = if one.is_directory { " and what is in it" } else { "" };
        format!(
            "not everybody can read `{}`{what} where it comes from (mode {:04o}, group {}); in the image everybody can: see whether its licence lets you hand it on",
            Escaped(&one.path.to_string_lossy()),
            one.mode,
            group(&groups, one.group)
        )
    };
    let mut sentences: Vec<_> = closed.iter().take(wanted).map(sentence).collect();
    if let Some(one) = closed.get(wanted) {
        sentences.push(format!(
            "not everybody can read {} more files and directories where they come from, `{}` for one (--verbose names each)",
            closed.len() - wanted,
            Escaped(&Path::new(&one.path).to_string_lossy())
        ));
    }
    sentences
}

/// The name of a group, its number where the file of groups does not have it.
fn group(groups: &str, id: u32) -> String {
    let number = id.to_string();
    let name = groups.lines().find_map(|line| {
        let mut fields = line.split(':');
        let name = fields.next()?;
        (fields.nth(1)? == number).then(|| Escaped(name).to_string())
    });
    name.unwrap_or(number)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_group_has_its_name_where_that_is_known() {
        let groups = "root:x:0:\nvasp:x:1005:jane,joe\n:\n";
        assert_eq!(group(groups, 1005), "vasp");
        assert_eq!(group(groups, 7), "7");
    }

    #[test]
    fn only_the_first_are_named() {
        let closed = |number: u32| Closed {
            path: format!("/apps/{number}").into(),
            is_directory: number == 0,
            mode: 0o750,
            group: number,
        };
        let all: Vec<_> = (0..9).map(closed).collect();
        let sentences = warnings(&all, false);
        assert_eq!(sentences.len(), NAMED + 1);
        assert!(sentences[0].starts_with(
            "not everybody can read `/apps/0` and what is in it where it comes from (mode 0750, "
        ));
        assert!(sentences[NAMED].contains(" 4 more "), "{}", sentences[NAMED]);
        assert_eq!(warnings(&all, true).len(), all.len());
        assert_eq!(warnings(&[], false), [""; 0]);
    }
}
