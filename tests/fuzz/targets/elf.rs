//! A file as it lies in a stack: an ELF file, a script, a cache of a loader.
#![no_main]

use std::path::Path;
use std::sync::Arc;

use libfuzzer_sys::fuzz_target;
use module_export::elf::{Loader, LoaderCache, Look, Object, Search, look_at};

fuzz_target!(|data: &[u8]| {
    drop(LoaderCache::parse(data));
    let Look::Elf(facts) = look_at(&data) else { return };
    // It is its own library, whatever it asks for.
    let loader = Loader::new(Path::new("/lib/ld.so"), &|_| Some(data.to_vec()));
    let probe = |_: &Path| Some(Arc::clone(&facts));
    let (library_path, has_directory) = (&["/env".into()], &|_: &std::path::Path| true);
    let search = Search { loader: &loader, library_path, probe: &probe, has_directory };
    let process = search.load(Object { path: "/bin/x".into(), facts: Arc::clone(&facts) });
    let names = facts.needed.len() + facts.optional.len();
    assert!(process.objects.len() <= names + 1, "each name is loaded once");
});
