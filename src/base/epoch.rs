//! Times in whole seconds.

use std::fmt;
use std::str::FromStr;

use serde::{Deserialize, Serialize};

/// A time in seconds since 1970-01-01 UTC; at most 2³² − 1, which is what squashfs can hold.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Serialize, Deserialize)]
#[serde(transparent)]
pub struct Epoch(u32);

/// A text that is no time an image can hold.
#[derive(Debug, thiserror::Error)]
#[error("`{0}` is not a number of seconds between 0 and 4294967295")]
pub struct InvalidEpoch(String);

impl Epoch {
    /// The mtime of generated files where no epoch is given: not 0, which some tools show as
    /// "unset".
    pub const GENERATED: Self = Self(1);

    /// The time `seconds` after 1970-01-01 UTC.
    #[must_use]
    pub const fn from_seconds(seconds: u32) -> Self {
        Self(seconds)
    }

    /// `seconds` as a time an image can hold: the nearest one.
    #[must_use]
    pub fn clamped(seconds: i64) -> Self {
        Self(u32::try_from(seconds.max(0)).unwrap_or(u32::MAX))
    }

    /// Seconds since 1970-01-01 UTC.
    #[must_use]
    pub const fn seconds(self) -> u32 {
        self.0
    }

    /// The calendar date in UTC, as `2026-11-22`.
    #[must_use]
    pub fn date(self) -> String {
        self.format("%Y-%m-%d")
    }

    /// Date and time in UTC, as `2026-11-22T10:00:00Z`.
    #[must_use]
    pub fn timestamp(self) -> String {
        self.format("%Y-%m-%dT%H:%M:%SZ")
    }

    fn format(self, format: &str) -> String {
        // every u32 lies within jiff's range of years
        jiff::Timestamp::from_second(i64::from(self.0))
            .unwrap_or_default()
            .strftime(format)
            .to_string()
    }
}

impl fmt::Display for Epoch {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{}", self.0)
    }
}

impl FromStr for Epoch {
    type Err = InvalidEpoch;

    fn from_str(text: &str) -> Result<Self, Self::Err> {
        text.parse().map(Self).map_err(|_| InvalidEpoch(text.to_owned()))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn dates_are_those_of_utc() {
        for (seconds, date) in [
            (0, "1970-01-01"),
            (86_399, "1970-01-01"),
            (1_795_305_600, "2026-11-22"),
            (u32::MAX, "2106-02-07"),
        ] {
            assert_eq!(Epoch(seconds).date(), date);
        }
        assert_eq!(Epoch(61).timestamp(), "1970-01-01T00:01:01Z");
    }

    #[test]
    fn times_that_no_image_can_hold_are_refused_or_clamped() {
        for text in ["-1", "4294967296", "1.5", "", "now"] {
            assert!(text.parse::<Epoch>().is_err(), "{text}");
        }
        assert_eq!(Epoch::clamped(-5), Epoch(0));
        assert_eq!(Epoch::clamped(i64::MAX), Epoch(u32::MAX));
    }
}
