//! stub
use super::ClosureError;
use super::collect::Collector;
pub(super) fn add(_: &mut Collector<'_>) -> Result<(), ClosureError> {
    Ok(())
}
