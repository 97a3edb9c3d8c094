//! What must not leave: software whose licence forbids to hand it on, and what tells of the person
//! who exports and of the place.

mod access;
mod assigned;
mod guarded;
mod names;
mod privacy;
mod reached;
mod restricted;
mod scan;
mod secrets;

pub use access::warnings as access_warnings;
pub use guarded::{licence_variables, modulefiles as guarded_modulefiles};
pub use privacy::{Found, LONGEST, Leak, Search, sentences};
pub use reached::{Reached, reached_files};
pub use restricted::{Allowed, Candidate, Judgement, Software, Table};
pub use scan::{Depth, Person, Scanner, Seen, Sighting, looks_secret};
