//! A bill of materials in SPDX 2.3, as JSON.
//!
//! Source: spdx.github.io/spdx-spec/v2.3; package-url/purl-spec, type `generic`.

use std::collections::BTreeMap;
use std::fmt::Write as _;

use serde_json::{Value, json};

use super::easyconfig::Origin;
use crate::base::{Digest, Epoch};

/// What SPDX says where nobody has said anything.
const UNKNOWN: &str = "NOASSERTION";
/// Identity of the image in the document.
const IMAGE: &str = "SPDXRef-Image";

/// What a bill of materials is of.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Bill {
    /// Name of the image.
    pub name: String,
    /// Version of the image.
    pub version: String,
    /// Who publishes it: `Name`, `Name <mail>`, `Name <https://orcid.org/…>`.
    pub authors: Vec<String>,
    /// When the document counts as made.
    pub created: Epoch,
    /// The modules, in load order.
    pub modules: Vec<Component>,
    /// What lies under them: name, and SHA-256 where it is one thing.
    pub base: (String, Option<Digest>),
}

/// A module.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Component {
    /// `GCC/13.2.0`.
    pub module: String,
    /// What it is, in a line.
    pub description: Option<String>,
    /// What its easyconfig says.
    pub origin: Option<Origin>,
    /// Full names of the modules that it needs.
    pub dependencies: Vec<String>,
}

/// The document. It names itself by its own content, so the same bill is the same bytes.
#[must_use]
pub fn document(bill: &Bill) -> String {
    let mut document = json!({
        "spdxVersion": "SPDX-2.3",
        "dataLicense": "CC0-1.0",
        "SPDXID": "SPDXRef-DOCUMENT",
        "name": format!("{} {}", bill.name, bill.version),
        "creationInfo": {
            "created": bill.created.timestamp(),
            "creators": creators(&bill.authors),
        },
        "packages": packages(bill),
        "relationships": relationships(bill),
    });
    let identity = Digest::of(document.to_string().as_bytes()).to_string();
    let name = percent_encoded(&format!("{}-{}", bill.name, bill.version));
    document["documentNamespace"] = json!(format!("https://spdx.org/spdxdocs/{name}-{identity}"));
    // a value that was built here can be written
    serde_json::to_string_pretty(&document).unwrap_or_default() + "\n"
}

fn creators(authors: &[String]) -> Vec<String> {
    let mut creators = vec![format!("Tool: module-export-{}", env!("CARGO_PKG_VERSION"))];
    creators.extend(authors.iter().map(|author| {
        let (name, rest) = author.split_once('<').unwrap_or((author, ""));
        // parentheses are SPDX's own
        let name = name.trim().replace('(', "[").replace(')', "]");
        let mail = rest.trim_end().trim_end_matches('>');
        let is_mail = mail.contains('@') && !mail.contains(['(', ')', ' ']);
        if is_mail { format!("Person: {name} ({mail})") } else { format!("Person: {name}") }
    }));
    creators
}

fn packages(bill: &Bill) -> Vec<Value> {
    let mut image = package(IMAGE, &bill.name, &bill.version);
    image["primaryPackagePurpose"] = json!("CONTAINER");
    let mut base = package("SPDXRef-Base", &bill.base.0, "");
    base["comment"] = json!("what lies under the modules");
    if let Some(digest) = bill.base.1 {
        base["checksums"] = sha256(&digest.to_string());
    }
    let modules = bill.modules.iter().enumerate().map(|(at, module)| module_package(at, module));
    [image, base].into_iter().chain(modules).collect()
}

/// What every package has to say.
fn package(id: &str, name: &str, version: &str) -> Value {
    let mut package = json!({
        "SPDXID": id,
        "name": name,
        "downloadLocation": UNKNOWN,
        "filesAnalyzed": false,
        "licenseConcluded": UNKNOWN,
        "licenseDeclared": UNKNOWN,
        "copyrightText": UNKNOWN,
    });
    if !version.is_empty() {
        package["versionInfo"] = json!(version);
    }
    package
}

fn sha256(sum: &str) -> Value {
    json!([{ "algorithm": "SHA256", "checksumValue": sum }])
}

fn module_package(at: usize, module: &Component) -> Value {
    let (name, version) = module.module.rsplit_once('/').unwrap_or((&module.module, ""));
    let unknown = Origin::default();
    let origin = module.origin.as_ref().unwrap_or(&unknown);
    let version = origin.version.as_deref().unwrap_or(version);
    let mut package = package(&module_id(at, module), name, version);
    package["comment"] = json!(format!("environment module {}", module.module));
    if let Some(text) = &module.description {
        package["summary"] = json!(text);
    }
    if let Some(page) = &origin.homepage {
        package["homepage"] = json!(page);
    }
    if let Some(address) = &origin.download {
        package["downloadLocation"] = json!(address);
        if let Some(sum) = &origin.sha256 {
            package["checksums"] = sha256(sum);
        }
    }
    package["externalRefs"] = json!([{
        "referenceCategory": "PACKAGE-MANAGER",
        "referenceType": "purl",
        "referenceLocator": package_url(name, version, origin),
    }]);
    package
}

