//! `inspect`: what an image says of itself.

use std::fmt::Write as _;
use std::io::Write as _;

use anyhow::Context as _;

use super::args::Inspect;
use crate::assemble::{BaseLayer, MANIFEST, Manifest};
use crate::base::Escaped;
use crate::image::read::Image;
use crate::rootfs::ImagePath;

/// More than any manifest has; a larger one is not read into memory.
pub(super) const MANIFEST_BYTES: u64 = 256 << 20;

/// Prints the manifest for people or as JSON.
pub(super) fn inspect(words: &Inspect) -> anyhow::Result<()> {
    let shown_name = words.image.to_string_lossy();
    let image = Image::open(&words.image)?;
    let text = image
        .read(&ImagePath::new(MANIFEST.as_bytes())?, MANIFEST_BYTES)
        .with_context(|| format!("`{}` has no manifest of module-export", Escaped(&shown_name)))?;
    let mut stdout = std::io::stdout().lock();
    if words.json {
        stdout.write_all(json(&text)?.as_bytes())?;
    } else {
        let manifest: Manifest =
            serde_json::from_slice(&text).context("its manifest is damaged")?;
        stdout.write_all(shown(&manifest).as_bytes())?;
    }
    Ok(stdout.flush()?)
}

/// The manifest as it is, newer fields too, but with nothing in it that a terminal obeys.
fn json(text: &[u8]) -> anyhow::Result<String> {
    const DAMAGED: &str = "its manifest is damaged";
    let _: serde::de::IgnoredAny = serde_json::from_slice(text).context(DAMAGED)?;
    let mut shown = String::new();
    let mut units = [0; 2];
    for c in std::str::from_utf8(text).context(DAMAGED)?.chars() {
        match c {
            // between values: inside of strings JSON allows none
            '\n' | '\t' => shown.push(c),
            '\r' => shown.push(' '),
            // all others are in strings, where JSON has a way to write them
            c if Escaped(c.encode_utf8(&mut [0; 4])).to_string().starts_with("\\u") => {
                for unit in c.encode_utf16(&mut units) {
                    write!(shown, "\\u{unit:04x}")?;
                }
            }
            c => shown.push(c),
        }
    }
    Ok(shown)
}

fn base(base: &BaseLayer) -> String {
    let name = base.name.iter().map(|name| format!(" {}", Escaped(name)));
    let digest = base.digest.iter().map(|digest| format!(" (sha256:{digest})"));
    name.chain(digest).fold(Escaped(&base.kind).to_string(), |text, part| text + &part)
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
        format!(
            "base        {}{}",
            base(&manifest.base),
            if manifest.slim { ", slim" } else { "" }
        ),
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

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn json_of_an_image_says_the_same_with_nothing_that_a_terminal_obeys() {
        for (text, want) in [
            ("{\n \"a\": \"naïve \\u001b\"\n}\n", "{\n \"a\": \"naïve \\u001b\"\n}\n"),
            ("{\"c1\":\"\u{9b}31m\u{7f}\"}", "{\"c1\":\"\\u009b31m\\u007f\"}"),
            ("[\"\u{202e}\", \"\u{e0041}\"]\r\n", "[\"\\u202e\", \"\\udb40\\udc41\"] \n"),
        ] {
            let shown = json(text.as_bytes()).unwrap();
            assert_eq!(shown, want);
            let value = |text: &str| serde_json::from_str::<serde_json::Value>(text).unwrap();
            assert_eq!(value(&shown), value(text));
        }
        for bad in [&b"{\"a\": \"\x1b[31m\"}"[..], b"\x1b[31m{}", b"{} x", b"\"\xff\"", b""] {
            assert!(json(bad).is_err(), "{bad:?}");
        }
    }
}
