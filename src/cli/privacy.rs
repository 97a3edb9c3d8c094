//! What the image would tell of the person who exports, and of the place.

use std::io::Read as _;
use std::time::Instant;

use super::args::Container;
use super::context::Context;
use super::frozen::Frozen;
use crate::assemble::Assembled;
use crate::gate::{self, LONGEST, Person, Scanner, Search, Seen};
use crate::rootfs::{Content, FileId};
use crate::stack::Stack;

/// A sentence for each thing that the user may not want to hand on and that none of the warnings
/// `before` names.
pub(super) fn warnings(
    context: &Context,
    words: &Container,
    assembled: &Assembled,
    frozen: &Frozen,
    before: &[String],
) -> anyhow::Result<Vec<String>> {
    let get = |name: &str| context.environment.get(name).map(String::as_str);
    let person = Person::new(get("HOME"), get("USER").or(get("LOGNAME")), &hosts());
    let scanner = Scanner::new(&person)?;
    let manifest = &assembled.manifest;
    // documents write name and address in ways of their own
    let parts = manifest.authors.iter().flat_map(|author| author.split(['<', '>']));
    let mut given: Vec<_> = manifest.authors.clone();
    given.extend(parts.map(|part| part.trim().to_owned()));
    given.extend([manifest.name.clone(), manifest.version.clone()]);
    let rootfs = &assembled.rootfs;
    let bytes = |id: FileId| match &rootfs.file(id).content {
        Content::Host(path) => {
            let mut bytes = Vec::new();
            std::fs::File::open(path).ok()?.take(LONGEST).read_to_end(&mut bytes).ok()?;
            Some(bytes)
        }
        Content::Bytes(bytes) => Some(bytes.clone()),
        Content::Part(_) | Content::Kept | Content::Late => None,
    };
    let search = Search {
        rootfs,
        published: match &frozen.stack {
            Stack::Eessi(eessi) => Some(&eessi.repository),
            Stack::Site => None,
        },
        scanner: &scanner,
        given: &given,
        variables: &frozen.variables,
        bytes: &bytes,
        interrupt: &context.interrupt,
    };
    let started = Instant::now();
    let mut found = search.leaks()?;
    log::debug!(
        "privacy: {} sightings, {:.3} s",
        found.leaks.len(),
        started.elapsed().as_secs_f64()
    );
    found.leaks.retain(|leak| match &leak.sighting.seen {
        Seen::Home(path) => !before.iter().any(|warning| warning.contains(path.as_str())),
        _ => true,
    });
    Ok(gate::sentences(&found, words.talk.names_all()))
}

/// The machine's name, the short one and those that its own file gives it.
fn hosts() -> Vec<String> {
    let name = rustix::system::uname().nodename().to_string_lossy().into_owned();
    let text = std::fs::read_to_string("/etc/hosts").unwrap_or_default();
    names_of(&name, &text)
}

fn names_of(name: &str, hosts: &str) -> Vec<String> {
    let short = name.split('.').next().unwrap_or(name);
    let mut names = vec![short.to_owned(), name.to_owned()];
    for line in hosts.lines() {
        let line = line.split('#').next().unwrap_or_default();
        let of_line: Vec<_> = line.split_whitespace().skip(1).collect();
        if of_line.contains(&name) || of_line.contains(&short) {
            let long = |other: &&&str| other.split('.').next() == Some(short);
            names.extend(of_line.iter().filter(long).map(|&other| other.to_owned()));
        }
    }
    names
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_machine_has_a_short_name_and_those_of_its_file() {
        let hosts = "127.0.0.1 localhost\n10.0.0.1 mercury.example.org mercury www # mercury.no\n";
        let mut names = names_of("mercury", hosts);
        names.dedup();
        assert_eq!(names, ["mercury", "mercury.example.org", "mercury"]);
        assert_eq!(names_of("a.b", ""), ["a", "a.b"]);
    }
}
