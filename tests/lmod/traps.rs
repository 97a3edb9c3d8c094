//! Where a naive evaluator goes wrong, and the cases of `tests/data/mf` that would show it.

use std::path::Path;

/// The trap, and its cases.
const TRAPS: [(&str, &[&str]); 28] = [
    ("load order is completion order, and a reload moves to the end", &["diamond", "reload_same"]),
    ("a failed load changes nothing", &["error", "missing"]),
    ("adding an element moves it", &["path_moves", "element_of_user"]),
    ("elements are counted", &["reference_counts", "shared_element"]),
    ("load reloads, depends_on does not", &["load_guarded", "depends_on"]),
    ("a family swap unloads both", &["family", "family_depends"]),
    ("unload mode reverses", &["mode_unload", "pushenv_swap"]),
    ("MODULEPATH acts at once, then all is looked at again", &["hierarchy", "use_within"]),
    ("a missing name may be found later", &["queue"]),
    ("LMOD_FAMILY_ variables are the user's", &["family_case"]),
    ("a marked default of a later place wins", &["two_paths", "site_marks_merged"]),
    ("a deep place turns the search around", &["nvv_first", "deeper_place_turns"]),
    ("versions compare in a form of their own", &["version_order", "version_words"]),
    ("parts of versions end at a boundary", &["extended_default", "extended_letters"]),
    ("the environment shows what came before", &["getenv"]),
    ("globals leak, and some are absent", &["globals_leak", "absent"]),
    ("numbers keep their kind", &["numbers_as_names", "pushenv_types"]),
    ("empty is not unset", &["path_empty", "remove_path"]),
    ("values of several lines", &["newline_free_values"]),
    ("conflict sees what is loaded now", &["conflict", "conflict_part"]),
    ("LmodBreak is no error", &["break", "break_in_load"]),
    ("a warning does not fail", &["messages"]),
    ("root is in every group", &["user_in_group"]),
    ("directories of MODULEPATH are cleaned", &["modulepath_odd", "place_twice"]),
    ("Tcl takes effect at its end", &["tcl_nothing_at_once", "tcl_prereq", "tcl_newlines"]),
    ("a site adds functions and hooks", &["site_functions", "site_load_hook"]),
    ("only a leading ~ is expanded", &["tilde"]),
    ("ties and inherit", &["inherit_chain", "inherit_none"]),
];

#[test]
fn every_trap_has_a_case() {
    let top = Path::new(env!("CARGO_MANIFEST_DIR")).join("tests/data/mf");
    for (trap, cases) in TRAPS {
        assert!(!cases.is_empty(), "{trap}");
        for case in cases {
            assert!(top.join(case).join("spec").is_file(), "{trap}: no case {case}");
        }
    }
}
