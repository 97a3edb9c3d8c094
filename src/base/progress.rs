//! How far long work has come.

/// Receives the progress of an export; called from one thread at a time per stage, so
/// implementations must be `Sync`.
pub trait Progress: Sync {
    /// A new stage begins (`"evaluating modulefiles"`), of so many files and bytes where known.
    fn stage(&self, name: &str, files: Option<u64>, bytes: Option<u64>);
    /// So much more of the current stage is done.
    fn advance(&self, files: u64, bytes: u64);
    /// The current stage has ended.
    fn finish(&self);
}

/// Shows nothing.
#[derive(Debug, Clone, Copy, Default)]
pub struct Silent;

impl Progress for Silent {
    fn stage(&self, _name: &str, _files: Option<u64>, _bytes: Option<u64>) {}
    fn advance(&self, _files: u64, _bytes: u64) {}
    fn finish(&self) {}
}
