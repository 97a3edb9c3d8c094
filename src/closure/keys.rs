//! Licence keys: files that let a program run, unlike the licence texts that tell what it may be used for.

use std::io::Read as _;
use std::path::Path;

/// So much of a file is looked at, in bytes.
const LOOKED_AT: u64 = 64 << 10;
/// No such file has more bytes.
const LONGEST: u64 = 4 << 20;

/// First words of the lines of a `FlexNet` licence file.
///
/// Source: `FlexNet` Licensing End User Guide, "License File Format".
const FLEXNET: [&str; 7] =
    ["SERVER", "VENDOR", "DAEMON", "FEATURE", "INCREMENT", "USE_SERVER", "PACKAGE"];

/// Words of licence texts.
const PROSE: [&str; 6] =
    ["copyright", "redistribut", "permission is", "warrant", "licensed under", "agreement"];

/// Whether the file is a licence key, by its name and what it begins with.
pub(super) fn is_key(path: &Path, size: u64) -> bool {
    let name = path.file_name().unwrap_or_default().to_string_lossy().to_lowercase();
    if name == "mathpass" {
        return true;
    }
    let named = Path::new(&name).extension().is_some_and(|end| end == "lic")
        || ["license.dat", "licence.dat"].contains(&name.as_str());
    if !named || size == 0 || size > LONGEST {
        return false;
    }
    let mut begin = Vec::new();
    let read =
        std::fs::File::open(path).and_then(|file| file.take(LOOKED_AT).read_to_end(&mut begin));
    // whoever reads it says why it cannot be read
    read.is_ok() && (is_flexnet(&begin) || !is_prose(&begin))
}

/// Whether a file begins as a licence file of `FlexNet` does.
#[must_use]
pub fn is_flexnet(begin: &[u8]) -> bool {
    let text = String::from_utf8_lossy(begin);
    let mut lines = text.lines().map(str::trim);
    let first = lines.find(|line| !line.is_empty() && !line.starts_with('#'));
    let mut words = first.unwrap_or_default().split_whitespace();
    let Some(first) = words.next().filter(|word| FLEXNET.contains(word)) else { return false };
    let rest = words.count();
    match first {
        // SERVER host hostid [port]; the name of a feature, its vendor, version, date, number
        "SERVER" => (2..=4).contains(&rest),
        "FEATURE" | "INCREMENT" => rest >= 4,
        "USE_SERVER" => rest == 0,
        _ => {
            rest >= 1
                && text
                    .lines()
                    .any(|line| line.starts_with("FEATURE ") || line.starts_with("INCREMENT "))
        }
    }
}

fn is_prose(begin: &[u8]) -> bool {
    let text = String::from_utf8_lossy(begin).to_lowercase();
    PROSE.iter().any(|word| text.contains(word))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn keys_are_told_from_texts() {
        let directory = tempfile::tempdir().unwrap();
        for (name, text, want) in [
            ("license.dat", "SERVER lic1 001122334455 27000\nVENDOR x\n", true),
            ("x.lic", "# for Jane\n\nINCREMENT a b 1.0 permanent 4 SIGN=0\n", true),
            ("gurobi.lic", "TOKENSERVER=lic1\n", true),
            ("LICENSE.DAT", "FEATURE f1 sampled 1.000 01-jan-2027 10 SIGN=9\n", true),
            ("COPYING.lic", "Copyright 2020 Jane. Redistribution is allowed.\n", false),
            ("LICENSE", "SERVER lic1 001122334455 27000\n", false),
            ("empty.lic", "", false),
            ("mathpass", "!lic1", true),
        ] {
            let path = directory.path().join(name);
            std::fs::write(&path, text).unwrap();
            assert_eq!(is_key(&path, text.len() as u64), want, "{name}");
        }
        assert!(!is_flexnet(b"SERVER side includes are a matter of taste and of luck\n"));
        assert!(!is_flexnet(b"PACKAGE x\nthe rest\n"));
        assert!(!is_flexnet(b""));
    }
}
