//! What an image's variables tell of the person who exports it.

use std::path::Path;

use super::finish::is_packed;
use super::frozen::Frozen;
use crate::base::Escaped;
use crate::environment::{Change, Operation};
use crate::rootfs::Rootfs;

/// A sentence for each variable of the image that leads into `home`, the exporting user's, to what
/// is not packed.
pub(super) fn warnings(frozen: &Frozen, home: &Path, rootfs: &Rootfs) -> Vec<String> {
    if !home.is_absolute() || home.parent().is_none() {
        return Vec::new();
    }
    let sentence = |(name, value): (&String, &String)| {
        let path = paths_below(home, value).find(|path| !is_packed(rootfs, Path::new(path)))?;
        let origin = origin(&frozen.evaluation.changes, name, path)?;
        Some(format!(
            "{} sets {} to a place in your home directory, `{}`, which the image does not have; whoever runs the image sees that path",
            Escaped(origin),
            Escaped(name),
            Escaped(path)
        ))
    };
    frozen.variables.iter().filter_map(sentence).collect()
}

/// The paths in `value` that are `home` or lie below it: `-I/home/jane/include` has one.
fn paths_below<'a>(home: &Path, value: &'a str) -> impl Iterator<Item = &'a str> {
    let home = home.to_string_lossy().trim_end_matches('/').to_owned();
    let starts: Vec<_> = value.match_indices(&home).map(|(at, _)| at).collect();
    starts.into_iter().filter_map(move |at| {
        let rest = value.get(at..)?;
        let path = rest.split([':', ';', ',', ' ', '"', '\'']).next()?;
        // `/home/janet` is somebody else's, `/data/home/jane` is another place
        let whole = path.get(home.len()..)?;
        let inside = value.get(..at)?.ends_with(|c: char| c.is_alphanumeric() || "/._".contains(c));
        let begins_option = value.get(..at)?.ends_with("-I") || value.get(..at)?.ends_with("-L");
        ((whole.is_empty() || whole.starts_with('/')) && (!inside || begins_option)).then_some(path)
    })
}

/// The module that gave `variable` the value which holds `path`.
fn origin<'a>(changes: &'a [Change], variable: &str, path: &str) -> Option<&'a str> {
    let holds = |text: &String| text.contains(path);
    let of_variable = changes.iter().rev().filter(|change| change.variable == variable);
    let mut setting = of_variable.filter(|change| match &change.operation {
        Operation::Set(value) | Operation::Push(value) => holds(value),
        Operation::Prepend(elements) | Operation::Append(elements) => elements.iter().any(holds),
        Operation::Unset | Operation::Remove(_) => false,
    });
    setting.next().map(|change| change.origin.as_str())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn paths_of_a_home_are_found_in_values_and_others_are_not() {
        for (value, want) in [
            ("/home/jane", &["/home/jane"][..]),
            ("/apps/bin:/home/jane/bin", &["/home/jane/bin"]),
            ("-I/home/jane/a -L/home/jane/b", &["/home/jane/a", "/home/jane/b"]),
            ("cache=/home/jane/c", &["/home/jane/c"]),
            ("/home/janet/bin", &[]),
            ("/data/home/jane/bin", &[]),
            ("", &[]),
        ] {
            let found: Vec<_> = paths_below(Path::new("/home/jane"), value).collect();
            assert_eq!(found, want, "{value}");
        }
    }
}
