//! What goes into which layer.

use std::collections::BTreeMap;

use crate::rootfs::{Node, Rootfs};

/// Layers from the bottom up, told by the reasons for which files are in the image.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct LayerPlan {
    titles: Vec<String>,
    of_reason: BTreeMap<String, usize>,
}

impl LayerPlan {
    /// Layers with their titles and the reasons of what is in them, from the bottom up. What has
    /// none of the reasons goes into a last layer `rest`, with what was made for the image.
    #[must_use]
    pub fn new(layers: Vec<(String, Vec<String>)>, rest: &str) -> Self {
        let mut plan = Self { titles: Vec::new(), of_reason: BTreeMap::new() };
        for (title, reasons) in layers {
            let number = plan.titles.len();
            plan.of_reason.extend(reasons.into_iter().map(|reason| (reason, number)));
            plan.titles.push(title);
        }
        plan.titles.push(rest.to_owned());
        plan
    }

    /// The titles of all layers, from the bottom up.
    pub(super) fn titles(&self) -> impl Iterator<Item = &str> {
        self.titles.iter().map(String::as_str)
    }

    /// The layer of a file or link.
    pub(super) fn of(&self, rootfs: &Rootfs, node: &Node) -> usize {
        let reason = match node {
            Node::File(id) => &rootfs.file(*id).reason,
            Node::Symlink(link) => &link.reason,
            Node::Special(special) => &special.reason,
            Node::Directory(_) => return self.titles.len() - 1,
        };
        self.of_reason.get(&**reason).copied().unwrap_or(self.titles.len() - 1)
    }
}
