//! The path of the public URL. Proxies may forward requests with or without it.

use std::convert::Infallible;
use std::sync::Arc;
use std::task::{Context, Poll};

use axum::Router;
use axum::extract::Request;
use axum::http::Uri;
use axum::response::Response;
use axum::routing::future::RouteFuture;
use tower_service::Service;

/// Routes that are also served under a path.
#[derive(Clone)]
pub(super) struct BasePath {
    base: Arc<str>,
    routes: Router,
}

impl BasePath {
    /// Serves the routes under this path too. It starts with a slash and does not end with one.
    pub(super) fn new(base: &str, routes: Router) -> Self {
        Self { base: base.into(), routes }
    }
}

impl Service<Request> for BasePath {
    type Response = Response;
    type Error = Infallible;
    type Future = RouteFuture<Infallible>;

    fn poll_ready(&mut self, _: &mut Context<'_>) -> Poll<Result<(), Infallible>> {
        Poll::Ready(Ok(()))
    }

    fn call(&mut self, mut request: Request) -> Self::Future {
        if let Some(uri) = beneath(&self.base, request.uri()) {
            *request.uri_mut() = uri;
        }
        self.routes.call(request)
    }
}

/// The URI without this path; none if it is not under it.
fn beneath(base: &str, uri: &Uri) -> Option<Uri> {
    let path = match uri.path().strip_prefix(base)? {
        "" => "/",
        path if path.starts_with('/') => path,
        _ => return None,
    };
    let text = uri.query().map_or_else(|| path.to_owned(), |query| format!("{path}?{query}"));
    let mut parts = uri.clone().into_parts();
    parts.path_and_query = Some(text.parse().ok()?);
    Uri::from_parts(parts).ok()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn only_whole_segments_are_removed() {
        let beneath = |text: &str| beneath("/id", &text.parse().unwrap()).map(|uri| uri.to_string());
        let is = |text: &str| Some(text.to_owned());
        assert_eq!(beneath("/id"), is("/"));
        assert_eq!(beneath("/id/"), is("/"));
        assert_eq!(beneath("/id?a=b"), is("/?a=b"));
        assert_eq!(beneath("/id/graphql?query=%7B"), is("/graphql?query=%7B"));
        assert_eq!(beneath("https://example.com/id/account/sign-in"), is("https://example.com/account/sign-in"));
        assert_eq!(beneath("/id//evil.example"), is("//evil.example"));
        for other in ["/", "/graphql", "/idea", "/x/id/graphql", "/ID/graphql"] {
            assert_eq!(beneath(other), None, "{other}");
        }
    }
}
