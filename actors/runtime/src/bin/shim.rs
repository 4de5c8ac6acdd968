//! A shim alone, for this crate's own tests: what `trireme shim SPEC` is in the product.

use std::path::Path;
use std::process::ExitCode;

fn main() -> ExitCode {
    let Some(spec) = std::env::args().nth(1) else { return ExitCode::from(2) };
    match trireme_runtime::run_shim(Path::new(&spec)) {
        Ok(()) => ExitCode::SUCCESS,
        Err(_) => ExitCode::FAILURE,
    }
}
