//! The identifier of what is in an image, which is known when everything has been read.

use std::sync::{Arc, OnceLock};

/// A text that late contents settle and that other documents of the image hold: a SIF's
/// `inspect-metadata.json` where [`Identifier::PLACEHOLDER`] stands, an OCI image's annotations and
/// labels under [`Identifier::LABEL`].
#[derive(Debug, Clone, Default)]
pub struct Identifier(Arc<OnceLock<String>>);

impl Identifier {
    /// Stands for the identifier, and is as long: SWHIDs of directories all are.
    pub const PLACEHOLDER: &str = "swh:1:dir:0000000000000000000000000000000000000000";
    /// The name of the label and annotation.
    pub const LABEL: &str = "org.softwareheritage.swhid";

    /// Settles the identifier; a later one counts for nothing.
    pub fn set(&self, identifier: String) {
        // one export has one content
        let _ = self.0.set(identifier);
    }

    /// The identifier, if it is settled.
    #[must_use]
    pub fn get(&self) -> Option<&str> {
        self.0.get().map(String::as_str)
    }

    /// `document` with the identifier in its place, and of the same length.
    pub(super) fn fill(&self, document: &[u8]) -> Vec<u8> {
        let placeholder = Self::PLACEHOLDER.as_bytes();
        let Some(text) = self.get().filter(|text| text.len() == placeholder.len()) else {
            return document.to_vec();
        };
        let mut filled = document.to_vec();
        let found = document.windows(placeholder.len()).position(|window| window == placeholder);
        if let Some(part) = found.and_then(|at| filled.get_mut(at..at + placeholder.len())) {
            part.copy_from_slice(text.as_bytes());
        }
        filled
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_document_keeps_its_length() {
        let document = format!("{{\"swhid\": \"{}\"}}", Identifier::PLACEHOLDER);
        let identifier = Identifier::default();
        assert_eq!(identifier.fill(document.as_bytes()), document.as_bytes());
        let text = Identifier::PLACEHOLDER.replace('0', "a");
        identifier.set(text.clone());
        identifier.set("another".to_owned());
        assert_eq!(
            identifier.fill(document.as_bytes()),
            format!("{{\"swhid\": \"{text}\"}}").as_bytes()
        );
        assert_eq!(identifier.fill(b"no place for it"), b"no place for it");
    }
}