/// `pkg:generic/zlib@1.2.13?checksum=…&download_url=…`
fn package_url(name: &str, version: &str, origin: &Origin) -> String {
    let mut url = format!("pkg:generic/{}", percent_encoded(name));
    if !version.is_empty() {
        let _ = write!(url, "@{}", percent_encoded(version));
    }
    if let Some(address) = &origin.download {
        let sum = origin.sha256.as_ref().map(|sum| format!("checksum=sha256:{sum}&"));
        let address = percent_encoded(address);
        let _ = write!(url, "?{}download_url={address}", sum.unwrap_or_default());
    }
    url
}

fn percent_encoded(text: &str) -> String {
    text.bytes().fold(String::new(), |mut out, byte| {
        if byte.is_ascii_alphanumeric() || b".-_~".contains(&byte) {
            out.push(char::from(byte));
        } else {
            // writing to a String cannot fail
            let _ = write!(out, "%{byte:02X}");
        }
        out
    })
}

/// Letters, digits, `.` and `-` are all that an identity may have; the number makes it one of a
/// kind.
fn module_id(at: usize, module: &Component) -> String {
    let plain = |c: char| if c.is_ascii_alphanumeric() || c == '.' { c } else { '-' };
    let name: String = module.module.chars().map(plain).collect();
    format!("SPDXRef-Module-{}-{name}", at + 1)
}

fn relationships(bill: &Bill) -> Vec<Value> {
    let relationship = |from: &str, kind: &str, to: &str| {
        json!({
            "spdxElementId": from,
            "relationshipType": kind,
            "relatedSpdxElement": to,
        })
    };
    let ids: BTreeMap<&str, String> = bill
        .modules
        .iter()
        .enumerate()
        .map(|(at, module)| (module.module.as_str(), module_id(at, module)))
        .collect();
    let mut all = vec![
        relationship("SPDXRef-DOCUMENT", "DESCRIBES", IMAGE),
        relationship(IMAGE, "CONTAINS", "SPDXRef-Base"),
    ];
    for (at, module) in bill.modules.iter().enumerate() {
        let id = module_id(at, module);
        all.push(relationship(IMAGE, "CONTAINS", &id));
        let needed = module.dependencies.iter().filter_map(|name| ids.get(name.as_str()));
        all.extend(needed.map(|needed| relationship(&id, "DEPENDS_ON", needed)));
    }
    all
}

#[cfg(test)]
mod tests {
    use super::*;

    fn bill() -> Bill {
        let zlib = Component {
            module: "zlib/1.2.13-GCCcore-12.3.0".into(),
            description: Some("compression".into()),
            origin: Some(Origin {
                version: Some("1.2.13".into()),
                homepage: Some("https://zlib.net/".into()),
                download: Some("https://zlib.net/zlib-1.2.13.tar.gz".into()),
                sha256: Some("0123456789abcdef".repeat(4)),
                ..Origin::default()
            }),
            dependencies: vec!["not/packed".into()],
        };
        let plain = Component {
            module: "my tool+/ü".into(),
            description: None,
            origin: None,
            dependencies: vec![zlib.module.clone()],
        };
        Bill {
            name: "my image".into(),
            version: "2026-11-22".into(),
            authors: vec![
                "A. (B.) Author <a@example.org>".into(),
                "C <https://orcid.org/0>".into(),
            ],
            created: Epoch::from_seconds(1_700_000_000),
            modules: vec![zlib, plain],
            base: ("EESSI compatibility layer 2023.06".into(), Some(Digest::of(b""))),
        }
    }

    #[test]
    fn the_same_bill_is_the_same_document_and_another_is_another() {
        let bill = bill();
        let mut other = bill.clone();
        other.modules[0].dependencies.clear();
        other.modules[1].dependencies.clear();
        assert_eq!(document(&bill), document(&bill));
        let namespace = |bill: &Bill| {
            let value: Value = serde_json::from_str(&document(bill)).unwrap();
            value["documentNamespace"].as_str().unwrap().to_owned()
        };
        assert_ne!(namespace(&bill), namespace(&other));
        assert!(namespace(&bill).starts_with("https://spdx.org/spdxdocs/my%20image-2026-11-22-"));
    }

    #[test]
    fn a_sample_is_the_golden_file_that_a_validator_has_passed() {
        // checked again by `tests/cli/sbom.rs` where spdx-tools is installed
        let golden = include_str!("../../tests/data/sbom.spdx.json");
        assert_eq!(document(&bill()), golden);
    }
}
