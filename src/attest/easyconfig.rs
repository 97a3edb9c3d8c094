//! Where software comes from, as the easyconfig says by which it was installed.
//!
//! An easyconfig is Python. Only assignments of plain literals are understood here: text, lists,
//! tuples, dictionaries, `EasyBuild`'s names of source files. What needs more is not known.
//!
//! Source: easybuild-framework, `framework/easyconfig/templates.py` (templates and constants).

mod literal;

use std::collections::BTreeMap;
use std::path::Path;

use self::literal::{Literal, assignments};
use crate::base::fs::sorted_dir;
use crate::stack::Source;

/// No easyconfig is longer, in bytes.
const LONGEST: u64 = 1 << 20;
/// What `SOURCE_TAR_GZ` and its like end in.
const ENDINGS: [(&str, &str); 9] = [
    ("TAR_GZ", ".tar.gz"),
    ("TAR_XZ", ".tar.xz"),
    ("TAR_BZ2", ".tar.bz2"),
    ("TAR_Z", ".tar.Z"),
    ("TGZ", ".tgz"),
    ("TXZ", ".txz"),
    ("TBZ2", ".tbz2"),
    ("TAR", ".tar"),
    ("ZIP", ".zip"),
];

/// What an easyconfig says of the software; what it does not say plainly is `None`.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct Origin {
    /// The software's own version, without toolchain.
    pub version: Option<String>,
    /// Its page.
    pub homepage: Option<String>,
    /// Address of its first source.
    pub download: Option<String>,
    /// SHA-256 of that source, 64 hexadecimal digits.
    pub sha256: Option<String>,
    /// The licence, in `EasyBuild`'s words: `GPLv3`.
    pub licence: Option<String>,
    /// All sources.
    pub sources: Vec<Source>,
}

/// What the easyconfig in the installation `prefix` says; `None` where there is none.
#[must_use]
pub fn find(prefix: &Path) -> Option<Origin> {
    use std::io::Read as _;
    let directory = prefix.join("easybuild");
    let names = sorted_dir(&directory).ok()?;
    let name =
        names.into_iter().find(|name| Path::new(name).extension().is_some_and(|e| e == "eb"))?;
    let mut text = String::new();
    let file = std::fs::File::open(directory.join(name)).ok()?;
    file.take(LONGEST).read_to_string(&mut text).ok()?;
    Some(parse(&text))
}

/// What the easyconfig `text` says.
#[must_use]
pub fn parse(text: &str) -> Origin {
    let values = assignments(text);
    let plain = |name: &str| match values.get(name) {
        Some(Literal::Text(text)) => Some(text.clone()),
        _ => None,
    };
    let (name, version) = (plain("name"), plain("version"));
    let templates = templates(name.as_deref(), version.as_deref());
    let source = first(&values, "sources").and_then(|source| file_name(source, &templates));
    let address = first(&values, "source_urls")
        .and_then(Literal::text)
        .and_then(|url| expand(url, &templates));
    let download = source
        .as_ref()
        .zip(address)
        .map(|(source, address)| format!("{}/{source}", address.trim_end_matches('/')));
    let licence = match values.get("software_license") {
        Some(Literal::Text(text) | Literal::Name(text)) => Some(text.clone()),
        _ => None,
    };
    let licence = licence.map(|name| name.strip_prefix("License").unwrap_or(&name).to_owned());
    let sha256 = first(&values, "checksums").and_then(|sum| checksum(sum, source.as_deref()));
    Origin {
        homepage: plain("homepage")
            .and_then(|page| expand(&page, &templates))
            .filter(|p| is_url(p)),
        download: download.filter(|download| is_url(download)),
        sha256,
        licence: licence.filter(|name| name.bytes().all(|byte| byte.is_ascii_graphic())),
        sources: sources(&values, &templates),
        version,
    }
}

