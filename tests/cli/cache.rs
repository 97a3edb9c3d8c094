//! Exports with a cache.

use serde_json::Value;

use super::session::{Session, eessi, module_export};
use crate::common::{Ran, TestEnv};

fn export(env: &TestEnv, session: &Session, words: &str, variable: Option<&str>) -> Ran {
    let words = format!("container -a A -n x --epoch 1795305600 --force --json {words}");
    let mut command = module_export(env, session, &words);
    if let Some(directory) = variable {
        command.env("MODULE_EXPORT_CACHE", env.root().join(directory));
    }
    env.run(&mut command)
}

#[test]
fn a_cache_is_used_where_one_is_asked_for() {
    let env = TestEnv::new();
    let Some(session) = eessi(&env, "module load WhichTarget") else { return };
    let report = |words: &str, variable: Option<&str>| -> Value {
        serde_json::from_str(&export(&env, &session, words, variable).success()).unwrap()
    };
    let cold = report("", None);
    assert_eq!(cold["cache"], Value::Null);
    let flag = format!("--cache {}", env.root().join("a").display());
    let first = report(&flag, None);
    assert!(first["cache"]["added"].as_u64().unwrap() > 0, "{}", first["cache"]);
    for (words, variable, is_used) in [
        (&*flag, None, true),
        ("", Some("a"), true),
        (&*format!("{flag} --cache-verify"), Some("b"), false),
        ("--no-cache", Some("a"), false),
    ] {
        let report = report(words, variable);
        assert_eq!(report["sha256"], cold["sha256"], "{words}");
        let found = report["cache"]["found"].as_u64().unwrap_or(0);
        assert_eq!(found > 0, is_used, "{words}: {}", report["cache"]);
    }
    env.write("home/.config/module-export/config.toml", "cache = '/proc/nowhere'\n");
    let ran = export(&env, &session, "--no-cache", None);
    assert!(ran.status == 0 && !ran.stderr.contains("/proc/nowhere"), "{ran}");
    let ran = export(&env, &session, "", None);
    assert!(ran.status == 0 && ran.stderr.contains("goes on without it"), "{ran}");
}

#[test]
fn a_cache_that_cannot_be_trusted_stops_the_export() {
    use std::os::unix::fs::PermissionsExt as _;

    let env = TestEnv::new();
    let Some(session) = eessi(&env, "module load WhichTarget") else { return };
    let open = env.root().join("open");
    std::fs::create_dir(&open).unwrap();
    std::fs::set_permissions(&open, std::fs::Permissions::from_mode(0o777)).unwrap();
    let ran = export(&env, &session, "", Some("open"));
    assert!(ran.status == 1 && ran.stderr.contains("can be written to by others"), "{ran}");
    let ran = export(&env, &session, "--cache-verify", None);
    assert!(ran.status == 2 && ran.stderr.contains("--cache"), "{ran}");
    assert_eq!(std::fs::read_dir(env.work()).unwrap().count(), 0);
}
