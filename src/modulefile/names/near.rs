//! Names near one that was not found.

use std::collections::BTreeMap;

/// How many names are suggested at most.
const MOST: usize = 5;

/// Returns names of `known` (short name → full names) that whoever typed `name` may have meant,
/// best first.
pub(crate) fn near(name: &str, known: &BTreeMap<&str, Vec<&str>>) -> Vec<String> {
    let (short, version) = split(name, known);
    if let Some(names) = known.get(short).filter(|_| !version.is_empty()) {
        return nearest(name, names.iter().copied().filter(|name| !is_hidden(name)), usize::MAX);
    }
    let candidates = known.keys().copied().filter(|name| !is_hidden(name));
    nearest(short, candidates, 1 + short.chars().count() / 4)
}

fn is_hidden(name: &str) -> bool {
    name.starts_with('.') || name.contains("/.")
}

/// `name` as the longest known short name and the rest.
fn split<'a>(name: &'a str, known: &BTreeMap<&str, Vec<&str>>) -> (&'a str, &'a str) {
    let mut short = name;
    while !known.contains_key(short) {
        match short.rsplit_once('/') {
            Some((before, _)) => short = before,
            None => return name.split_once('/').unwrap_or((name, "")),
        }
    }
    (short, name[short.len()..].trim_start_matches('/'))
}

fn nearest<'a>(name: &str, names: impl Iterator<Item = &'a str>, limit: usize) -> Vec<String> {
    let name = name.to_lowercase();
    let mut ranked: Vec<(usize, &str)> = names
        .filter_map(|candidate| {
            let lower = candidate.to_lowercase();
            let last = lower.rsplit('/').next().unwrap_or(&lower);
            let distance = distance(&name, &lower).min(distance(&name, last));
            let contained = name.len() >= 3 && lower.contains(&name);
            (contained || distance <= limit).then_some((distance, candidate))
        })
        .collect();
    ranked.sort_unstable();
    ranked.into_iter().take(MOST).map(|(_, name)| name.to_owned()).collect()
}

/// The number of letters to insert, delete or replace.
fn distance(a: &str, b: &str) -> usize {
    let b: Vec<char> = b.chars().take(128).collect();
    let mut row: Vec<usize> = (0..=b.len()).collect();
    for (i, x) in a.chars().take(128).enumerate() {
        let mut diagonal = i;
        let mut left = i + 1;
        if let Some(first) = row.first_mut() {
            *first = left;
        }
        for (y, cell) in b.iter().zip(row.iter_mut().skip(1)) {
            let above = *cell;
            let replaced = diagonal + usize::from(x != *y);
            left = replaced.min(above + 1).min(left + 1);
            diagonal = above;
            *cell = left;
        }
    }
    row.last().copied().unwrap_or(0)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_typing_error_finds_its_module() {
        let known = BTreeMap::from([
            ("GROMACS", vec!["GROMACS/2023.3", "GROMACS/2024.1"]),
            ("GCC", vec!["GCC/13.2.0"]),
            ("ScaLAPACK", vec!["ScaLAPACK/2.2.0"]),
            (".hidden", vec![".hidden/1"]),
        ]);
        for (name, want) in [
            ("gromacs", vec!["GROMACS"]),
            ("GROMCAS", vec!["GROMACS"]),
            ("lapack", vec!["ScaLAPACK"]),
            ("GROMACS/2024.2", vec!["GROMACS/2024.1", "GROMACS/2023.3"]),
            ("nothing-like-it", vec![]),
        ] {
            assert_eq!(near(name, &known), want, "{name}");
        }
    }
}
