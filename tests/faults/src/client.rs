//! A GraphQL client that accepts any response.

use std::net::IpAddr;
use std::time::{Duration, Instant};

use serde_json::{Value, json};

use crate::outcome::{Outcome, because};

/// A GraphQL client with or without an access token.
#[derive(Clone)]
pub(crate) struct Client {
    url: String,
    http: reqwest::Client,
    access: Option<String>,
    pub(crate) refresh: String,
}

/// A response and its latency.
#[derive(Debug)]
pub(crate) struct Answer {
    pub(crate) status: u16,
    pub(crate) body: Value,
    pub(crate) took: Duration,
}

const TOKENS: &str = "tokens { accessToken refreshToken } errors { code }";

impl Client {
    pub(crate) fn new(address: &str) -> Self {
        // An error means that a provider is installed already.
        let _ = rustls::crypto::ring::default_provider().install_default();
        let http = reqwest::Client::builder().timeout(Duration::from_secs(60)).build();
        let http = http.expect("the default settings are valid");
        Self { url: format!("http://{address}"), http, access: None, refresh: String::new() }
    }

    /// The same client for another instance.
    pub(crate) fn at(&self, address: &str) -> Self {
        Self { url: format!("http://{address}"), ..self.clone() }
    }

    /// The same client with another source address of this machine.
    pub(crate) fn coming_from(mut self, ip: IpAddr) -> Self {
        let http = reqwest::Client::builder().timeout(Duration::from_secs(60)).local_address(ip).build();
        self.http = http.expect("the default settings are valid");
        self
    }

    /// Sends a document; an error means that no response arrived.
    pub(crate) async fn ask(&self, document: &str, variables: &Value) -> Outcome<Answer> {
        let body = json!({ "query": document, "variables": variables }).to_string();
        let request = self.http.post(format!("{}/graphql", self.url)).header("content-type", "application/json");
        self.finish(request.body(body)).await
    }

    /// Sends a picture as an avatar.
    pub(crate) async fn upload(&self, picture: &[u8]) -> Outcome<Answer> {
        let operations =
            "mutation($file: Upload!) { uploadAvatar(input: { file: $file }) { user { id } errors { code } } }";
        let operations = json!({ "query": operations, "variables": { "file": null } });
        let mut body = Vec::new();
        for (name, text) in [("operations", operations.to_string()), ("map", r#"{"0":["variables.file"]}"#.to_owned())]
        {
            let part = format!("--x\r\ncontent-disposition: form-data; name=\"{name}\"\r\n\r\n{text}\r\n");
            body.extend(part.into_bytes());
        }
        body.extend(b"--x\r\ncontent-disposition: form-data; name=\"0\"; filename=\"a.png\"\r\n\r\n");
        body.extend(picture);
        body.extend(b"\r\n--x--\r\n");
        let request = self.http.post(format!("{}/graphql", self.url)).header("graphql-require-preflight", "1");
        self.finish(request.header("content-type", "multipart/form-data; boundary=x").body(body)).await
    }

    /// Sends a GET request.
    pub(crate) async fn get(&self, path: &str) -> Outcome<Answer> {
        self.finish(self.http.get(format!("{}{path}", self.url))).await
    }

    async fn finish(&self, mut request: reqwest::RequestBuilder) -> Outcome<Answer> {
        if let Some(authorization) = self.authorization() {
            request = request.header("authorization", authorization);
        }
        let asked = Instant::now();
        let response = request.send().await?;
        let status = response.status().as_u16();
        let text = response.text().await?;
        let body = serde_json::from_str(&text).unwrap_or(Value::String(text));
        Ok(Answer { status, body, took: asked.elapsed() })
    }

    /// Data of a document that must succeed.
    pub(crate) async fn data(&self, document: &str, variables: &Value) -> Outcome<Value> {
        let mut answer = self.ask(document, variables).await?;
        because(answer.code().is_none(), || format!("{document}: {}", answer.body))?;
        Ok(answer.body["data"].take())
    }

    /// The same client, signed in.
    pub(crate) async fn sign_in(mut self, identifier: &str, password: &str) -> Outcome<Self> {
        let answer = self.login(identifier, password).await?;
        self.take(&answer.body["data"]["login"]["tokens"], &answer)?;
        Ok(self)
    }

    /// Response to a sign-in.
    pub(crate) async fn login(&self, identifier: &str, password: &str) -> Outcome<Answer> {
        let input = json!({ "input": { "identifier": identifier, "password": password } });
        self.ask(&format!("mutation($input: LoginInput!) {{ login(input: $input) {{ {TOKENS} }} }}"), &input).await
    }

    /// Response to a refresh with this token.
    pub(crate) async fn refresh_with(&self, token: &str) -> Outcome<Answer> {
        let input = json!({ "input": { "refreshToken": token } });
        self.ask(&format!("mutation($input: RefreshInput!) {{ refresh(input: $input) {{ {TOKENS} }} }}"), &input).await
    }

    /// Refreshes, and keeps the new tokens.
    pub(crate) async fn refreshed(&self) -> Outcome<Self> {
        let answer = self.refresh_with(&self.refresh).await?;
        let mut next = self.clone();
        next.take(&answer.body["data"]["refresh"]["tokens"], &answer)?;
        Ok(next)
    }

    /// Value of the `Authorization` header.
    pub(crate) fn authorization(&self) -> Option<String> {
        self.access.as_ref().map(|token| format!("Bearer {token}"))
    }

    /// True if the access token is valid.
    pub(crate) async fn me(&self) -> Outcome<Answer> {
        self.ask("{ me { id } }", &Value::Null).await
    }

    /// Keeps the tokens of this response.
    pub(crate) fn take(&mut self, tokens: &Value, answer: &Answer) -> Outcome<()> {
        let text = |name: &str| tokens[name].as_str().map(str::to_owned);
        self.access = Some(text("accessToken").ok_or_else(|| format!("no tokens: {}", answer.body))?);
        self.refresh = text("refreshToken").unwrap_or_default();
        Ok(())
    }
}

impl Answer {
    /// Code of the first error, of the response or of its only payload.
    pub(crate) fn code(&self) -> Option<&str> {
        let code = self.body["errors"][0]["extensions"]["code"].as_str();
        code.or_else(|| self.refusal()).or((self.status >= 400).then_some("HTTP"))
    }

    fn refusal(&self) -> Option<&str> {
        let payload = self.body["data"].as_object()?.values().next()?;
        payload["errors"][0]["code"].as_str()
    }

    /// Fails unless the response has this code.
    pub(crate) fn must_be(&self, code: &str) -> Outcome<()> {
        because(self.code() == Some(code), || format!("instead of {code}: {} {}", self.status, self.body))
    }

    /// Fails if the response has any error.
    pub(crate) fn must_succeed(&self) -> Outcome<()> {
        because(self.code().is_none(), || format!("{} {}", self.status, self.body))
    }
}
