//! What the process was started with; read once, handed down.

use std::path::PathBuf;
use std::time::{Duration, SystemTime, UNIX_EPOCH};

use anyhow::Context as _;

use crate::base::{Epoch, Interrupt};
use crate::environment::Variables;

/// Seconds that one modulefile, or one command of it, may take; see `MODULE_EXPORT_EVALUATION_SECONDS`.
const EVALUATION_SECONDS: u64 = 30;

/// Environment, time and program.
#[derive(Debug, Clone)]
pub(super) struct Context {
    /// Variables whose name and value are UTF-8.
    pub(super) environment: Variables,
    /// Names of the others.
    pub(super) not_text: Vec<String>,
    /// This program, to start it again as a child.
    pub(super) program: PathBuf,
    /// Set by signals.
    pub(super) interrupt: Interrupt,
    /// How long one modulefile may take.
    pub(super) evaluation_time: Duration,
    /// Now.
    pub(super) now: Epoch,
}

impl Context {
    /// Reads environment and clock, and watches for signals from now on.
    pub(super) fn new() -> anyhow::Result<Self> {
        let mut environment = Variables::new();
        let mut not_text = Vec::new();
        for (name, value) in std::env::vars_os() {
            match (name.into_string(), value.into_string()) {
                (Ok(name), Ok(value)) => drop(environment.insert(name, value)),
                (Ok(name), Err(_)) => not_text.push(name),
                (Err(name), _) => not_text.push(name.to_string_lossy().into_owned()),
            }
        }
        let interrupt = Interrupt::default();
        for signal in
            [signal_hook::consts::SIGINT, signal_hook::consts::SIGTERM, signal_hook::consts::SIGHUP]
        {
            signal_hook::flag::register(signal, interrupt.flag())
                .context("cannot watch for signals")?;
        }
        Ok(Self {
            evaluation_time: evaluation_time(&environment)?,
            program: std::env::current_exe().context("cannot find this program's own file")?,
            now: now(),
            environment,
            not_text,
            interrupt,
        })
    }

    /// Directory for scratch: that of `$TMPDIR` if there is one, else `/tmp`.
    pub(super) fn scratch(&self) -> PathBuf {
        let named = self.environment.get("TMPDIR").map(PathBuf::from);
        named.filter(|named| named.is_dir()).unwrap_or_else(|| PathBuf::from("/tmp"))
    }

    /// From now on a second signal ends the program at once, should a file system not answer. Not
    /// for who passes signals on.
    pub(super) fn end_at_second_signal(&self) -> anyhow::Result<()> {
        use signal_hook::consts::{SIGHUP, SIGINT, SIGTERM};
        let once = std::sync::Arc::new(std::sync::atomic::AtomicBool::new(self.interrupt.is_set()));
        for signal in [SIGINT, SIGTERM, SIGHUP] {
            // in this order: the first looks before the other sets the flag
            signal_hook::flag::register_conditional_default(signal, once.clone())
                .and_then(|_| signal_hook::flag::register(signal, once.clone()))
                .context("cannot watch for signals")?;
        }
        Ok(())
    }
}

fn evaluation_time(environment: &Variables) -> anyhow::Result<Duration> {
    let Some(text) = environment.get("MODULE_EXPORT_EVALUATION_SECONDS") else {
        return Ok(Duration::from_secs(EVALUATION_SECONDS));
    };
    let seconds = text.parse::<u64>().ok().filter(|seconds| (1..=86_400).contains(seconds));
    let seconds = seconds.ok_or_else(|| {
        super::diagnose::Failure::Usage(format!(
            "MODULE_EXPORT_EVALUATION_SECONDS is `{}`, not a number of seconds from 1 to 86400",
            crate::base::Escaped(text)
        ))
    })?;
    Ok(Duration::from_secs(seconds))
}

#[allow(clippy::disallowed_methods, reason = "the one place that asks for the time")]
fn now() -> Epoch {
    let seconds = SystemTime::now().duration_since(UNIX_EPOCH).map_or(0, |since| since.as_secs());
    Epoch::clamped(i64::try_from(seconds).unwrap_or(i64::MAX))
}
