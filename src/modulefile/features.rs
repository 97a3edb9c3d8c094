//! Where Lmod's versions differ, and since which version.

/// Something that Lmod does since a certain version.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Feature {
    /// A modulefile that is evaluated more than 500 times is an error.
    EvaluationsCounted,
    /// Names of variables must be identifiers.
    NamesChecked,
    /// What `depends_on` loads counts its dependants even where the user asked for it as well.
    CountsDependants,
    /// `myModuleUsrName` of `x/1` that means `x/1.10` is `x/1.10`.
    WholeUserName,
    /// `pushenv` takes numbers.
    PushesNumbers,
    /// Several delimiters count as one; blanks before an element count as one.
    DelimitersCollapse,
    /// `isFile` of what is missing is nil, of a link what the link leads to.
    IsFileNil,
    /// Rc files may load chunks and libraries.
    RcRequires,
    /// `LMOD_MODULERC` names rc files.
    ModuleRcVariable,
    /// `LmodBreak()` needs no text, and the name asked for is no longer required.
    BreakIsSuccess,
    /// `LMOD_DISABLE_NAME_AUTOSWAP` is the other name of `LMOD_DISABLE_SAME_NAME_AUTOSWAP`.
    NameSwapRenamed,
    /// `conflict` and `isloaded` know `between` and the like.
    Ranges,
    /// `LMOD_TMOD_PATH_RULE` does not do away with `LMOD_DUPLICATE_PATHS`.
    DuplicatesKeepPlace,
    /// Colons around the elements of `PATH` and its like go.
    ColonsCleaned,
    /// `prereq` may load (where a site says so).
    AutoHandling,
    /// Several delimiters count as two.
    EmptyElementsStay,
    /// The highest version is looked for in every directory.
    AllDirectories,
    /// `source_sh` adds new elements of a list one by one, wherever the old ones are now.
    SourcedElements,
    /// Values with a newline reach the shell whole.
    NewlinesQuoted,
    /// Sites say which names of files are ignored; without that, `.version-…` and `.modulerc-…`.
    PatternsIgnored,
    /// `hide` and `forbid` in rc files.
    Hide,
    /// Functions of rc files take strings only.
    RcTypesChecked,
    /// `LMOD_SHOW_HIDDEN`.
    ShowHidden,
    /// `hideRegex` and `forbidRegex` in rc files.
    HidePatterns,
    /// Conflicts of loaded modules count (where a site says so).
    DownstreamConflicts,
    /// Calls in table form with `modeA`; arguments are checked by type, number and key.
    Tables,
    /// `pushenv` puts aside the value that it replaces, not its own.
    PushesOldValue,
    /// `capture` leaves `LD_LIBRARY_PATH` alone.
    CaptureKeepsLibraries,
    /// An error in an rc file is a warning.
    RcErrorsWarn,
    /// Part of a version may end at a `/`.
    PartialDirectories,
    /// A name asked for at the top stays required when it is unloaded.
    TopStaysRequired,
    /// Blanks are part of an element.
    BlanksKept,
    /// What `setenv` set is seen by `os.getenv` until the end, though undone.
    UndoneStaysVisible,
    /// `isloaded("c/1")` is true of `c/1.0`.
    VersionPrefixes,
    /// The hook `unload` is told the name as an object, too.
    UnloadHookNames,
    /// Settings of how names are found and paths grow may be assigned by a site's files.
    SettingsReadLate,
    /// Hooks know commands by the functions that serve them.
    LongCommandNames,
    /// `LMOD_CONFIG_DIR` may hold a `SitePackage.lua`.
    ConfigurationSearched,
    /// `LMOD_SITEPACKAGE_PREPEND` names files of the site.
    SitePackagePrepend,
    /// `.modulerc` and `.version` must begin as Tcl modulefiles do, or be empty.
    RcFilesChecked,
    /// Of several rc files in a directory only the best is read.
    BestRcOnly,
    /// Files of the site and the user mark versions where names are looked up, not where
    /// directories are scanned.
    MarksByPart,
    /// A modulefile may change the list of the site's rc files.
    RcListsAct,
    /// With versions in directories, the shortest beginning of a name is its short name.
    ShortestFirst,
    /// Whether that one fits, files say as well.
    FitsFiles,
    /// What its owner may not read is no modulefile.
    OwnerChecked,
    /// What is marked as default counts in `between` and the like though hidden.
    MarkedBetween,
    /// A name of which no version fits has no short name.
    ForgetsUnfound,
    /// Names of directories may begin or end with a blank.
    BlankDirectories,
    /// `x/1` may mean `x/.1` (where a site says so).
    DotHiddenAlias,
    /// Targets of aliases may be relative; names are hidden as they are written.
    RelativeTargets,
    /// Tcl: `haveDynamicMPATH`.
    TclDynamic,
    /// Names of aliases and functions of the shell have no blanks.
    AliasesChecked,
    /// Tcl: variables that a modulefile has set are put back when it ends, and must be there then.
    TclReset,
    /// Tcl may run as a program of its own, and need not be part of Lmod.
    TclDetaches,
    /// Tcl rc files: `module-hide` and `module-forbid` are known (and do nothing before `Hide`).
    TclHideAccepted,
    /// Tcl: `module purge`; other unknown words after `module` are errors.
    TclUnknownRefused,
    /// Tcl: `getenv`.
    TclGetenv,
    /// Tcl: `depends-on-any`.
    TclDependsOnAny,
    /// Tcl: `module-info shell NAME` compares.
    TclShellCompared,
    /// Tcl rc files: `module-info username` and `usergroups`.
    TclRcInfo,
    /// Tcl: priorities are numbers.
    TclNumbers,
    /// Tcl: commands have options such as `--mode`.
    TclOptions,
    /// Tcl: `module-help` and `report`.
    TclHelp,
    /// Tcl rc files: `module-hide-regex` and `module-forbid-regex`.
    TclRcPatterns,
    /// Rc files: `module_virtual`.
    RcVirtual,
}

