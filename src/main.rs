//! Freezes the loaded environment modules into an image; see the README.

use std::process::ExitCode;

fn main() -> ExitCode {
    module_export::cli::main()
}
