//! Attributes for tests that run on both databases, or on one of them.

use proc_macro::{TokenStream, TokenTree};

/// Setting of the tests: URL of a PostgreSQL server.
const SERVER: &str = "VESTIBULE_TEST_POSTGRES_URL";

/// Turns `async fn name(place: Place)` into two native tests, `name::sqlite` and `name::postgres`. The latter is ignored,
/// and counted as such, if the tests are compiled without a server in `VESTIBULE_TEST_POSTGRES_URL`. An argument such as
/// `ignore` applies to both.
#[proc_macro_attribute]
pub fn both_databases(attributes: TokenStream, function: TokenStream) -> TokenStream {
    tests(&attributes, function, &["sqlite", "postgres"])
}

/// Turns `async fn name(place: Place)` into the native test `name::sqlite`: for behaviour that only SQLite has.
#[proc_macro_attribute]
pub fn sqlite_only(attributes: TokenStream, function: TokenStream) -> TokenStream {
    tests(&attributes, function, &["sqlite"])
}

/// Turns `async fn name(place: Place)` into the native test `name::postgres`: for behaviour that only PostgreSQL has.
/// Without a server, it is ignored as in [`macro@both_databases`].
#[proc_macro_attribute]
pub fn postgres_only(attributes: TokenStream, function: TokenStream) -> TokenStream {
    tests(&attributes, function, &["postgres"])
}

/// The function, followed by a module with a test for each of these databases.
fn tests(attributes: &TokenStream, function: TokenStream, databases: &[&str]) -> TokenStream {
    let mut tokens = function.clone().into_iter();
    let is_fn = |token: &TokenTree| matches!(token, TokenTree::Ident(word) if word.to_string() == "fn");
    let name = tokens.by_ref().find(is_fn).and_then(|_| tokens.next());
    let Some(name) = name else {
        return "compile_error!(\"the attributes of tests are for functions\");".parse().unwrap_or_default();
    };
    let tests = databases.iter().map(|database| {
        let attributes = match (attributes.is_empty(), *database) {
            (false, _) => format!("#[{attributes}]"),
            (true, "postgres") if !has_server() => format!("#[ignore = \"set {SERVER}\"]"),
            (true, _) => String::new(),
        };
        format!(
            "#[test]
            {attributes}
            fn {database}() {{
                crate::test_database::on_{database}(super::{name});
            }}
            "
        )
    });
    let tests = format!("mod {name} {{ {} }}", tests.collect::<String>());
    function.into_iter().chain(tests.parse::<TokenStream>().unwrap_or_default()).collect()
}

/// True if there is a server at compile time. Cargo compiles the tests again when the variable changes, because
/// `tests/it/test_database.rs` reads it as well.
fn has_server() -> bool {
    #[expect(clippy::disallowed_methods, reason = "a setting of the tests, not of the service")]
    std::env::var_os(SERVER).is_some_and(|url| !url.is_empty())
}
