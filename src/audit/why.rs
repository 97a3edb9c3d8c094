//! Why something is in an image: from its reason to what the user asked for.

use std::collections::{BTreeMap, BTreeSet, VecDeque};
use std::ffi::OsStr;
use std::path::{Path, PathBuf};

use serde::Serialize;

use super::{Listing, Module};
use crate::closure::Cause;
use crate::environment::Variables;

/// What an image tells of itself, as far as reasons lead there.
#[derive(Debug, Clone, Copy)]
pub struct Background<'a> {
    /// The list of its files.
    pub listing: &'a Listing,
    /// Its modules, in load order.
    pub modules: &'a [Module],
    /// The environment in which programs start.
    pub environment: &'a Variables,
    /// The compatibility layer under its modules.
    pub layer: Option<&'a Path>,
    /// EESSI's version, where it is EESSI.
    pub stack_version: Option<&'a str>,
    /// What a base of one's own is called.
    pub base: Option<&'a str>,
}

/// What a step of a chain is about.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Serialize)]
#[serde(rename_all = "lowercase")]
pub enum About {
    /// A file, link, FIFO or socket in the image.
    File,
    /// A module.
    Module,
}

/// A step of a chain: something, and why it is there.
#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
pub struct Step {
    /// What this is about.
    pub subject: About,
    /// Its path, or the module's full name.
    #[serde(serialize_with = "crate::base::path_text::one")]
    pub name: PathBuf,
    /// For a file as the image's list says it; for a module `requested:`, `dependency:NAME` or `loaded:`.
    pub reason: String,
    /// The reason as a sentence without a full stop.
    pub says: String,
}

/// From something in the image to what needs no reason.
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize)]
pub struct Chain {
    /// Each is there for the next one's sake.
    pub steps: Vec<Step>,
    /// Whether the last one needs no other; if not, the image does not tell more.
    pub complete: bool,
}

/// Directories of this machine's data, and what they are, by the word of their reason.
const DATA: [(&str, &str); 10] = [
    ("layout", "this machine keeps programs and libraries under such names"),
    ("locale", "the C library reads it for the locale of the image"),
    ("timezone", "programs look up time zones in it"),
    ("certificates", "programs check certificates with it"),
    ("gconv", "the C library converts character sets with it"),
    ("terminfo", "programs look up terminals in it"),
    ("libc", "the C library opens it by its name"),
    ("libraries", "the loader finds the packed libraries by it"),
    ("lmod", "it belongs to the session's Lmod, by which `module` works"),
    ("tclsh", "Lmod reads modulefiles in Tcl by it"),
];

