//! Images of the look-alike, run: by a real Apptainer as root and as an ordinary user, and by
//! `module-export run`.

mod apptainer;
mod base;
mod bytecode;
mod host;
mod oci;
mod others;
mod run;
mod site;
mod slim;

use std::path::PathBuf;
use std::sync::{Arc, Mutex, PoisonError, Weak};

use crate::cli::session::{eessi, module_export};
use crate::common::TestEnv;

/// An image and the session that it was made from.
pub(crate) struct Exported {
    pub(crate) env: TestEnv,
    pub(crate) session: crate::cli::session::Session,
    pub(crate) image: PathBuf,
}

/// MiniSim, tuned for this CPU where the look-alike is. Tests that run at the same time in one
/// process share it; the last one removes it.
pub(crate) fn minisim() -> Option<Arc<Exported>> {
    static SHARED: Mutex<Weak<Exported>> = Mutex::new(Weak::new());
    // a test that failed has left a whole value behind
    let mut shared = SHARED.lock().unwrap_or_else(PoisonError::into_inner);
    if let Some(exported) = shared.upgrade() {
        return Some(exported);
    }
    let exported = Arc::new(export("module load MiniSim", "")?);
    *shared = Arc::downgrade(&exported);
    Some(exported)
}

/// Exports a session of the look-alike.
pub(crate) fn export(commands: &str, flags: &str) -> Option<Exported> {
    let env = TestEnv::new();
    let session = eessi(&env, commands)?;
    let compression = if flags.contains("--compression") { "" } else { "--compression gzip:1" };
    let words = format!("container -a O'Hara -n image -q {compression} {flags}");
    env.run(&mut module_export(&env, &session, &words)).success();
    let image = env.work().join("image.sif");
    Some(Exported { env, session, image })
}
