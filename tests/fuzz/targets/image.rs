//! An image of any format: opened, walked, read.
#![no_main]

use std::cell::OnceCell;
use std::path::Path;

use libfuzzer_sys::fuzz_target;
use module_export::image::read::{FoundKind, Image};
use module_export_fuzz::Tree;

/// Bytes that one input may claim in all before nothing more is read of it.
const MOST_BYTES: u64 = 16 << 20;

thread_local! {
    static PLACE: OnceCell<Tree> = const { OnceCell::new() };
}

fuzz_target!(|data: &[u8]| {
    PLACE.with(|place| {
        let place = place.get_or_init(Tree::default);
        place.write("image", data);
        let path = place.top() + "/image";
        let Ok(image) = Image::open(Path::new(&path)) else { return };
        let mut left = MOST_BYTES;
        // A broken image is as good an answer as any.
        drop(image.walk(|path, found| {
            if let FoundKind::File(file) = &found.kind
                && file.size() <= left
            {
                left -= file.size();
                image.copy(file, |_| Ok(()))?;
                image.find(path)?;
            }
            Ok(())
        }));
    });
});
