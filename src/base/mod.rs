//! Small types that every room may use.

pub mod cvmfs;
mod digest;
mod epoch;
mod escape;
pub mod fs;
mod interrupt;
pub mod path_text;
mod progress;
mod size;

pub use digest::{Digest, Hasher, InvalidDigest};
pub use epoch::{Epoch, InvalidEpoch};
pub use escape::Escaped;
pub use interrupt::{Interrupt, Interrupted};
pub use progress::{Progress, Silent};
pub use size::ByteSize;