impl Feature {
    /// The first version that has it.
    pub(super) fn since(self) -> (u32, u32, u32) {
        match self {
            Self::EvaluationsCounted | Self::RcFilesChecked => (8, 7, 3),
            Self::NamesChecked | Self::TclDynamic => (8, 7, 5),
            Self::TclReset | Self::AliasesChecked => (8, 7, 6),
            Self::BestRcOnly => (8, 7, 8),
            Self::CountsDependants | Self::WholeUserName => (8, 7, 14),
            Self::TclDetaches => (8, 7, 20),
            Self::DelimitersCollapse | Self::PushesNumbers | Self::TclHideAccepted => (8, 7, 22),
            Self::IsFileNil => (8, 7, 27),
            Self::NewlinesQuoted => (8, 7, 28),
            Self::TclUnknownRefused => (8, 7, 29),
            Self::TclGetenv => (8, 7, 31),
            Self::ModuleRcVariable | Self::RcRequires => (8, 7, 35),
            Self::BreakIsSuccess => (8, 7, 37),
            Self::Ranges
            | Self::ColonsCleaned
            | Self::DuplicatesKeepPlace
            | Self::MarksByPart
            | Self::RcListsAct
            | Self::SettingsReadLate => (8, 7, 38),
            Self::AutoHandling | Self::TclDependsOnAny => (8, 7, 41),
            Self::EmptyElementsStay => (8, 7, 44),
            Self::AllDirectories => (8, 7, 45),
            Self::PatternsIgnored | Self::SourcedElements => (8, 7, 49),
            Self::Hide | Self::RcTypesChecked => (8, 7, 50),
            Self::DownstreamConflicts | Self::ShowHidden => (8, 7, 54),
            Self::UnloadHookNames
            | Self::ShortestFirst
            | Self::TclShellCompared
            | Self::TclRcInfo => (8, 7, 56),
            Self::Tables | Self::LongCommandNames | Self::TclNumbers => (8, 7, 58),
            Self::PushesOldValue | Self::TclOptions => (8, 7, 60),
            Self::CaptureKeepsLibraries
            | Self::RcErrorsWarn
            | Self::FitsFiles
            | Self::OwnerChecked => (8, 7, 61),
            Self::MarkedBetween => (8, 7, 64),
            Self::PartialDirectories => (8, 7, 65),
            Self::TopStaysRequired | Self::ForgetsUnfound | Self::TclHelp => (8, 7, 66),
            Self::TclRcPatterns | Self::HidePatterns => (9, 0, 6),
            Self::ConfigurationSearched => (9, 0, 7),
            Self::BlanksKept | Self::BlankDirectories => (9, 2, 3),
            Self::UndoneStaysVisible
            | Self::VersionPrefixes
            | Self::NameSwapRenamed
            | Self::DotHiddenAlias => (9, 2, 6),
            Self::RcVirtual | Self::RelativeTargets => (9, 2, 7),
            Self::SitePackagePrepend => (9, 2, 9),
        }
    }
}
