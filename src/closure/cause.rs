//! Why something is in an image: the reasons that `files.jsonl` gives, as `kind:detail`.
//!
//! | reason | why it is there | what comes next in the chain |
//! |---|---|---|
//! | `module:NAME` | in an installation prefix of this module | who wanted the module |
//! | `modulefile:NAME` | this module's modulefile, or what gives that its names | likewise |
//! | `library:NAME for PATH` | what loads `PATH`, an ELF file, found by this name | `PATH` |
//! | `link:PATH` | where this link leads | `PATH` |
//! | `script:PATH` | what this script names, in its `#!` line or below it | `PATH` |
//! | `interpreter:PATH` | in the standard library of this interpreter | `PATH` |
//! | `constant:PATH` | what a constant of this program names | `PATH` |
//! | `base:NAME for PATH` | this machine's `NAME`, which the `#!` line of `PATH` asks for | `PATH` |
//! | `base:NAME` | a tool or data of this machine that every image gets | nothing |
//! | `base:` | of a base that others made | nothing |
//! | `core:NAME` | what every slim base keeps | nothing |
//! | `environment:NAME` | what this variable of the image names | nothing |
//! | `compat:PATH` | of the compatibility layer at `PATH` | nothing |
//! | `init:NAME` | what starting a session of this stack reads | nothing |
//! | `include:PATH` | asked for by this path | nothing |
//! | `generated:` | made for the image | nothing |
//!
//! Paths are absolute, and those of the image. A path that is not UTF-8, and a name that would be
//! read as something else, is `hex:` and its bytes in hexadecimal. Kinds that are not known are kept as they
//! are: images of newer versions may have some.

use std::ffi::{OsStr, OsString};
use std::fmt;
use std::os::unix::ffi::{OsStrExt as _, OsStringExt as _};
use std::path::{Path, PathBuf};
use std::sync::Arc;

/// Why something is in an image. What is printed is parsed to the same value, and what is parsed is
/// printed as the same text.
#[derive(Debug, Clone, PartialEq, Eq, PartialOrd, Ord)]
pub enum Cause {
    /// It lies in an installation prefix of the module with this full name.
    Module(String),
    /// It is the modulefile of this module, or a file that gives it names and defaults.
    Modulefile(String),
    /// An ELF file needs it.
    Library {
        /// As it is named there: `libz.so.1`, or the path of what loads a program.
        name: OsString,
        /// The ELF file.
        user: PathBuf,
    },
    /// This link leads to it.
    Link(PathBuf),
    /// This script names it, as what runs it or further below.
    Script(PathBuf),
    /// It is of the standard library of this interpreter.
    Interpreter(PathBuf),
    /// A constant of this program names it.
    Constant(PathBuf),
    /// This variable of the image names it.
    Environment(String),
    /// This machine's own, as every image with such a base has it.
    Base(String),
    /// This machine's own interpreter of this name, with what belongs to it, for a script.
    BaseScript {
        /// As it is named there.
        name: OsString,
        /// The script.
        user: PathBuf,
    },
    /// A base that others made has it.
    Beneath,
    /// Every slim base keeps it.
    Core(String),
    /// It belongs to the compatibility layer in this directory.
    Layer(PathBuf),
    /// Starting a session of the stack of this name reads it.
    Init(String),
    /// The user asked for it by this path.
    Include(PathBuf),
    /// It was made for the image.
    Generated,
    /// A reason of a kind that is not known.
    Other(String),
}

impl Cause {
    /// What a reason says. Every text is one, if only [`Cause::Other`].
    #[must_use]
    pub fn parse(reason: &str) -> Self {
        match understood(reason) {
            // what is written in another way than ours is not taken apart
            Some(cause) if cause.to_string() == reason => cause,
            _ => Self::Other(reason.to_owned()),
        }
    }

    /// The word before the colon; the whole of a reason without one.
    #[must_use]
    pub fn kind(&self) -> &str {
        match self {
            Self::Module(_) => "module",
            Self::Modulefile(_) => "modulefile",
            Self::Library { .. } => "library",
            Self::Link(_) => "link",
            Self::Script(_) => "script",
            Self::Interpreter(_) => "interpreter",
            Self::Constant(_) => "constant",
            Self::Environment(_) => "environment",
            Self::Base(_) | Self::BaseScript { .. } | Self::Beneath => "base",
            Self::Core(_) => "core",
            Self::Layer(_) => "compat",
            Self::Init(_) => "init",
            Self::Include(_) => "include",
            Self::Generated => "generated",
            Self::Other(text) => text.split(':').next().unwrap_or(text),
        }
    }

