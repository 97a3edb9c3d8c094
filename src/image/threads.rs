//! Threads, as many as the system allows.

use super::ImageError;

/// Makes threads as far as the system lets us: limits on login nodes can be tight, and the bytes
/// are the same with fewer.
pub(super) fn at_least_one<T>(
    threads: impl Iterator<Item = std::io::Result<T>>,
) -> Result<(), ImageError> {
    for (made, thread) in threads.enumerate() {
        match thread {
            Ok(_) => {}
            Err(error) if made == 0 => return Err(ImageError::Threads(error)),
            Err(_) => break,
        }
    }
    Ok(())
}
