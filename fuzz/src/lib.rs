//! Shared code of the cargo-fuzz targets, which run the targets of `vestibule::fuzzing` by name.

use std::path::PathBuf;

use vestibule::fuzzing::Target;

pub use libfuzzer_sys;

/// Returns the target with this name, and writes its seeds into its corpus.
pub fn begin(name: &str) -> Target {
    let target = vestibule::fuzzing::target(name).expect("the service has a target of this name");
    let corpus = PathBuf::from(env!("CARGO_MANIFEST_DIR")).join("corpus").join(name);
    std::fs::create_dir_all(&corpus).expect("the corpus can be written");
    for (number, seed) in (target.seeds)().iter().enumerate() {
        std::fs::write(corpus.join(format!("seed-{number}")), seed).expect("the corpus can be written");
    }
    target
}

/// Defines the fuzz target with this name.
#[macro_export]
macro_rules! feed {
    ($name:literal) => {
        static TARGET: std::sync::OnceLock<vestibule::fuzzing::Target> = std::sync::OnceLock::new();

        $crate::libfuzzer_sys::fuzz_target!(
            init: drop(TARGET.set($crate::begin($name))),
            |bytes: &[u8]| {
                if let Some(target) = TARGET.get() {
                    (target.run)(bytes);
                }
            }
        );
    };
}
