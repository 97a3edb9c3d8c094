//! When a file of the host was written to.

use std::fs::Metadata;
use std::num::NonZeroI64;
use std::os::unix::fs::MetadataExt as _;

/// A file's time of last modification in nanoseconds; only good for comparing.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Stamp(NonZeroI64);

impl Stamp {
    /// That of a file of the host, which may lie in any century.
    #[must_use]
    pub fn of(found: &Metadata) -> Self {
        Self::at(found.mtime(), found.mtime_nsec())
    }

    /// So many seconds and nanoseconds since 1970.
    #[must_use]
    pub fn at(seconds: i64, nanoseconds: i64) -> Self {
        let all = seconds.wrapping_mul(1_000_000_000).wrapping_add(nanoseconds);
        // no time is 0, so that none at all takes no room
        Self(NonZeroI64::new(all).unwrap_or(NonZeroI64::MIN))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn times_that_differ_by_a_nanosecond_differ_and_none_takes_no_room() {
        assert_eq!(Stamp::at(5, 7), Stamp::at(5, 7));
        for (seconds, nanoseconds) in [(5, 8), (4, 7), (0, 0), (-1, 999_999_999), (i64::MAX, 0)] {
            assert_ne!(Stamp::at(5, 7), Stamp::at(seconds, nanoseconds));
        }
        assert_eq!(size_of::<Option<Stamp>>(), 8);
    }
}