impl Background<'_> {
    /// The chain of what the list has at `path`, links not followed; empty if it has nothing.
    #[must_use]
    pub fn chain(&self, path: &Path) -> Chain {
        let mut chain = Chain::default();
        let mut seen = BTreeSet::new();
        let mut at = path.to_owned();
        if Listing::is_unlisted(path) {
            let says = "it was made for the image, and tells of all other files".to_owned();
            let reason = Cause::Generated.to_string();
            chain.steps.push(Step { subject: About::File, name: at, reason, says });
            chain.complete = true;
            return chain;
        }
        while seen.insert(at.clone()) {
            let Some((_, reason)) = self.listing.get(&at) else { break };
            let cause = Cause::parse(reason);
            chain.steps.push(Step {
                subject: About::File,
                name: at.clone(),
                reason: reason.to_owned(),
                says: self.sentence(&cause, &at),
            });
            if let Some(name) = cause.module() {
                self.add_modules(name, &mut chain);
                break;
            }
            let Some(user) = cause.user() else {
                chain.complete = true;
                break;
            };
            at = self.place_of(user, &cause);
        }
        chain
    }

    /// Where the list has what a reason calls `user`: links on the way may lead elsewhere, as in a
    /// base that others made.
    fn place_of(&self, user: &Path, cause: &Cause) -> PathBuf {
        if self.listing.get(user).is_some() {
            return user.to_owned();
        }
        let way = self.listing.follow(user);
        match (cause, way.links.last()) {
            (Cause::Link(_), Some((link, _))) => link.clone(),
            _ => way.end,
        }
    }

    /// Adds the modules from the one called `name` to one that was asked for.
    fn add_modules(&self, name: &str, chain: &mut Chain) {
        let by_name: BTreeMap<&str, &Module> =
            self.modules.iter().map(|module| (&*module.name, module)).collect();
        let Some(first) = by_name.get(name) else { return };
        // the shortest way, by the modules that were loaded first
        let mut through: BTreeMap<&str, Option<&Module>> = [(name, None)].into();
        let mut open = VecDeque::from([*first]);
        let mut end = *first;
        while let Some(module) = open.pop_front() {
            end = module;
            if module.requested {
                break;
            }
            let users = self.modules.iter().filter(|user| user.dependencies.contains(&module.name));
            for user in users {
                through.entry(&user.name).or_insert_with(|| {
                    open.push_back(user);
                    Some(module)
                });
            }
        }
        if !end.requested {
            end = first;
        }
        let mut way = vec![end];
        while let Some(Some(before)) = way.last().and_then(|module| through.get(&*module.name)) {
            way.push(before);
        }
        way.reverse();
        let users = way.iter().skip(1).map(Some).chain([None]);
        for (module, user) in way.iter().zip(users) {
            let (reason, says) = match user {
                Some(user) => (
                    format!("dependency:{}", user.name),
                    format!("the module {} loads it or depends on it", user.name),
                ),
                None if module.requested => {
                    ("requested:".to_owned(), "the user asked for it".to_owned())
                }
                None => (
                    "loaded:".to_owned(),
                    "the session had it loaded, by a module that is not there any more".to_owned(),
                ),
            };
            let name = PathBuf::from(&module.name);
            chain.steps.push(Step { subject: About::Module, name, reason, says });
        }
        chain.complete = true;
    }

    /// Why what is at `path` is there.
    fn sentence(&self, cause: &Cause, path: &Path) -> String {
        let shown = |path: &Path| path.to_string_lossy().into_owned();
        let is_called = |name: &OsStr| path.file_name() == Path::new(name).file_name();
        match cause {
            Cause::Module(name) => self.of_module(name, path),
            Cause::Modulefile(name) => {
                let is_it = self.modules.iter().any(|m| m.name == *name && m.modulefile == path);
                let what = if is_it { "it is" } else { "it gives names, versions or defaults to" };
                format!("{what} the modulefile of {name}")
            }
            Cause::Library { name, user } if Path::new(name).is_absolute() => {
                format!("it loads the program `{}`", shown(user))
            }
            Cause::Library { name, user } => {
                format!("`{}` needs the library `{}`", shown(user), name.to_string_lossy())
            }
            Cause::Link(link) => format!("the link `{}` leads to it", shown(link)),
            Cause::BaseScript { name, user } => {
                let (is_it, name) = (is_called(name), name.to_string_lossy());
                let what = if is_it { "it runs" } else { "it belongs to what runs" };
                format!("{what} the script `{}`, which asks for `{name}`", shown(user))
            }
            Cause::Script(user) => format!("the script `{}` names it", shown(user)),
            Cause::Interpreter(user) => {
                format!("it is of the standard library of the interpreter `{}`", shown(user))
            }
            Cause::Constant(user) => format!("the program `{}` has its path in it", shown(user)),
            Cause::Environment(name) => format!("the variable {name} of the image names it"),
            Cause::Base(name) => match DATA.iter().find(|(word, _)| word == name) {
                Some((_, says)) => format!("base of this machine: {says}"),
                None => format!(
                    "base of this machine: `{name}` is one of the tools that every such image has"
                ),
            },
            Cause::Beneath => match self.base {
                Some(base) => format!("it came with the base `{base}`"),
                None => "it came with the base".to_owned(),
            },
            Cause::Core(name) => format!("`{name}` is of the core that a slim base keeps"),
            Cause::Layer(layer) => self.of_layer(layer),
            Cause::Init(stack) => {
                let stack = if stack == "eessi" { "EESSI" } else { stack };
                format!("a session of {stack} reads it when it starts")
            }
            Cause::Include(asked) => format!("the user asked for it: --include {}", shown(asked)),
            Cause::Generated => "it was made for the image".to_owned(),
            Cause::Other(text) => format!("the image says no more than `{text}`"),
        }
    }

    fn of_module(&self, name: &str, path: &Path) -> String {
        let module = self.modules.iter().find(|module| module.name == name);
        let mut prefixes = module.iter().flat_map(|module| &module.prefixes);
        let Some(prefix) = prefixes.find(|prefix| path.starts_with(prefix)) else {
            return format!("it belongs to the installation of the module {name}");
        };
        let shown = prefix.to_string_lossy();
        let named = self.variable(prefix).map(|name| format!(", which {name} names"));
        let named = named.unwrap_or_default();
        format!("it lies in the installation of the module {name} (`{shown}`{named})")
    }

    /// The variable that names this directory: one for it alone, else one in whose list it, or a
    /// directory in it, is.
    fn variable(&self, directory: &Path) -> Option<&str> {
        let mut variables = self.environment.iter();
        let alone = variables.find(|(_, value)| Path::new(value) == directory);
        let mut variables = self.environment.iter();
        let listed = || {
            variables.find(|(_, value)| {
                value.split(':').any(|element| Path::new(element).starts_with(directory))
            })
        };
        alone.or_else(listed).map(|(name, _)| name.as_str())
    }

    fn of_layer(&self, layer: &Path) -> String {
        let shown = layer.to_string_lossy();
        match self.stack_version {
            Some(version) if self.layer == Some(layer) => format!(
                "it belongs to the compatibility layer `{shown}`, which lies under all software of EESSI {version}"
            ),
            Some(_) => format!(
                "it belongs to the compatibility layer `{shown}`, in which the session's Lmod lies"
            ),
            None => format!("it belongs to the compatibility layer `{shown}`"),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn module(name: &str, requested: bool, dependencies: &[&str]) -> Module {
        Module {
            name: name.to_owned(),
            requested,
            modulefile: format!("/m/{name}.lua").into(),
            prefixes: vec![format!("/sw/{name}").into()],
            dependencies: dependencies.iter().map(|&name| name.to_owned()).collect(),
        }
    }

    /// The steps as `name: reason`, and whether they are all.
    fn shown(chain: &Chain) -> Vec<String> {
        let steps = chain.steps.iter();
        let mut lines: Vec<_> =
            steps.map(|step| format!("{}: {}", step.name.display(), step.reason)).collect();
        lines.push(chain.complete.to_string());
        lines
    }

    #[test]
    fn chains_lead_to_what_was_asked_for_and_never_round_in_a_circle() {
        let rows = [
            ("/sw/zlib/1/lib/libz.so", "module:zlib/1"),
            ("/m/app/1.lua", "modulefile:app/1"),
            ("/usr/lib/liba.so", "library:liba.so for /sw/zlib/1/lib/libz.so"),
            ("/usr/bin/python3", "base:python3 for /sw/app/1/bin/script"),
            ("/sw/app/1/bin/script", "module:app/1"),
            ("/usr/lib/one", "link:/usr/lib/two"),
            ("/usr/lib/two", "link:/usr/lib/one"),
            ("/usr/lib/astray", "library:x.so for /none"),
            ("/usr/lib/lost", "module:none/1"),
            ("/usr/lib/old", "module:old/1"),
            ("/etc/new", "new:kind"),
        ];
        let line = |(path, reason): &(&str, &str)| {
            format!("{{\"path\":\"{path}\",\"target\":\"x\",\"reason\":\"{reason}\"}}\n")
        };
        let text: String = rows.iter().map(line).collect();
        let listing = Listing::parse(text.as_bytes()).unwrap();
        let modules = [
            module("zlib/1", false, &[]),
            module("lib/1", false, &["zlib/1"]),
            module("tool/1", false, &["zlib/1", "lib/1"]),
            module("app/1", true, &["tool/1"]),
            module("old/1", false, &[]),
        ];
        let environment: Variables = [("EBROOTZLIB".to_owned(), "/sw/zlib/1".to_owned())].into();
        let background = Background {
            listing: &listing,
            modules: &modules,
            environment: &environment,
            layer: None,
            stack_version: None,
            base: None,
        };
        let zlib =
            ["zlib/1: dependency:tool/1", "tool/1: dependency:app/1", "app/1: requested:", "true"];
        for (path, first, rest) in [
            ("/sw/zlib/1/lib/libz.so", &[][..], &zlib[..]),
            ("/m/app/1.lua", &[], &["app/1: requested:", "true"]),
            ("/usr/lib/liba.so", &["/sw/zlib/1/lib/libz.so: module:zlib/1"], &zlib),
            (
                "/usr/bin/python3",
                &["/sw/app/1/bin/script: module:app/1"],
                &["app/1: requested:", "true"],
            ),
            ("/usr/lib/one", &["/usr/lib/two: link:/usr/lib/one"], &["false"]),
            ("/usr/lib/astray", &[], &["false"]),
            ("/usr/lib/lost", &[], &["false"]),
            ("/usr/lib/old", &[], &["old/1: loaded:", "true"]),
            ("/etc/new", &[], &["true"]),
        ] {
            let (_, reason) = rows.iter().find(|(row, _)| *row == path).unwrap();
            let itself = format!("{path}: {reason}");
            let want: Vec<&str> =
                [&*itself].into_iter().chain(first.iter().chain(rest).copied()).collect();
            assert_eq!(shown(&background.chain(Path::new(path))), want, "{path}");
        }
        assert_eq!(shown(&background.chain(Path::new("/none"))), ["false"]);
        let says = &background.chain(Path::new("/sw/zlib/1/lib/libz.so")).steps[0].says;
        assert!(says.ends_with("zlib/1 (`/sw/zlib/1`, which EBROOTZLIB names)"), "{says}");
    }
}
