//! stub
use super::collect::Collector;
use super::{ClosureError, Request};
pub(super) fn add(_: &mut Collector<'_>, _: &Request<'_>) -> Result<(), ClosureError> {
    Ok(())
}
