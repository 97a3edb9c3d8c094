//! `env MODULE…` in a session: what `module load` would change there now.

use module_export::environment::Variables;
use module_export::session::{ModuleTable, SessionModule, module_table};
use serde_json::{Value, json};

use crate::common::TestEnv;

/// A session with these modules loaded: full name, names of families.
fn session(env: &TestEnv, modules: &[&str], families: &[(&str, &str)]) -> Variables {
    let top = env.root().join("modules");
    let module = |full_name: &&str| SessionModule {
        short_name: full_name.split('/').next().unwrap_or_default().to_owned(),
        full_name: (*full_name).to_owned(),
        user_name: (*full_name).to_owned(),
        file: top.join(format!("{full_name}.lua")),
        ..SessionModule::default()
    };
    let path = vec![top.display().to_string()];
    let table = ModuleTable {
        modules: modules.iter().map(module).collect(),
        base_modulepath: path.clone(),
        modulepath: path.clone(),
        families: families.iter().map(|(a, b)| ((*a).to_owned(), (*b).to_owned())).collect(),
    };
    let mut variables = module_table::encode(&table);
    variables.insert("MODULEPATH".to_owned(), path.join(":"));
    variables
}

fn printed(env: &TestEnv, session: &Variables, words: &[&str]) -> Value {
    let mut command = env.module_export();
    command.args(["env", "--lmod-version", "9.2.9", "--"]).args(words).envs(session);
    serde_json::from_str(&env.run(&mut command).success()).unwrap()
}

#[test]
fn what_changes_is_what_differs_from_the_session() {
    let env = TestEnv::new();
    env.write("modules/a/1.lua", "setenv('A', '1')\nprepend_path('P', '/a1')\n");
    env.write("modules/a/2.lua", "setenv('A', '2')\nprepend_path('P', '/a2')\n");
    env.write("modules/b/1.lua", "setenv('B', '1')\nprepend_path('P', '/b')\n");
    env.write("modules/c/1.lua", "unload('a')\nsetenv('C', '1')\n");
    let mut session = session(&env, &["a/1"], &[]);
    session.extend([("A", "1"), ("P", "/a1:/z")].map(|(n, v)| (n.to_owned(), v.to_owned())));
    for (words, modules, variables) in [
        (&["b"][..], vec!["a/1", "b/1"], json!({ "B": "1", "P": "/b:/a1:/z" })),
        (&["a/2"], vec!["a/2"], json!({ "A": "2", "P": "/a2:/z" })),
        (&["c"], vec!["c/1"], json!({ "A": null, "C": "1", "P": "/z" })),
        (&["-a"], vec![], json!({ "A": null, "P": "/z" })),
        (&["a"], vec!["a/2"], json!({ "A": "2", "P": "/a2:/z" })),
    ] {
        let document = printed(&env, &session, words);
        let names = document["modules"].as_array().unwrap().iter();
        let names: Vec<&str> = names.filter_map(|module| module["name"].as_str()).collect();
        assert_eq!(names, modules, "{words:?}");
        assert_eq!(document["env"], variables, "{words:?}");
    }
}

#[test]
fn a_member_of_a_loaded_family_takes_its_place() {
    let env = TestEnv::new();
    for name in ["f", "g"] {
        let text = format!("family('x')\nsetenv('{name}', '1')\n");
        env.write(format!("modules/{name}/1.lua"), text);
    }
    let mut session = session(&env, &["f/1"], &[("x", "f")]);
    session.insert("f".to_owned(), "1".to_owned());
    let document = printed(&env, &session, &["g"]);
    assert_eq!(document["modules"].as_array().unwrap().len(), 1);
    assert_eq!(
        document["env"],
        json!({ "f": null, "g": "1", "LMOD_FAMILY_X": "g", "LMOD_FAMILY_X_VERSION": "1" })
    );
}

#[test]
fn dates_are_those_of_the_sessions_time_zone() {
    let env = TestEnv::new();
    env.write("modules/a/1.lua", "setenv('HOUR', os.date('%H', 0))\n");
    for (zone, hour) in [("XYZ-9", "09"), ("XYZ5", "19"), ("", "00")] {
        let mut session = session(&env, &[], &[]);
        session.insert("TZ".to_owned(), zone.to_owned());
        assert_eq!(printed(&env, &session, &["a"])["env"], json!({ "HOUR": hour }), "{zone}");
    }
}
