//! A modulefile, evaluated in this process.
#![no_main]

use std::cell::OnceCell;

use libfuzzer_sys::fuzz_target;
use module_export_fuzz::Tree;

thread_local! {
    static TREE: OnceCell<Tree> = const { OnceCell::new() };
}

fuzz_target!(|data: &[u8]| {
    let Some((&kind, data)) = data.split_first() else { return };
    TREE.with(|tree| {
        let tree = tree.get_or_init(|| {
            let tree = Tree::default();
            tree.write("y/1.lua", b"prepend_path('P', '/y')\nfamily('f')");
            tree.write("y/2.lua", b"load('z')\nsetenv('Y', '2')");
            tree.write("z/1.lua", b"family('f')\npushenv('Z', '1')");
            tree
        });
        tree.write("x/1.lua", data);
        let version = if kind & 1 == 0 { "9.2.9" } else { "8.6.19" };
        // Loaded, replaced by itself, and unloaded: the same text in both modes.
        let names: &[&str] = match kind >> 1 & 3 {
            0 => &["x"],
            1 => &["y/1", "x", "x"],
            2 => &["x", "y/2", "x"],
            _ => &["z", "x", "y/1", "x", "x/1"],
        };
        tree.load(names, version);
    });
});