/// Every source with its address, as far as it is known, and its checksum.
fn sources(
    values: &BTreeMap<String, Literal>,
    templates: &BTreeMap<&'static str, String>,
) -> Vec<Source> {
    let list = |name: &str| match values.get(name) {
        Some(Literal::List(list)) => list.as_slice(),
        _ => &[],
    };
    let sums = list("checksums");
    let source = |(at, source): (usize, &Literal)| {
        let own = |key: &str| match source {
            Literal::Map(map) => map.iter().find(|(name, _)| name.text() == Some(key)),
            _ => None,
        };
        let named = own("filename").or_else(|| own("download_filename"));
        let name = file_name(named.map_or(source, |(_, name)| name), templates)?;
        let urls = match own("source_urls") {
            Some((_, Literal::List(urls))) => urls.as_slice(),
            _ => list("source_urls"),
        };
        let url = urls.first().and_then(Literal::text).and_then(|url| expand(url, templates));
        let address = url.map(|url| format!("{}/{name}", url.trim_end_matches('/')));
        let sum = sums.get(at).and_then(|sum| checksum(sum, Some(&name)));
        Some(Source {
            address: address.filter(|address| is_url(address)).unwrap_or(name),
            checksum: sum.map(|sum| format!("sha256:{sum}")),
        })
    };
    list("sources").iter().enumerate().filter_map(source).collect()
}

/// The first element of the list `name`.
fn first<'a>(values: &'a BTreeMap<String, Literal>, name: &str) -> Option<&'a Literal> {
    match values.get(name) {
        Some(Literal::List(list)) => list.first(),
        _ => None,
    }
}

fn file_name(source: &Literal, templates: &BTreeMap<&str, String>) -> Option<String> {
    let template = match source {
        Literal::Text(text) => text.clone(),
        Literal::Name(name) => constant(name)?,
        Literal::List(_) | Literal::Map(_) | Literal::Other => return None,
    };
    expand(&template, templates)
}

/// `SOURCE_TAR_GZ` is `%(name)s-%(version)s.tar.gz`.
fn constant(name: &str) -> Option<String> {
    let (template, ending) = match name.strip_prefix("SOURCELOWER_") {
        Some(ending) => ("%(namelower)s-%(version)s", ending),
        None => ("%(name)s-%(version)s", name.strip_prefix("SOURCE_")?),
    };
    let ending = ENDINGS.iter().find(|(known, _)| *known == ending)?.1;
    Some(format!("{template}{ending}"))
}

/// A checksum alone, or by the name of the file.
fn checksum(sum: &Literal, source: Option<&str>) -> Option<String> {
    let text = match sum {
        Literal::Text(text) => text,
        Literal::Map(map) => {
            map.iter().find(|(key, _)| key.text() == source && source.is_some())?.1.text()?
        }
        Literal::List(_) | Literal::Name(_) | Literal::Other => return None,
    };
    let is_sha256 = text.len() == 64 && text.bytes().all(|byte| byte.is_ascii_hexdigit());
    is_sha256.then(|| text.to_lowercase())
}

fn templates(name: Option<&str>, version: Option<&str>) -> BTreeMap<&'static str, String> {
    let mut templates = BTreeMap::new();
    if let Some(name) = name {
        templates.insert("name", name.to_owned());
        templates.insert("namelower", name.to_lowercase());
        templates.insert("nameletter", name.chars().take(1).collect());
    }
    if let Some(version) = version {
        let parts: Vec<&str> = version.split('.').collect();
        templates.insert("version", version.to_owned());
        for (name, from, to) in [
            ("version_major", 0, 1),
            ("version_minor", 1, 2),
            ("version_patch", 2, 3),
            ("version_major_minor", 0, 2),
        ] {
            if let Some(parts) = parts.get(from..to) {
                templates.insert(name, parts.join("."));
            }
        }
    }
    templates
}

