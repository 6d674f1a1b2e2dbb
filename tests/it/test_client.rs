//! A client of the service with assertions.

use reqwest::header::HeaderMap;
use serde_json::{Value, json};

/// A GraphQL client over HTTP. It keeps an access token and a cookie only on request.
#[derive(Clone, Debug)]
pub(crate) struct Client {
    url: String,
    http: reqwest::Client,
    /// Access token to send.
    pub(crate) access: Option<String>,
    /// Current refresh token.
    pub(crate) refresh: String,
    headers: Vec<(&'static str, String)>,
}

/// A response of the service.
#[derive(Debug)]
pub(crate) struct Answer {
    pub(crate) status: u16,
    pub(crate) headers: HeaderMap,
    pub(crate) body: Value,
}

const LOGIN: &str = "mutation($input: LoginInput!) { login(input: $input) {
    tokens { accessToken refreshToken } errors { code field message }
} }";

const REFRESH: &str = "mutation($input: RefreshInput!) { refresh(input: $input) {
    tokens { accessToken refreshToken } errors { code field message }
} }";

impl Client {
    pub(crate) fn new(url: &str) -> Self {
        // The TLS provider of the process depends on other concurrent tests.
        let _ = rustls::crypto::ring::default_provider().install_default();
        // Reading the system's certificates takes longer than most tests.
        let http = reqwest::Client::builder().tls_certs_only([]).redirect(reqwest::redirect::Policy::none());
        let http = http.build().unwrap();
        Self { url: url.to_owned(), http, access: None, refresh: String::new(), headers: Vec::new() }
    }

    /// The same client with an access token.
    pub(crate) fn with_token(mut self, token: impl Into<String>) -> Self {
        self.access = Some(token.into());
        self
    }

    /// The same client with one more header.
    pub(crate) fn with_header(mut self, name: &'static str, value: impl Into<String>) -> Self {
        self.headers.push((name, value.into()));
        self
    }

    /// The same client, signed in.
    pub(crate) async fn sign_in(mut self, identifier: &str, password: &str) -> Self {
        let input = json!({ "input": { "identifier": identifier, "password": password } });
        let data = self.data(LOGIN, input).await;
        assert_eq!(data["login"]["errors"], json!([]));
        self.take(&data["login"]["tokens"]);
        self
    }

    /// Refreshes with the current token and keeps the next one, or returns the code of the refusal.
    pub(crate) async fn refresh(&mut self) -> Result<(), String> {
        let data = self.data(REFRESH, json!({ "input": { "refreshToken": self.refresh } })).await;
        match data["refresh"]["errors"][0]["code"].as_str() {
            Some(code) => Err(code.to_owned()),
            None => {
                self.take(&data["refresh"]["tokens"]);
                Ok(())
            }
        }
    }

    fn take(&mut self, tokens: &Value) {
        self.access = Some(tokens["accessToken"].as_str().unwrap().to_owned());
        tokens["refreshToken"].as_str().unwrap().clone_into(&mut self.refresh);
    }

    /// Sends a document.
    pub(crate) async fn send(&self, document: &str, variables: Value) -> Answer {
        self.post(json!({ "query": document, "variables": variables }).to_string()).await
    }

    /// Sends a JSON body.
    pub(crate) async fn post(&self, body: impl Into<reqwest::Body>) -> Answer {
        let request = self.http.post(format!("{}/graphql", self.url)).header("content-type", "application/json");
        self.finish(request.body(body)).await
    }

    /// Gets a path.
    pub(crate) async fn get(&self, path: &str) -> Answer {
        self.finish(self.http.get(format!("{}{path}", self.url))).await
    }

    /// Starts building a custom request.
    pub(crate) fn request(&self, method: &str, path: &str) -> reqwest::RequestBuilder {
        self.http.request(method.parse().unwrap(), format!("{}{path}", self.url))
    }

    /// Sends a custom request with this client's token and headers.
    pub(crate) async fn finish(&self, mut request: reqwest::RequestBuilder) -> Answer {
        if let Some(token) = &self.access {
            request = request.bearer_auth(token);
        }
        for (name, value) in &self.headers {
            request = request.header(*name, value);
        }
        let response = request.send().await.expect("the service responds");
        let (status, headers) = (response.status().as_u16(), response.headers().clone());
        let text = response.text().await.expect("the response is complete");
        Answer { status, headers, body: serde_json::from_str(&text).unwrap_or(Value::String(text)) }
    }

    /// Data of a document that must succeed.
    pub(crate) async fn data(&self, document: &str, variables: Value) -> Value {
        let answer = self.send(document, variables).await;
        assert!(answer.body["errors"].is_null(), "{document}: {}", answer.body);
        answer.body["data"].clone()
    }

    /// Error code of a document that must fail.
    pub(crate) async fn code(&self, document: &str, variables: Value) -> String {
        let answer = self.send(document, variables).await;
        answer.code()
    }

    /// Error codes in the only payload of a mutation, as `CODE field`.
    pub(crate) async fn refusals(&self, document: &str, variables: Value) -> Vec<String> {
        let data = self.data(document, variables).await;
        let payload =
            data.as_object().and_then(|fields| fields.values().next()).expect("the response has a payload").clone();
        let one = |error: &Value| match error["field"].as_str() {
            Some(field) => format!("{} {field}", error["code"].as_str().unwrap()),
            None => error["code"].as_str().unwrap().to_owned(),
        };
        payload["errors"].as_array().expect("the document requests errors").iter().map(one).collect()
    }
}

impl Answer {
    /// Code of the first error; for UNAUTHENTICATED, with its reason.
    pub(crate) fn code(&self) -> String {
        let extensions = &self.body["errors"][0]["extensions"];
        let code = extensions["code"].as_str().unwrap_or_else(|| panic!("there is no error: {}", self.body));
        match extensions["reason"].as_str() {
            Some(reason) => format!("{code} {reason}"),
            None => code.to_owned(),
        }
    }

    /// A header as text; empty if missing.
    pub(crate) fn header(&self, name: &str) -> &str {
        self.headers.get(name).and_then(|value| value.to_str().ok()).unwrap_or_default()
    }
}
