//! `inspect`: what an image says of itself.

use std::io::Write as _;

use anyhow::Context as _;

use super::args::Inspect;
use crate::assemble::Manifest;
use crate::base::Escaped;
use crate::image::read::Image;
use crate::rootfs::ImagePath;

/// Where an image keeps its manifest.
const MANIFEST: &str = "/.module-export/manifest.json";
/// More than any manifest has; a larger one is not read into memory.
const MANIFEST_BYTES: u64 = 256 << 20;

/// Prints the manifest for people or as JSON.
pub(super) fn inspect(words: &Inspect) -> anyhow::Result<()> {
    let shown_name = words.image.to_string_lossy();
    let image = Image::open(&words.image)?;
    let text = image
        .read(&ImagePath::new(MANIFEST.as_bytes())?, MANIFEST_BYTES)
        .with_context(|| format!("`{}` has no manifest of module-export", Escaped(&shown_name)))?;
    let mut stdout = std::io::stdout().lock();
    if words.json {
        stdout.write_all(&text)?;
    } else {
        let manifest: Manifest =
            serde_json::from_slice(&text).context("its manifest is damaged")?;
        stdout.write_all(shown(&manifest).as_bytes())?;
    }
    Ok(stdout.flush()?)
}

fn shown(manifest: &Manifest) -> String {
    let mut lines = vec![
        format!("{} {}", Escaped(&manifest.name), Escaped(&manifest.version)),
        format!("author      {}", Escaped(&manifest.authors.join(", "))),
        format!(
            "made by     {} {}, {}",
            Escaped(&manifest.tool.name),
            Escaped(&manifest.tool.version),
            Escaped(&manifest.codec.library)
        ),
        format!("CPU         {}", Escaped(&manifest.cpu.targets.join(", "))),
        format!("base        {}", Escaped(&manifest.base.kind)),
        format!("left out    {} files and directories", manifest.omissions.len()),
        format!("bind points {}", manifest.bind_points.len()),
        "modules".to_owned(),
    ];
    for module in &manifest.modules {
        let star = if module.requested { "*" } else { " " };
        lines.push(format!(
            " {star} {:<48} {:>10} {:>8} files",
            Escaped(&module.name).to_string(),
            module.bytes.to_string(),
            module.files
        ));
    }
    lines.join("\n") + "\n"
}
