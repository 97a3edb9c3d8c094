//! A module as a call or the command line names it, and what the name means.

use std::collections::{BTreeMap, BTreeSet};
use std::path::PathBuf;

use super::Pin;
use super::evaluator::Evaluator;
use super::features::Feature;
use super::names::{Bounds, Choice, version, version_of};
use super::rules::Rules;
use super::state::{State, Status};

/// Where a name is looked up.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Realm {
    /// In `MODULEPATH`.
    Path,
    /// Among the modules of the session.
    Session,
}

/// A module as it is named.
#[derive(Debug, Clone)]
pub(super) struct Name {
    /// As typed; after a look-up with aliases resolved.
    pub(super) user: String,
    /// The alias or virtual module by which it was named.
    pub(super) alias: Option<String>,
    pub(super) realm: Realm,
    pub(super) choice: Choice,
    /// What it means, once looked up.
    pub(super) resolved: Option<Resolved>,
    /// Asked for by `depends_on`.
    pub(super) depends: bool,
    /// There is such a module, but no version of it fits.
    pub(super) unfit: bool,
}

/// What a name means.
#[derive(Debug, Clone, Default)]
pub(super) struct Resolved {
    pub(super) short_name: String,
    pub(super) version: Option<String>,
    /// `None`: the module has no version that fits.
    pub(super) file: Option<PathBuf>,
    pub(super) weight: String,
    pub(super) stack_depth: u32,
    /// Whether rc files name it as forbidden, and if so, whether it is now.
    pub(super) forbidden: Option<bool>,
    /// Whether it was named without the dots that hide it.
    pub(super) undotted: bool,
}

impl Resolved {
    pub(super) fn full_name(&self) -> String {
        match &self.version {
            Some(version) => format!("{}/{version}", self.short_name),
            None => self.short_name.clone(),
        }
    }
}

impl Name {
    pub(super) fn new(realm: Realm, name: &str) -> Self {
        Self::choosing(realm, name, Choice::Match)
    }

    pub(super) fn choosing(realm: Realm, name: &str, choice: Choice) -> Self {
        let user = name.trim().trim_end_matches('/');
        let user = user.strip_suffix(".lua").unwrap_or(user).to_owned();
        Self { user, alias: None, realm, choice, resolved: None, depends: false, unfit: false }
    }

    /// Forgets what the name meant.
    pub(super) fn reset(&mut self) {
        self.resolved = None;
    }

    pub(super) fn short_name(&self) -> Option<&str> {
        self.resolved.as_ref().map(|resolved| resolved.short_name.as_str())
    }

    pub(super) fn bounds(&self) -> Option<&Bounds> {
        match &self.choice {
            Choice::Between(bounds) => Some(bounds),
            _ => None,
        }
    }

    /// As an error message shows it.
    pub(super) fn show(&self) -> String {
        let quote = |end: &Option<(String, bool)>| {
            end.as_ref().map_or("nil".to_owned(), |(version, _)| format!("\"{version}\""))
        };
        match &self.choice {
            Choice::Match => self.user.clone(),
            Choice::Latest => format!("latest(\"{}\")", self.user),
            Choice::Between(Bounds { lower, upper: None }) => {
                format!("atleast(\"{}\",{})", self.user, quote(lower))
            }
            Choice::Between(Bounds { lower: None, upper }) => {
                format!("atmost(\"{}\",{})", self.user, quote(upper))
            }
            Choice::Between(Bounds { lower, upper }) => {
                format!("between(\"{}\",{},{})", self.user, quote(lower), quote(upper))
            }
        }
    }
}

/// Pinned modules by short name.
#[derive(Debug)]
pub(super) struct Pins<'a> {
    by_name: BTreeMap<&'a str, Vec<(usize, &'a Pin)>>,
}

impl<'a> Pins<'a> {
    pub(super) fn new(pins: &'a [Pin]) -> Self {
        let mut by_name: BTreeMap<&str, Vec<_>> = BTreeMap::new();
        for (at, pin) in pins.iter().enumerate() {
            let rest = pin.full_name.strip_prefix(&pin.short_name);
            let plain = rest.is_some_and(|rest| rest.is_empty() || rest.starts_with('/'));
            // A module whose full name is another one's may be meant by any name.
            let key = if plain { pin.short_name.as_str() } else { "" };
            by_name.entry(key).or_default().push((at, pin));
        }
        Self { by_name }
    }

    /// The pins that a name may mean, in their order.
    fn near(&self, name: &str) -> impl Iterator<Item = &'a Pin> {
        let ends = name.match_indices('/').map(|(at, _)| at).chain([0, name.len()]);
        let beginnings: BTreeSet<&str> = ends.filter_map(|end| name.get(..end)).collect();
        let found = beginnings.iter().filter_map(|one| self.by_name.get(one)).flatten();
        let in_order: BTreeMap<usize, &Pin> = found.copied().collect();
        in_order.into_values()
    }
}

impl State {
    /// The short name of the session's module that a name means.
    pub(super) fn in_session(&self, name: &str, newer: bool) -> Option<String> {
        let mut short_name = name;
        while self.module(short_name).is_none() {
            short_name = short_name.rsplit_once('/')?.0;
        }
        let entry = self.module(short_name)?;
        let full_name = &entry.full_name;
        let rest = full_name.strip_prefix(name);
        let means = name == short_name
            || name == full_name
            || rest.is_some_and(|rest| newer || rest.starts_with('/'))
            || (newer && is_version_prefix(name, full_name, short_name));
        means.then(|| short_name.to_owned())
    }

