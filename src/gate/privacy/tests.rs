use super::*;
use crate::base::Epoch;
use crate::gate::Person;
use crate::rootfs::{File, ImagePath, Metadata};

/// What is seen in these files: path, source (none for a generated one), reason, text.
fn seen(files: &[(&str, bool, &str, &str)]) -> Vec<String> {
    let variables =
        [("WHO".to_owned(), "jane".to_owned()), ("AT".to_owned(), "mercury".to_owned())];
    seen_with(files, &variables.into())
}

fn seen_with(files: &[(&str, bool, &str, &str)], variables: &Variables) -> Vec<String> {
    let metadata = Metadata { mode: 0o755, mtime: Epoch::GENERATED };
    let mut rootfs = Rootfs::new(metadata);
    let mut texts = Vec::new();
    for (path, generated, reason, text) in files {
        let content = if *generated {
            Content::Bytes(text.as_bytes().to_vec())
        } else {
            Content::Host(path.into())
        };
        let size = text.len() as u64;
        let file = File { metadata, size, content, reason: (*reason).into() };
        rootfs.add_file(&ImagePath::new(path.as_bytes()).unwrap(), file).unwrap();
        texts.push(text.as_bytes().to_vec());
    }
    let person = Person::new(Some("/home/jane"), Some("jane"), &["mercury".to_owned()]);
    let scanner = Scanner::new(&person).unwrap();
    let search = Search {
        rootfs: &rootfs,
        published: Some(Path::new("/cvmfs/r")),
        scanner: &scanner,
        given: &["Jane <jane@example.org>".to_owned()],
        variables,
        bytes: &|id| texts.get(id.index()).cloned(),
        interrupt: &Interrupt::default(),
    };
    let found = search.leaks().unwrap();
    found
        .leaks
        .iter()
        .map(|leak| format!("{} {}", leak.path.display(), leak.sighting.line))
        .collect()
}

#[test]
fn what_is_made_here_and_what_is_the_sites_is_searched() {
    let all = "nothing\nby jane on mercury\n";
    for (path, generated, reason, text, want) in [
        (
            "/.module-export/env.json",
            true,
            "generated:",
            "\"WHO\": \"jane\"\n\"AT\": \"mercury\"",
            2,
        ),
        ("/.module-export/x.sh", true, "generated:", all, 0),
        ("/.module-export/a", true, "generated:", "Jane <jane@example.org>", 0),
        ("/apps/mf/a/1.lua", false, "modulefile:a/1", all, 2),
        ("/etc/x", false, "base:etc", all, 2),
        ("/apps/a/easybuild/a.eb", false, "module:a/1", all, 2),
        ("/apps/a/run.log", false, "module:a/1", all, 2),
        ("/apps/a/x.cfg", false, "module:a/1", all, 0),
        ("/apps/a/x.cfg", false, "module:a/1", "DB_PASSWD=realSecret77\n", 1),
        ("/apps/a/etc/a.sh", false, "module:a/1", "export X_TOKEN=a1B2c3D4e5F6\n", 1),
        ("/apps/a/.aws/creds", false, "module:a/1", "aws_secret_access_key = a1B2c3D4e5F6\n", 1),
        ("/apps/a/.pgpass", false, "module:a/1", "h:5432:*:jane:correct\n# a\n", 1),
        ("/apps/a/lib/site-packages/x.cfg", false, "module:a/1", "DB_PASSWD=realSecret77\n", 0),
        ("/home/jane/x/notes.txt", false, "include:/home/jane/x", "DB_PASSWD=realSecret77\n", 1),
        ("/home/jane/lib/x.py", false, "include:/home/jane", "DB_PASSWD=realSecret77\n", 0),
        ("/apps/a/x.xml", false, "module:a/1", "<a>/home/jane/y</a>", 1),
        ("/apps/a/x.cfg", false, "module:a/1", "/home/jane/x", 1),
        ("/apps/a/x.c", false, "module:a/1", "/home/jane/x", 0),
        ("/usr/share/x.cfg", false, "base:", "/home/jane/x", 0),
        ("/usr/local/x.cfg", false, "include:/usr/local", "/home/jane/x", 1),
        ("/cvmfs/r/mf/a/1.lua", false, "modulefile:a/1", all, 0),
        ("/apps/a/my-license", false, "module:a/1", "SERVER a 001122334455 1\n", 1),
    ] {
        let found = seen(&[(path, generated, reason, text)]);
        assert_eq!(found.len(), want, "{path}: {found:?}");
    }
}

#[test]
fn a_name_is_told_once_with_its_places_and_a_secret_never() {
    let leak =
        |path: &str, line, seen| Leak { path: path.into(), sighting: Sighting { line, seen } };
    let user = || Seen::User("jane".to_owned());
    let secret = || Seen::Secret("a password");
    let leaks = vec![
        leak("/a", 1, user()),
        leak("/a", 2, secret()),
        leak("/b", 3, user()),
        leak("/c", 4, secret()),
        leak("/.module-export/env.json", 5, secret()),
        leak("/.singularity.d/env/90.sh", 6, secret()),
    ];
    assert_eq!(
        sentences(&Found { leaks, partly: Vec::new() }, false),
        [
            "your user name (`jane`) stands in `/a`, line 1; `/b`, line 3: whoever has the image can read it",
            "what looks like a password stands in `/a`, line 2: whoever has the image can read it",
            "what looks like a password stands in `/c`, line 4: whoever has the image can read it",
            "what looks like a password stands in `/.module-export/env.json`, line 5; `/.singularity.d/env/90.sh`, line 6: whoever has the image can read it",
        ]
    );
}

#[test]
fn everything_is_named_where_all_is_wanted_and_what_was_not_searched_is_said() {
    let leak = |at: usize| Leak {
        path: format!("/{at:02}").into(),
        sighting: Sighting { line: 1, seen: Seen::Secret("a password") },
    };
    let found = Found { leaks: (0..45).map(leak).collect(), partly: vec!["/a.log".into()] };
    let few = sentences(&found, false);
    assert_eq!(few.len(), NAMED + 2);
    assert_eq!(few[NAMED], "25 more things of this kind were seen (--verbose names each)");
    assert!(
        few[NAMED + 1].starts_with("only the first 16.8 MB of `/a.log` were searched"),
        "{few:?}"
    );
    assert_eq!(sentences(&found, true).len(), 46);
}

#[test]
fn a_name_that_packed_paths_have_or_that_is_no_value_of_the_session_is_nobodys() {
    let text = "run it as jane\n";
    let log = ("/apps/a/run.log", false, "module:a/1", text);
    assert_eq!(seen(&[log]).len(), 1);
    assert_eq!(seen(&[log, ("/apps/jane/x", false, "module:a/1", "x")]), [""; 0]);
    let script = ("/.module-export/run.sh", true, "generated:", "WHO=jane\nask jane\n");
    assert_eq!(seen(&[script]), ["/.module-export/run.sh 1"]);
    assert_eq!(seen_with(&[script], &Variables::new()), [""; 0]);
}
