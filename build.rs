//! Embeds the GraphiQL bundle into the binary if `npm run build` has written `graphiql/dist`.

use std::path::{Path, PathBuf};
use std::{env, fs, io};

#[expect(clippy::disallowed_methods, reason = "cargo passes directories to a build script in the environment")]
fn main() -> io::Result<()> {
    println!("cargo::rerun-if-changed=build.rs");
    println!("cargo::rerun-if-changed=graphiql/dist");
    let folder = |name| env::var_os(name).map(PathBuf::from).ok_or(io::ErrorKind::NotFound);
    let bundle = folder("CARGO_MANIFEST_DIR")?.join("graphiql/dist");
    fs::write(folder("OUT_DIR")?.join("graphiql.rs"), code(&bundle)?)
}

/// The bundle as a Rust expression.
fn code(bundle: &Path) -> io::Result<String> {
    let page = bundle.join("index.html.gz");
    if !page.exists() {
        return Ok("None".to_owned());
    }
    let mut assets = Vec::new();
    for entry in fs::read_dir(bundle.join("assets"))? {
        let file = entry?.path();
        if let Some(name) = file.file_name().and_then(|name| name.to_str()).and_then(|name| name.strip_suffix(".gz")) {
            assets.push(format!("({name:?}, {})", content(&file)));
        }
    }
    assets.sort();
    Ok(format!("Some(Bundle {{ page: {}, assets: &[{}] }})", content(&page), assets.join(", ")))
}

fn content(file: &Path) -> String {
    format!("include_bytes!({:?})", file.to_string_lossy())
}
