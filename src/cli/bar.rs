//! The progress of one stage as one line of text.

use std::time::Duration;

use crate::base::ByteSize;

/// Widths that the bar itself may have, brackets aside.
const BAR: std::ops::RangeInclusive<usize> = 6..=30;
/// Before this much time the rest cannot be told.
const FIRST_GUESS: Duration = Duration::from_secs(1);

/// How far a stage is.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) struct Position<'a> {
    /// What is done.
    pub(super) name: &'a str,
    /// Files so far, and all of them where known.
    pub(super) files: (u64, Option<u64>),
    /// Bytes so far, and all of them where known.
    pub(super) bytes: (u64, Option<u64>),
    /// Time since the stage began.
    pub(super) elapsed: Duration,
}

impl Position<'_> {
    /// The line, at most `width` columns wide; what matters least goes first.
    pub(super) fn line(&self, width: usize) -> String {
        let name = self.name.to_owned();
        let left = self.left();
        let facts: Vec<String> =
            [left.clone(), self.bytes(), self.files()].into_iter().flatten().collect();
        let percent = self.percent().map(|percent| format!(" {percent:>3} %"));
        let head = format!("{name}{}", percent.as_deref().unwrap_or_default());
        let mut candidates = Vec::new();
        let with_facts = |head: &str, count: usize| {
            let mut shown: Vec<&str> = facts.iter().take(count).map(String::as_str).collect();
            // the time left is the first to know and the last to read
            shown.rotate_left(usize::from(left.is_some() && count > 0));
            let gap = if percent.is_some() { "  " } else { ": " };
            if shown.is_empty() {
                head.to_owned()
            } else {
                format!("{head}{gap}{}", shown.join(", "))
            }
        };
        if let Some(percent) = self.percent() {
            let with_bar =
                |bar: &str| with_facts(&format!("{name} [{bar}] {percent:>3} %"), facts.len());
            let room = width.saturating_sub(with_bar("").chars().count());
            if room >= *BAR.start() {
                candidates.push(with_bar(&bar(percent, room.min(*BAR.end()))));
            }
        }
        candidates.extend((0..=facts.len()).rev().map(|count| with_facts(&head, count)));
        let fits = |line: &String| line.chars().count() <= width;
        candidates.into_iter().find(fits).unwrap_or_else(|| head.chars().take(width).collect())
    }

    /// Done and all, in what is known better.
    fn share(&self) -> Option<(u64, u64)> {
        let known = |(done, all): (u64, Option<u64>)| Some((done, all.filter(|&all| all > 0)?));
        known(self.bytes).or_else(|| known(self.files))
    }

    fn percent(&self) -> Option<u64> {
        let (done, all) = self.share()?;
        Some((u128::from(done) * 100 / u128::from(all)).try_into().map_or(100, |p: u64| p.min(100)))
    }

    fn left(&self) -> Option<String> {
        let Some((done, all)) = self.share() else {
            return (self.elapsed >= FIRST_GUESS).then(|| duration(self.elapsed.as_secs()));
        };
        if self.elapsed < FIRST_GUESS || done == 0 {
            return None;
        }
        let rest = u128::from(all.saturating_sub(done));
        let seconds = (self.elapsed.as_millis() * rest / u128::from(done)).div_ceil(1000);
        Some(format!("{} left", duration(u64::try_from(seconds).unwrap_or(u64::MAX))))
    }

    fn bytes(&self) -> Option<String> {
        match self.bytes {
            (done, Some(all)) => Some(format!("{} of {}", ByteSize(done), ByteSize(all))),
            (0, None) => None,
            (done, None) => Some(ByteSize(done).to_string()),
        }
    }

    fn files(&self) -> Option<String> {
        match self.files {
            (done, Some(all)) if self.bytes.1.is_none() => Some(format!("{done} of {all} files")),
            (0, _) => None,
            (done, _) => Some(format!("{done} files")),
        }
    }
}

fn bar(percent: u64, width: usize) -> String {
    let filled = usize::try_from(percent).unwrap_or(100).min(100) * width / 100;
    let head = if filled < width { ">" } else { "" };
    format!("{:<width$}", "=".repeat(filled) + head)
}

/// Seconds as people say them.
fn duration(seconds: u64) -> String {
    match (seconds / 3600, seconds / 60 % 60, seconds % 60) {
        (0, 0, seconds) => format!("{seconds} s"),
        (0, minutes, seconds) => format!("{minutes} min {seconds:02} s"),
        (hours, minutes, _) => format!("{hours} h {minutes:02} min"),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn writing() -> Position<'static> {
        Position {
            name: "writing the image",
            files: (2_282, Some(24_146)),
            bytes: (135_000_000, Some(540_000_000)),
            elapsed: Duration::from_secs(4),
        }
    }

    #[test]
    fn a_narrow_terminal_loses_what_matters_least() {
        for (width, want) in [
            (
                120,
                "writing the image [=======>                      ]  25 %  135 MB of 540 MB, 2282 files, 12 s left",
            ),
            (77, "writing the image [==>       ]  25 %  135 MB of 540 MB, 2282 files, 12 s left"),
            (70, "writing the image  25 %  135 MB of 540 MB, 2282 files, 12 s left"),
            (60, "writing the image  25 %  135 MB of 540 MB, 12 s left"),
            (40, "writing the image  25 %  12 s left"),
            (25, "writing the image  25 %"),
            (10, "writing th"),
        ] {
            assert_eq!(writing().line(width), want);
        }
    }

    #[test]
    fn a_stage_without_a_known_end_shows_what_it_has() {
        let mut position = Position {
            name: "finding files",
            files: (0, None),
            bytes: (0, None),
            elapsed: Duration::ZERO,
        };
        assert_eq!(position.line(80), "finding files");
        position.files.0 = 12;
        position.bytes.0 = 7;
        assert_eq!(position.line(80), "finding files: 7 B, 12 files");
        position.bytes.0 = 0;
        assert_eq!(position.line(80), "finding files: 12 files");
        position.elapsed = Duration::from_secs(61);
        assert_eq!(position.line(80), "finding files: 12 files, 1 min 01 s");
    }

    #[test]
    fn nothing_of_nothing_and_more_than_all_are_no_disaster() {
        let of = |done, all| Position { bytes: (done, Some(all)), files: (0, None), ..writing() };
        assert_eq!(of(0, 0).line(80), "writing the image: 0 B of 0 B, 4 s");
        assert_eq!(of(9, 3).percent(), Some(100));
        assert_eq!(of(u64::MAX, u64::MAX).percent(), Some(100));
        assert!(of(1, u64::MAX).line(200).contains(" left"));
        assert_eq!(duration(7_260), "2 h 01 min");
    }
}
