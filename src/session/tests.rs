use super::*;

fn module(name: &str, version: &str) -> SessionModule {
    SessionModule {
        short_name: name.to_owned(),
        full_name: format!("{name}/{version}"),
        user_name: name.to_owned(),
        file: format!("/modules/all/{name}/{version}.lua").into(),
        stack_depth: 1,
        weighted_version: "000000001.*zfinal".to_owned(),
        reference_count: Some(2),
        properties: vec![("lmod".to_owned(), "sticky".to_owned())],
    }
}

fn table() -> ModuleTable {
    ModuleTable {
        modules: ["b", "a", "c-1"].map(|name| module(name, "1.0")).to_vec(),
        modulepath: vec!["/modules/all".to_owned(), "/more".to_owned()],
        base_modulepath: vec!["/base".to_owned()],
        families: vec![("compiler".to_owned(), "b".to_owned())],
    }
}

#[test]
fn a_table_survives_its_variables_in_pieces_of_512() {
    let variables = module_table::encode(&table());
    let pieces: Vec<_> =
        variables.iter().filter(|(name, _)| name.as_str() != "_ModuleTable_Sz_").collect();
    assert_eq!(variables["_ModuleTable_Sz_"], pieces.len().to_string());
    assert!(pieces[..pieces.len() - 1].iter().all(|(_, piece)| piece.len() == 512));
    assert_eq!(module_table::decode(&variables).unwrap(), Some(table()));
    let mut uncounted = variables;
    uncounted.remove("_ModuleTable_Sz_");
    assert_eq!(module_table::decode(&uncounted).unwrap(), Some(table()));
}

#[test]
fn a_damaged_table_is_an_error_that_says_how() {
    type Damage = fn(&mut Variables);
    let rows: [(&str, Damage); 4] = [
        ("cut short: the variable `_ModuleTable002_` is missing", |v| {
            v.remove("_ModuleTable002_");
        }),
        ("not base64", |v| {
            v.insert("_ModuleTable001_".to_owned(), "!".repeat(512));
        }),
        ("`_ModuleTable_Sz_` is `many\\u{1b}`", |v| {
            v.insert("_ModuleTable_Sz_".to_owned(), "many\u{1b}".to_owned());
        }),
        ("module table is damaged", |v| {
            *v = [("_ModuleTable001_".to_owned(), "b3MuZXhpdCgp".to_owned())].into();
        }),
    ];
    for (want, damage) in rows {
        let mut variables = module_table::encode(&table());
        damage(&mut variables);
        let error = Session::capture(variables).unwrap_err().to_string();
        assert!(error.contains(want), "{error}");
    }
}

#[test]
fn a_truncated_last_piece_is_noticed() {
    let mut variables = module_table::encode(&table());
    let last = format!("_ModuleTable{:03}_", variables.len() - 1);
    let piece = variables[&last].clone();
    for keep in [0, piece.len() / 2, piece.len() - 1] {
        variables.insert(last.clone(), piece[..keep].to_owned());
        assert!(Session::capture(variables.clone()).is_err(), "{keep} characters kept");
    }
}

#[test]
fn without_a_table_the_lists_count() {
    let session = Session::capture(
        [
            ("LOADEDMODULES", "a/1:b/2/3"),
            ("_LMFILES_", "/m/a/1:/m/b/2/3"),
            ("MODULEPATH", "/m::/n"),
        ]
        .map(|(name, value)| (name.to_owned(), value.to_owned()))
        .into(),
    )
    .unwrap();
    let names: Vec<_> = session.modules.iter().map(|m| (&*m.short_name, &*m.full_name)).collect();
    assert_eq!(names, [("a", "a/1"), ("b/2", "b/2/3")]);
    assert_eq!(session.modulepath, ["/m", "/n"]);
    let error =
        Session::capture([("LOADEDMODULES".to_owned(), "a/1".to_owned())].into()).unwrap_err();
    assert_eq!(error.to_string(), "`LOADEDMODULES` names 1 modules, `_LMFILES_` 0 files");
}
