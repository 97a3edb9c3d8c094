//! `.version`, `.modulerc` and `.modulerc.lua`, of a directory of modulefiles and of a module.
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
        let tree = tree.get_or_init(Tree::default);
        for version in ["1.0", "1.1", "2.0"] {
            tree.write(&format!("x/{version}.lua"), b"");
        }
        tree.write("y/1.lua", b"");
        // The files that the last input left are empty now.
        for path in [".modulerc", ".modulerc.lua", "x/.modulerc", "x/.version", "x/.modulerc.lua"] {
            tree.write(path, b"");
        }
        let path = match kind % 5 {
            0 => ".modulerc",
            1 => ".modulerc.lua",
            2 => "x/.modulerc",
            3 => "x/.version",
            _ => "x/.modulerc.lua",
        };
        tree.write(path, data);
        let version = if kind & 0x80 == 0 { "9.2.9" } else { "8.6.19" };
        tree.load(&["x", "x/new", "alias", "y/1", "x/1"], version);
    });
});