/// `text` with its templates filled in; `None` if one is not known.
fn expand(text: &str, templates: &BTreeMap<&str, String>) -> Option<String> {
    let mut out = String::new();
    let mut rest = text;
    while let Some((before, after)) = rest.split_once("%(") {
        let (name, behind) = after.split_once(")s")?;
        out.push_str(before);
        out.push_str(templates.get(name)?);
        rest = behind;
    }
    Some(out + rest)
}

fn is_url(text: &str) -> bool {
    let known = ["http://", "https://", "ftp://"].iter().any(|scheme| text.starts_with(scheme));
    known && text.bytes().all(|byte| byte.is_ascii_graphic())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn plain_literals_tell_where_software_comes_from() {
        let sum = "0123456789abcdef".repeat(4);
        let text = format!(
            "# a comment\neasyblock = 'CMakeMake'\n\nname = 'zlib-NG'\nversion = \"1.2.13\"\n\
             homepage = 'https://www.zlib.net/'\ndescription = \"\"\"Many lines:\nversion = '9'\n\"\"\"\n\
             toolchain = {{'name': 'GCCcore', 'version': '12.2.0'}}\nsoftware_license = LicenseZlib\n\
             source_urls = ['https://zlib.net/%(version_major_minor)s/',\n    'https://other'] # more\n\
             sources = [SOURCELOWER_TAR_GZ]\nchecksums = ['{sum}']\n"
        );
        let want = Origin {
            version: Some("1.2.13".into()),
            homepage: Some("https://www.zlib.net/".into()),
            download: Some("https://zlib.net/1.2/zlib-ng-1.2.13.tar.gz".into()),
            sha256: Some(sum.clone()),
            licence: Some("Zlib".into()),
            sources: vec![Source {
                address: "https://zlib.net/1.2/zlib-ng-1.2.13.tar.gz".into(),
                checksum: Some(format!("sha256:{sum}")),
            }],
        };
        assert_eq!(parse(&text), want);
        let named = text
            .replace("SOURCELOWER_TAR_GZ", "'%(namelower)s-%(version)s.tar.gz'")
            .replace(&format!("'{sum}'"), &format!("{{'zlib-ng-1.2.13.tar.gz': '{sum}'}}"));
        assert_eq!(parse(&named), want);
    }

    #[test]
    fn every_source_counts_with_its_own_address_and_checksum() {
        let sum = |digit: &str| digit.repeat(64);
        let text = format!(
            "name = 'a'\nversion = '1'\nsource_urls = ['https://x/']\nsources = [\n  SOURCE_TAR_GZ,\n  {{'filename': 'data-%(version)s.zip', 'source_urls': ['https://y/z']}},\n  'odd name',\n]\nchecksums = [\n  '{}',\n  {{'data-1.zip': '{}'}},\n]\n",
            sum("a"),
            sum("b")
        );
        let source = |address: &str, digit: Option<&str>| Source {
            address: address.to_owned(),
            checksum: digit.map(|digit| format!("sha256:{}", sum(digit))),
        };
        let want = [
            source("https://x/a-1.tar.gz", Some("a")),
            source("https://y/z/data-1.zip", Some("b")),
            source("odd name", None),
        ];
        assert_eq!(parse(&text).sources, want);
    }

    #[test]
    fn what_needs_python_is_not_known() {
        for text in [
            "version = '1.' + '2'\n",
            "version = local_version\n",
            "version = f'1.{x}'\n",
            "version = '1.2\n",
            "version = 'a' % b\n",
            "homepage = 'https://%(unknown)s'\n",
            "homepage = 'javascript:x'\n",
            "name = 'a'\nversions = '1'\nsources = [('a', 'b')]\nsource_urls = ['https://x']\n",
            "checksums = ['123']\nsources = [{'other': 'x'}]\n",
            "\u{0}\u{fffd}(((((((((",
            "x = [[[[[[[[[[[[[[[[[[[[[[[[[[[[[[[[[[[[[[[[[[[[[[[[[[[[[[[[[",
            "",
        ] {
            assert_eq!(parse(text), Origin::default(), "{text}");
        }
    }
}
