//! Sizes in bytes.

use std::fmt;

use serde::{Deserialize, Serialize};

/// A number of bytes; displayed in decimal units as disks and `df -H` count, `1.2 GB`.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq, PartialOrd, Ord, Serialize, Deserialize)]
#[serde(transparent)]
pub struct ByteSize(pub u64);

impl fmt::Display for ByteSize {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        const UNITS: [&str; 6] = ["kB", "MB", "GB", "TB", "PB", "EB"];
        if self.0 < 1000 {
            return write!(f, "{} B", self.0);
        }
        // tenths of the next unit, rounded half up, in integers: exact for every u64
        let (mut tenths, mut unit) = (u128::from(self.0) / 10 + u128::from(self.0 % 10 >= 5), 0);
        tenths = (tenths + 5) / 10;
        while tenths >= 10_000 && unit + 1 < UNITS.len() {
            tenths = (tenths + 500) / 1000;
            unit += 1;
        }
        if tenths >= 1000 {
            write!(f, "{} {}", (tenths + 5) / 10, UNITS[unit])
        } else {
            write!(f, "{}.{} {}", tenths / 10, tenths % 10, UNITS[unit])
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn sizes_are_shown_in_decimal_units_with_two_or_three_digits() {
        for (bytes, shown) in [
            (0, "0 B"),
            (999, "999 B"),
            (1000, "1.0 kB"),
            (1_500_000, "1.5 MB"),
            (633_000_000, "633 MB"),
            (999_999_999, "1.0 GB"),
            (1_332_000_000, "1.3 GB"),
            (u64::MAX, "18.4 EB"),
        ] {
            assert_eq!(ByteSize(bytes).to_string(), shown);
        }
    }
}