    fn resolve_in_session(&self, name: &str, newer: bool) -> Option<Resolved> {
        let short_name = self.in_session(name, newer)?;
        let entry = self.module(&short_name)?;
        Some(Resolved {
            version: version_of(&entry.full_name, &short_name).map(str::to_owned),
            file: Some(entry.file.clone()),
            weight: entry.weight.clone(),
            stack_depth: entry.stack_depth,
            short_name,
            forbidden: None,
            undotted: false,
        })
    }

    /// Whether a looked-up name means a module that is loaded or being loaded.
    pub(super) fn is_loaded(&self, name: &Name, rules: &Rules) -> bool {
        let newer = rules.have(Feature::VersionPrefixes);
        let Some(short_name) = name.short_name() else { return false };
        let Some(entry) = self.module(short_name) else { return false };
        if entry.status == Status::Inactive {
            return false;
        }
        if let Some(bounds) = name.bounds() {
            let loaded = weight(&entry.full_name, short_name);
            if rules.have(Feature::Ranges) {
                return bounds.contain(&loaded);
            }
            // Older versions overlook `<` here, and go on with the name that was chosen.
            if bounds.closed().contain(&loaded) {
                return true;
            }
        }
        name.user == short_name
            || name.user == entry.user_name
            || name.user == entry.full_name
            || (newer && is_version_prefix(&name.user, &entry.full_name, short_name))
    }
}

/// Whether `c/1` names a beginning of `c/1.0` that ends at a dot.
fn is_version_prefix(name: &str, full_name: &str, short_name: &str) -> bool {
    version_of(name, short_name).is_some()
        && full_name.strip_prefix(name).is_some_and(|rest| rest.starts_with('.'))
}

/// The weight of the version in `full_name`.
pub(super) fn weight(full_name: &str, short_name: &str) -> String {
    version::canonical(version_of(full_name, short_name).unwrap_or(""))
}

impl Evaluator<'_> {
    /// Looks a name up, unless that was done and found a modulefile.
    pub(super) fn look_up(&self, name: &mut Name) -> mlua::Result<()> {
        if name.resolved.as_ref().is_some_and(|resolved| resolved.file.is_some()) {
            return Ok(());
        }
        if name.realm == Realm::Session {
            let newer = self.rules.have(Feature::VersionPrefixes);
            name.resolved = self.state.borrow().resolve_in_session(&name.user, newer);
            return Ok(());
        }
        let depth = u32::try_from(self.state.borrow().frames.len()).unwrap_or(u32::MAX);
        if let Some(mut resolved) = self.pinned(name) {
            resolved.stack_depth = depth;
            name.resolved = Some(resolved);
            return Ok(());
        }
        if self.request.pinned_only && depth > 0 {
            return Ok(());
        }
        self.scan_modulepath()?;
        let resolved = self.names.borrow().resolve(&name.user);
        let resolved = resolved.map_err(|fault| self.refuse(fault.to_string()))?;
        let typed = std::mem::replace(&mut name.user, resolved);
        if typed != name.user {
            name.alias = Some(typed.clone());
        }
        self.ask_what_is_visible(&name.user)?;
        let found =
            self.names.borrow().find((&typed, name.alias.as_deref()), &name.user, &name.choice);
        let found = found.map_err(|fault| self.refuse(fault.to_string()))?;
        name.unfit = found.as_ref().is_some_and(|found| found.chosen.is_none())
            && self.rules.have(Feature::ForgetsUnfound);
        let found = found.filter(|_| !name.unfit);
        name.resolved = found.map(|found| self.accept(name, found, depth));
        Ok(())
    }

    fn accept(&self, name: &mut Name, found: super::names::Found, depth: u32) -> Resolved {
        let mut resolved = Resolved {
            short_name: found.short_name,
            stack_depth: depth,
            forbidden: found.forbidden,
            ..Resolved::default()
        };
        if let Some(chosen) = found.chosen {
            resolved.undotted = chosen.hidden_version.is_some();
            resolved.version = chosen.hidden_version.or_else(|| chosen.version.clone());
            resolved.file = Some(chosen.path);
            resolved.weight = chosen.weight;
            let chose = name.choice != Choice::Match;
            let stands = found.stands_for.is_some();
            name.alias = found.stands_for.or(name.alias.take());
            let newer = self.rules.have(Feature::WholeUserName)
                && (stands || name.user != resolved.short_name);
            if chose || newer {
                let typed = found.version.filter(|_| self.rules.have(Feature::DotHiddenAlias));
                let version = chosen.version.or(typed);
                name.user = Resolved { version, ..resolved.clone() }.full_name();
            }
            resolved.version = chosen.shown_version.or(resolved.version);
        }
        resolved
    }

    /// The pinned module that a name means.
    fn pinned(&self, name: &Name) -> Option<Resolved> {
        let boundary = ['-', '+', '_', '.', '=', '/'];
        let pin = self.pins.near(&name.user).find(|pin| {
            let whole = name.user == pin.short_name || name.user == pin.full_name;
            let begins = || {
                let rest = pin.full_name.strip_prefix(&name.user)?;
                (name.user.len() > pin.short_name.len() && rest.starts_with(boundary)).then_some(())
            };
            let within = name
                .bounds()
                .is_none_or(|bounds| bounds.contain(&weight(&pin.full_name, &pin.short_name)));
            (whole || begins().is_some()) && within
        })?;
        Some(Resolved {
            short_name: pin.short_name.clone(),
            version: version_of(&pin.full_name, &pin.short_name).map(str::to_owned),
            file: Some(pin.file.clone()),
            weight: weight(&pin.full_name, &pin.short_name),
            stack_depth: 0,
            forbidden: None,
            undotted: false,
        })
    }
}
