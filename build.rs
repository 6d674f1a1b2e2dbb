//! Embeds GraphiQL, as built in `graphiql/bundle`, into the binary.

use std::path::{Path, PathBuf};
use std::{env, fs, io};

#[expect(clippy::disallowed_methods, reason = "cargo passes directories to a build script in the environment")]
fn main() -> io::Result<()> {
    println!("cargo::rerun-if-changed=build.rs");
    println!("cargo::rerun-if-changed=graphiql/bundle");
    let folder = |name| env::var_os(name).map(PathBuf::from).ok_or(io::ErrorKind::NotFound);
    let bundle = folder("CARGO_MANIFEST_DIR")?.join("graphiql/bundle");
    match code(&bundle) {
        Ok(code) => fs::write(folder("OUT_DIR")?.join("graphiql.rs"), code),
        Err(error) => {
            println!(
                "cargo::error=graphiql/bundle is incomplete ({error}). Restore it with `git restore graphiql/bundle`, or \
                 build it with `npm ci && npm run build --workspace graphiql`."
            );
            Ok(())
        }
    }
}

/// The bundle as a Rust expression.
fn code(bundle: &Path) -> io::Result<String> {
    let page = bundle.join("index.html.gz");
    fs::metadata(&page)?;
    let mut assets = Vec::new();
    for entry in fs::read_dir(bundle.join("assets"))? {
        let file = entry?.path();
        if let Some(name) = file.file_name().and_then(|name| name.to_str()).and_then(|name| name.strip_suffix(".gz")) {
            assets.push(format!("({name:?}, {})", content(&file)));
        }
    }
    if assets.is_empty() {
        return Err(io::Error::new(io::ErrorKind::NotFound, "the directory of assets is empty"));
    }
    assets.sort();
    Ok(format!("Bundle {{ page: {}, assets: &[{}] }}", content(&page), assets.join(", ")))
}

fn content(file: &Path) -> String {
    format!("include_bytes!({:?})", file.to_string_lossy())
}
