//! Documents about the image, in the image.

use std::fmt::Write as _;

use serde::Serialize;
use serde_json::{Value, json};

use super::{AssembleError, Assembly};
use crate::base::Digest;
use crate::environment::leak;
use crate::rootfs::{FileId, Node, Rootfs, SpecialKind};

pub(super) fn json<T: Serialize>(document: &T) -> Result<String, AssembleError> {
    Ok(serde_json::to_string_pretty(document)? + "\n")
}

/// `env.json`: the frozen environment for programs.
pub(super) fn environment(assembly: &Assembly) -> Result<String, AssembleError> {
    json(&json!({
        "variables": assembly.environment,
        "unset": assembly.unset,
        "cleared": leak::CLEARED,
    }))
}

/// `files.jsonl`: a line per file (with its mode), link, FIFO and socket in byte order of the path. `digest` gives a file's size
/// and SHA-256; files without one (the list itself) are left out.
#[must_use]
pub(super) fn file_list(
    rootfs: &Rootfs,
    digest: impl Fn(FileId) -> Option<(u64, Digest)>,
) -> Vec<u8> {
    let mut lines = String::new();
    rootfs.walk(|path, node| {
        let line = match node {
            Node::Directory(_) => return,
            Node::Special(special) => with_path(
                path.as_bytes(),
                json!({
                    "kind": match special.kind {
                        SpecialKind::Fifo => "fifo",
                        SpecialKind::Socket => "socket",
                    },
                    "reason": &*special.reason,
                }),
            ),
            Node::Symlink(link) => with_path(
                path.as_bytes(),
                json!({
                    "target": text(&link.target),
                    "reason": &*link.reason,
                }),
            ),
            Node::File(id) => {
                let Some((size, sha256)) = digest(*id) else { return };
                let mode = format!("{:04o}", rootfs.file(*id).metadata.mode);
                with_path(
                    path.as_bytes(),
                    json!({
                        "size": size,
                        "mode": mode,
                        "sha256": sha256,
                        "reason": &*rootfs.file(*id).reason,
                    }),
                )
            }
        };
        // writing to a String cannot fail
        let _ = writeln!(lines, "{line}");
    });
    lines.into_bytes()
}

/// A path that is not UTF-8 is given by its bytes, in hexadecimal.
fn with_path(path: &[u8], mut line: Value) -> Value {
    match std::str::from_utf8(path) {
        Ok(path) => line["path"] = json!(path),
        Err(_) => line["path_hex"] = json!(hex(path)),
    }
    line
}

fn text(bytes: &[u8]) -> Value {
    std::str::from_utf8(bytes).map_or_else(|_| json!({ "hex": hex(bytes) }), |text| json!(text))
}

fn hex(bytes: &[u8]) -> String {
    bytes.iter().fold(String::with_capacity(bytes.len() * 2), |mut text, byte| {
        let _ = write!(text, "{byte:02x}");
        text
    })
}
