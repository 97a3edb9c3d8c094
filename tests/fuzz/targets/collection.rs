//! A saved collection, as it lies in the home directory.
#![no_main]

use std::cell::OnceCell;

use libfuzzer_sys::fuzz_target;
use module_export::environment::Variables;
use module_export::session::{Collection, module_table};
use module_export_fuzz::Tree;

thread_local! {
    static HOME: OnceCell<Tree> = const { OnceCell::new() };
}

fuzz_target!(|data: &[u8]| {
    HOME.with(|home| {
        let home = home.get_or_init(Tree::default);
        home.write(".lmod.d/x", data);
        let environment: Variables = [("HOME".to_owned(), home.top())].into();
        if let Ok(collection) = Collection::read("x", &environment) {
            // What was understood can be a session's module table.
            let again = module_table::decode(&module_table::encode(&collection.table));
            let again = again.expect("our own text").expect("a table");
            assert_eq!(again.modules.len(), collection.table.modules.len());
        }
    });
});