    /// The path in the image that is there for a reason of its own, and needs this.
    #[must_use]
    pub fn user(&self) -> Option<&Path> {
        match self {
            Self::Library { user, .. }
            | Self::BaseScript { user, .. }
            | Self::Script(user)
            | Self::Interpreter(user)
            | Self::Constant(user)
            | Self::Link(user) => Some(user),
            _ => None,
        }
    }

    /// The module whose file it is.
    #[must_use]
    pub fn module(&self) -> Option<&str> {
        match self {
            Self::Module(name) | Self::Modulefile(name) => Some(name),
            _ => None,
        }
    }
}

impl fmt::Display for Cause {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let kind = self.kind();
        match self {
            Self::Other(text) => f.write_str(text),
            Self::Module(detail)
            | Self::Modulefile(detail)
            | Self::Core(detail)
            | Self::Environment(detail)
            | Self::Init(detail) => write!(f, "{kind}:{detail}"),
            Self::Base(name) => write!(f, "{kind}:{}", encoded(name.as_ref(), is_name)),
            Self::Beneath | Self::Generated => write!(f, "{kind}:"),
            Self::Link(path)
            | Self::Script(path)
            | Self::Interpreter(path)
            | Self::Constant(path)
            | Self::Layer(path)
            | Self::Include(path) => {
                write!(f, "{kind}:{}", encoded(path.as_ref(), is_path))
            }
            Self::Library { name, user } | Self::BaseScript { name, user } => {
                let name = encoded(name, is_name);
                write!(f, "{kind}:{name}{FOR}{}", encoded(user.as_ref(), is_path))
            }
        }
    }
}

impl From<Cause> for Arc<str> {
    fn from(cause: Cause) -> Self {
        cause.to_string().into()
    }
}

/// Between the name of what is needed and the path of what needs it.
const FOR: &str = " for ";
/// Before bytes that are written in hexadecimal.
const HEX: &str = "hex:";

/// Whether a path can stand as it is. Others than those of the root are none that images have.
fn is_path(text: &str) -> bool {
    text.starts_with('/')
}

/// Whether a name can stand as it is, with a path behind it or not.
fn is_name(text: &str) -> bool {
    !text.is_empty() && !text.starts_with(HEX) && split_user(text).is_none()
}

/// `text` as it is if it is `plain`, else its bytes.
fn encoded(text: &OsStr, plain: impl Fn(&str) -> bool) -> String {
    match text.to_str().filter(|text| plain(text)) {
        Some(text) => text.to_owned(),
        None => {
            text.as_bytes().iter().fold(HEX.to_owned(), |hex, byte| hex + &format!("{byte:02x}"))
        }
    }
}

/// The opposite of [`encoded`].
fn decoded(text: &str) -> Option<OsString> {
    let Some(hex) = text.strip_prefix(HEX) else { return Some(text.into()) };
    let digit = |byte: u8| char::from(byte).to_digit(16).and_then(|digit| u8::try_from(digit).ok());
    let (pairs, rest) = hex.as_bytes().as_chunks::<2>();
    let bytes: Option<Vec<u8>> =
        pairs.iter().map(|&[high, low]| Some(digit(high)? << 4 | digit(low)?)).collect();
    bytes.filter(|_| rest.is_empty()).map(OsString::from_vec)
}

/// Name and path of `NAME for PATH`.
fn split_user(text: &str) -> Option<(&str, &str)> {
    let mut places = text.match_indices(FOR);
    places.find_map(|(at, _)| {
        let (name, user) = (text.get(..at)?, text.get(at + FOR.len()..)?);
        (user.starts_with('/') || user.starts_with(HEX)).then_some((name, user))
    })
}

