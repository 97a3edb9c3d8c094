//! What developers want to see: off unless `MODULE_EXPORT_LOG` names a level.

use std::io::Write as _;

use log::{LevelFilter, Log, Metadata, Record};

use super::context::Context;
use super::diagnose::Failure;
use crate::base::Escaped;

/// The variable that switches it on.
const VARIABLE: &str = "MODULE_EXPORT_LOG";

struct Stderr;

impl Log for Stderr {
    fn enabled(&self, metadata: &Metadata<'_>) -> bool {
        metadata.target().starts_with("module_export")
    }

    fn log(&self, record: &Record<'_>) {
        if self.enabled(record.metadata()) {
            let text = record.args().to_string();
            // a closed stderr is nobody's loss
            let _ = writeln!(
                std::io::stderr(),
                "{} {}: {}",
                record.level(),
                record.target(),
                Escaped(&text)
            );
        }
    }

    fn flush(&self) {}
}

/// Starts logging to stderr, if asked to.
///
/// # Errors
/// [`Failure::Usage`] for a level that does not exist.
pub(super) fn start(context: &Context) -> Result<(), Failure> {
    let text = context.environment.get(VARIABLE).filter(|text| !text.is_empty());
    let Some(text) = text else { return Ok(()) };
    let level: LevelFilter = text.parse().map_err(|_| {
        let text = Escaped(text);
        Failure::Usage(format!("{VARIABLE} is `{text}`, none of error, warn, info, debug, trace"))
    })?;
    // fails only where a logger is set already: then there is one
    if log::set_boxed_logger(Box::new(Stderr)).is_ok() {
        log::set_max_level(level);
    }
    Ok(())
}
