use std::convert::Infallible;
use std::fs;

use super::*;

/// A directory of `MODULEPATH` with empty modulefiles.
fn place(files: &[&str]) -> tempfile::TempDir {
    let top = tempfile::tempdir().unwrap();
    for name in files {
        let (name, text) = name.split_once('=').unwrap_or((name, ""));
        let path = top.path().join(name);
        fs::create_dir_all(path.parent().unwrap()).unwrap();
        fs::write(path, text).unwrap();
    }
    top
}

fn names(places: &[&tempfile::TempDir]) -> Names {
    let rules = NameRules { extended_default: true, version: (9, 2, 9), ..NameRules::default() };
    let mut names = Names::new(rules);
    names.set_modulepath(places.iter().map(|one| one.path().display().to_string()).collect());
    let mut read = |path: &Path| -> Result<Vec<rc::Line>, Infallible> {
        Ok(crate::modulefile::tcl::parse_literal(&fs::read_to_string(path).unwrap()).unwrap())
    };
    names.scan(&|_| false, &mut read).unwrap();
    names
}

fn file(names: &Names, name: &str) -> Option<String> {
    let found = names.find((name, None), name, &Choice::Match).unwrap()?;
    Some(found.chosen?.full_name)
}

#[test]
fn a_name_means_the_highest_version_unless_one_is_marked() {
    let top = place(&[
        "x/1.9.lua",
        "x/1.10.lua",
        "x/2.0rc1.lua",
        "y/1.lua",
        "y/2.lua",
        "y/.version=#%Module\nset ModulesVersion 1",
        "z/.3.lua",
        "z/1.lua",
    ]);
    let names = names(&[&top]);
    for (name, want) in [
        ("x", Some("x/2.0rc1")),
        ("x/1", Some("x/1.10")),
        ("x/1.1", None),
        ("x/1.9", Some("x/1.9")),
        ("y", Some("y/1")),
        ("y/default", Some("y/1")),
        ("z", Some("z/1")),
        ("z/.3", Some("z/.3")),
        ("none", None),
    ] {
        assert_eq!(file(&names, name).as_deref(), want, "{name}");
    }
}

#[test]
fn the_marked_default_of_a_later_directory_wins() {
    let first = place(&["x/1.lua", "x/2.lua"]);
    let second = place(&["x/1.lua", "x/.version=#%Module\nset ModulesVersion 1"]);
    let names = names(&[&first, &second]);
    let found = names.find(("x/1", None), "x/1", &Choice::Match).unwrap().unwrap().chosen.unwrap();
    assert!(found.path.starts_with(second.path()));
    assert_eq!(file(&names, "x").as_deref(), Some("x/1"));
}

#[test]
fn with_versions_in_directories_the_first_place_decides() {
    let first = place(&["x/1.lua", "deep/64/1.lua", "deep/.version=#%Module"]);
    let second = place(&["x/2.lua"]);
    let names = names(&[&first, &second]);
    assert_eq!(file(&names, "x").as_deref(), Some("x/1"));
    assert_eq!(file(&names, "deep").as_deref(), Some("deep/64/1"));
    assert_eq!(file(&names, "deep/64").as_deref(), Some("deep/64/1"));
}

#[test]
fn bounds_choose_among_versions() {
    let top = place(&["x/1.0.lua", "x/2.0.lua", "x/3.0.lua"]);
    let names = names(&[&top]);
    let bound = |version: &str, open| Some((version.to_owned(), open));
    for (lower, upper, want) in [
        (bound("1.0", false), bound("2.0", false), Some("x/2.0")),
        (bound("1.0", false), bound("2.0", true), Some("x/1.0")),
        (bound("2.5", false), None, Some("x/3.0")),
        (bound("3.5", false), None, None),
    ] {
        let choice = Choice::Between(Bounds { lower, upper });
        let found = names.find(("x", None), "x", &choice).unwrap();
        let found = found.and_then(|found| found.chosen).map(|one| one.full_name);
        assert_eq!(found.as_deref(), want, "{choice:?}");
    }
}

proptest::proptest! {
    #[test]
    fn any_text_can_be_a_name_a_version_or_an_rc_file(text in "\\PC*|[-./0-9a-z{}\"#~ :]*") {
        proptest::prop_assert!(version::canonical(&text).ends_with("*zfinal"));
        crate::modulefile::tcl::parse_literal(&text);
        let top = place(&["x/1.0.lua", "é/2.lua", "n/64/1.lua", "n/.version=#%Module"]);
        let names = names(&[&top]);
        for name in [text.clone(), format!("x/{text}"), format!("é/{text}"), format!("n/64{text}")] {
            let found = names.find((&name, None), &names.resolve(&name).unwrap(), &Choice::Match).unwrap();
            if let Some(found) = found {
                assert!(name.starts_with(&found.short_name));
            }
            assert!(names.near(&name).len() <= 5);
        }
    }
}
