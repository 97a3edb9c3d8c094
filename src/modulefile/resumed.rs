//! Going on from a session, with the modules that are loaded there.

use crate::session::{Session, module_table};

use super::evaluator::Evaluator;
use super::loading::pending;
use super::naming::{Name, Realm, weight};
use super::state::Entry;

impl Evaluator<'_> {
    /// Puts the modules that the environment shows as loaded into the module table. What a script
    /// did there (`source_sh`), and which modules `depends_on_any` and `inherit` chose, is not known.
    pub(super) fn resume_session(&self) -> mlua::Result<()> {
        let environment = &self.request.environment;
        let session = Session::capture(environment.clone());
        let modules = session.map_err(|error| self.refuse(error.to_string()))?.modules;
        let table = module_table::decode(environment).ok().flatten();
        let families = table.map(|table| table.families).unwrap_or_default();
        let mut state = self.state.borrow_mut();
        for module in modules {
            let short_name = module.short_name;
            let own = families.iter().filter(|(_, member)| *member == short_name);
            let mut entry = Entry {
                stack_depth: module.stack_depth,
                reference_count: module.reference_count.map(i64::from),
                weight: weight(&module.full_name, &short_name),
                families: own.map(|(family, _)| family.clone()).collect(),
                user_name: module.user_name,
                full_name: module.full_name,
                ..pending(&Name::new(Realm::Session, &short_name), &module.file)
            };
            if !module.weighted_version.is_empty() {
                entry.weight = module.weighted_version;
            }
            for (property, value) in module.properties {
                entry.properties.entry(property).or_default().insert(value);
            }
            state.set_module(&short_name, Some(entry));
            state.activate(&short_name);
        }
        for (family, member) in families {
            state.set_family(&family, Some(&member));
        }
        Ok(())
    }
}