/// What a reason in our own way of writing says.
fn understood(reason: &str) -> Option<Cause> {
    let (kind, detail) = reason.split_once(':')?;
    let path = || decoded(detail).map(PathBuf::from);
    let with_user = || {
        let (name, user) = split_user(detail)?;
        Some((decoded(name)?, PathBuf::from(decoded(user)?)))
    };
    Some(match kind {
        "module" => Cause::Module(detail.to_owned()),
        "modulefile" => Cause::Modulefile(detail.to_owned()),
        "core" => Cause::Core(detail.to_owned()),
        "init" => Cause::Init(detail.to_owned()),
        "environment" => Cause::Environment(detail.to_owned()),
        "link" => Cause::Link(path()?),
        "script" => Cause::Script(path()?),
        "interpreter" => Cause::Interpreter(path()?),
        "constant" => Cause::Constant(path()?),
        "compat" => Cause::Layer(path()?),
        "include" => Cause::Include(path()?),
        "generated" if detail.is_empty() => Cause::Generated,
        "base" if detail.is_empty() => Cause::Beneath,
        "library" => {
            let (name, user) = with_user()?;
            Cause::Library { name, user }
        }
        "base" => match with_user() {
            Some((name, user)) => Cause::BaseScript { name, user },
            None => Cause::Base(decoded(detail)?.into_string().ok()?),
        },
        _ => return None,
    })
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    #[test]
    fn reasons_have_their_written_form() {
        let odd = PathBuf::from(OsString::from_vec(b"/a\xff".to_vec()));
        let library =
            |name: &str, user: &str| Cause::Library { name: name.into(), user: user.into() };
        for (text, cause) in [
            ("module:GCC/13.2.0", Cause::Module("GCC/13.2.0".to_owned())),
            ("library:libz.so.1 for /a for /b", library("libz.so.1", "/a for /b")),
            ("library:/lib64/ld.so for /b", library("/lib64/ld.so", "/b")),
            ("library:hex:6120666f72202f62 for /c", library("a for /b", "/c")),
            ("link:hex:2f61ff", Cause::Link(odd)),
            ("base:", Cause::Beneath),
            ("base:ls", Cause::Base("ls".to_owned())),
            (
                "base:python3 for /x",
                Cause::BaseScript { name: "python3".into(), user: "/x".into() },
            ),
            ("interpreter:/c", Cause::Interpreter("/c".into())),
            ("compat:/c", Cause::Layer("/c".into())),
            ("generated:", Cause::Generated),
            ("new:thing", Cause::Other("new:thing".to_owned())),
            ("link:hex:2f61", Cause::Other("link:hex:2f61".to_owned())),
            ("library:libz.so.1", Cause::Other("library:libz.so.1".to_owned())),
            ("", Cause::Other(String::new())),
        ] {
            assert_eq!(Cause::parse(text), cause, "{text}");
            assert_eq!(cause.to_string(), text);
        }
        assert_eq!(Cause::parse("new:thing").kind(), "new");
    }

    fn name() -> impl Strategy<Value = OsString> {
        let odd = prop::collection::vec(any::<u8>(), 0..12).prop_map(OsString::from_vec);
        prop_oneof![
            "(hex:|lib[a-z]{1,3}\\.so| for /| for hex:|[0-9a-f]{2}|/| ){0,5}"
                .prop_map(OsString::from),
            odd
        ]
    }

    fn path() -> impl Strategy<Value = PathBuf> {
        name().prop_map(|name| {
            let mut path = b"/".to_vec();
            path.extend_from_slice(name.as_bytes());
            OsString::from_vec(path).into()
        })
    }

    fn cause() -> impl Strategy<Value = Cause> {
        prop_oneof![
            any::<String>().prop_map(Cause::Module),
            any::<String>().prop_map(Cause::Modulefile),
            any::<String>().prop_map(Cause::Core),
            any::<String>().prop_map(Cause::Init),
            (name(), path()).prop_map(|(name, user)| Cause::Library { name, user }),
            any::<String>().prop_map(Cause::Environment),
            path().prop_map(Cause::Script),
            path().prop_map(Cause::Interpreter),
            path().prop_map(Cause::Constant),
            (name(), path()).prop_map(|(name, user)| Cause::BaseScript { name, user }),
            name().prop_filter_map("a name", |name| {
                let name = name.into_string().ok().filter(|name| !name.is_empty())?;
                Some(Cause::Base(name))
            }),
            path().prop_map(Cause::Link),
            path().prop_map(Cause::Layer),
            path().prop_map(Cause::Include),
            Just(Cause::Beneath),
            Just(Cause::Generated),
        ]
    }

    proptest! {
        #[test]
        fn what_is_printed_is_parsed_to_the_same(cause in cause()) {
            prop_assert_eq!(Cause::parse(&cause.to_string()), cause);
        }

        #[test]
        fn what_is_parsed_is_printed_as_the_same(
            text in "(module|library|link|base|script|new)?:?(lib\\.so|/a|hex:|2f|zz| for )*"
        ) {
            prop_assert_eq!(Cause::parse(&text).to_string(), text);
        }
    }
}
