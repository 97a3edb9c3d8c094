//! The session's module table, as the environment gives it.
#![no_main]

use base64::Engine as _;
use base64::engine::general_purpose::STANDARD;
use libfuzzer_sys::fuzz_target;
use module_export::environment::Variables;
use module_export::session::{Session, module_table};

fuzz_target!(|data: &[u8]| {
    let Some((&kind, data)) = data.split_first() else { return };
    // As Lmod writes it, or as it is; in pieces of some length, or with a count that is wrong.
    let text = if kind & 1 == 0 {
        STANDARD.encode(data)
    } else {
        String::from_utf8_lossy(data).into_owned()
    };
    let length = usize::from(kind >> 2).max(1) * 8;
    let letters: Vec<char> = text.chars().collect();
    let pieces: Vec<String> = letters.chunks(length).map(|piece| piece.iter().collect()).collect();
    let mut environment = Variables::new();
    let count = pieces.len() + usize::from(kind & 2 != 0);
    environment.insert("_ModuleTable_Sz_".to_owned(), count.to_string());
    for (at, piece) in pieces.into_iter().enumerate() {
        environment.insert(format!("_ModuleTable{:03}_", at + 1), piece);
    }
    if let Ok(Some(table)) = module_table::decode(&environment) {
        // What was understood can be written and is understood again.
        let again = module_table::decode(&module_table::encode(&table));
        assert_eq!(again.expect("our own text").expect("a table").modules.len(), table.modules.len());
    }
    drop(Session::capture(environment));
});
