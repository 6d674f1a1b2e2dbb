//! Attribute for tests that run on both databases.

use proc_macro::{TokenStream, TokenTree};

/// Turns `async fn name(place: Place)` into two native tests, `name::sqlite` and `name::postgres`. The latter needs the
/// server in `VESTIBULE_TEST_POSTGRES_URL`, and does nothing without one. An argument such as `ignore` applies to both.
#[proc_macro_attribute]
pub fn both_databases(attributes: TokenStream, function: TokenStream) -> TokenStream {
    let mut tokens = function.clone().into_iter();
    let is_fn = |token: &TokenTree| matches!(token, TokenTree::Ident(word) if word.to_string() == "fn");
    let name = tokens.by_ref().find(is_fn).and_then(|_| tokens.next());
    let Some(name) = name else {
        return "compile_error!(\"`both_databases` is for functions\");".parse().unwrap_or_default();
    };
    let attributes = if attributes.is_empty() { String::new() } else { format!("#[{attributes}]") };
    let tests = format!(
        "mod {name} {{
            #[test]
            {attributes}
            fn sqlite() {{
                crate::test_database::on_sqlite(super::{name});
            }}

            #[test]
            {attributes}
            fn postgres() {{
                crate::test_database::on_postgres(super::{name});
            }}
        }}"
    );
    function.into_iter().chain(tests.parse::<TokenStream>().unwrap_or_default()).collect()
}
