//! Images of the look-alike, run: by a real Apptainer as root and as an ordinary user, and by
//! `module-export run`.

mod apptainer;
mod host;
mod run;
mod site;

use std::path::PathBuf;
use std::sync::OnceLock;

use crate::cli::session::{eessi, module_export};
use crate::common::TestEnv;

/// An image and the session that it was made from.
pub(crate) struct Exported {
    pub(crate) env: TestEnv,
    pub(crate) session: crate::cli::session::Session,
    pub(crate) image: PathBuf,
}

/// MiniSim, tuned for this CPU where the look-alike is; made once for all tests of this process.
pub(crate) fn minisim() -> Option<&'static Exported> {
    static EXPORTED: OnceLock<Option<Exported>> = OnceLock::new();
    EXPORTED.get_or_init(|| export("module load MiniSim", "")).as_ref()
}

/// Exports a session of the look-alike.
pub(crate) fn export(commands: &str, flags: &str) -> Option<Exported> {
    let env = TestEnv::new();
    let session = eessi(&env, commands)?;
    let words = format!("container -a O'Hara -n image -q --compression gzip:1 {flags}");
    env.run(&mut module_export(&env, &session, &words)).success();
    let image = env.work().join("image.sif");
    Some(Exported { env, session, image })
}
