//! Minimal HTTP/1.1 client: requests are built in advance, and only the length of responses is parsed.

use std::time::{Duration, Instant};

use futures_util::future::join_all;
use serde_json::{Value, json};
use tokio::io::{AsyncReadExt as _, AsyncWriteExt as _};
use tokio::net::TcpStream;

use crate::service::Service;

/// Results of a measurement.
pub(crate) struct Figures {
    /// Responses per second of wall-clock time.
    pub(crate) per_second: f64,
    /// Responses per second of the service's CPU time.
    pub(crate) per_cpu_second: f64,
    /// Latencies.
    pub(crate) waits: Waits,
}

/// Latencies of responses in milliseconds.
pub(crate) struct Waits {
    pub(crate) p50: f64,
    pub(crate) p95: f64,
    /// The 99th percentile.
    pub(crate) p99: f64,
    /// The maximum.
    pub(crate) max: f64,
}

/// A keep-alive connection.
pub(crate) struct Wire {
    stream: TcpStream,
    buffer: Vec<u8>,
}

/// Tokens of a session.
pub(crate) struct Tokens {
    pub(crate) access: String,
    refresh: String,
}

pub(crate) fn get(path: &str) -> Vec<u8> {
    format!("GET {path} HTTP/1.1\r\nhost: x\r\n\r\n").into_bytes()
}

pub(crate) fn post(token: Option<&str>, document: &str) -> Vec<u8> {
    post_with(token, document, &Value::Null)
}

pub(crate) fn post_with(token: Option<&str>, document: &str, variables: &Value) -> Vec<u8> {
    let body = json!({ "query": document, "variables": variables }).to_string();
    let authorization = token.map(|token| format!("authorization: Bearer {token}\r\n")).unwrap_or_default();
    let length = body.len();
    let head = "POST /graphql HTTP/1.1\r\nhost: x\r\ncontent-type: application/json\r\n";
    format!("{head}{authorization}content-length: {length}\r\n\r\n{body}").into_bytes()
}

pub(crate) fn login(identifier: &str, password: &str) -> Vec<u8> {
    let document = "mutation($input: LoginInput!) { login(input: $input) { tokens { accessToken refreshToken } } }";
    post_with(None, document, &json!({ "input": { "identifier": identifier, "password": password } }))
}

pub(crate) fn refresh(session: &Tokens) -> Vec<u8> {
    let document = "mutation($input: RefreshInput) { refresh(input: $input) { tokens { accessToken refreshToken } } }";
    post_with(None, document, &json!({ "input": { "refreshToken": session.refresh } }))
}

impl Wire {
    pub(crate) async fn connect(service: &Service) -> Self {
        let stream = TcpStream::connect(&service.address).await.expect("the service listens");
        stream.set_nodelay(true).unwrap();
        Self { stream, buffer: vec![0; 16 * 1024] }
    }

    /// Sends a request and returns the body of the response.
    async fn ask(&mut self, request: &[u8]) -> &[u8] {
        let (head, body) = self.exchange(request).await;
        assert!(head.starts_with("HTTP/1.1 200"), "{head}");
        body
    }

    /// Sends a request and returns the body of the response; `None` if it was refused.
    pub(crate) async fn try_ask(&mut self, request: &[u8]) -> Option<Value> {
        let (head, body) = self.exchange(request).await;
        let answer: Value = serde_json::from_slice(body).ok()?;
        (head.starts_with("HTTP/1.1 200") && answer["errors"].is_null()).then_some(answer)
    }

    /// Sends a request and returns head and body of the response.
    async fn exchange(&mut self, request: &[u8]) -> (&str, &[u8]) {
        self.stream.write_all(request).await.expect("the connection stays open");
        let mut filled = 0;
        loop {
            let read = self.stream.read(&mut self.buffer[filled..]).await.expect("the connection stays open");
            assert!(read > 0, "the service closed the connection");
            filled += read;
            let head_end = self.buffer[..filled].windows(4).position(|window| window == b"\r\n\r\n");
            let Some(head_end) = head_end.map(|at| at + 4) else { continue };
            let head = std::str::from_utf8(&self.buffer[..head_end]).unwrap();
            let length =
                head.lines().find_map(|line| line.strip_prefix("content-length: ")).expect("responses have a length");
            let end = head_end + length.parse::<usize>().unwrap();
            if filled >= end {
                let (head, body) = self.buffer[..end].split_at(head_end);
                return (std::str::from_utf8(head).unwrap(), body);
            }
        }
    }

    /// Sends a request and returns the parsed body.
    pub(crate) async fn ask_json(&mut self, request: &[u8]) -> Value {
        serde_json::from_slice(self.ask(request).await).unwrap()
    }

    pub(crate) async fn sign_in(mut self, password: &str) -> Tokens {
        Tokens::of(&self.ask_json(&login("admin", password)).await, "login")
    }
}

impl Tokens {
    /// Tokens in the response of a mutation.
    pub(crate) fn of(answer: &Value, mutation: &str) -> Self {
        let tokens = &answer["data"][mutation]["tokens"];
        let text = |name: &str| tokens[name].as_str().unwrap_or_else(|| panic!("no tokens: {answer}")).to_owned();
        Self { access: text("accessToken"), refresh: text("refreshToken") }
    }
}

/// Repeats the same request over one connection per client.
pub(crate) async fn ask_all(
    service: &Service,
    clients: usize,
    span: Duration,
    request: impl Fn(usize) -> Vec<u8>,
) -> Figures {
    let cpu = service.cpu();
    let started = Instant::now();
    let each = (0..clients).map(|client| {
        let request = request(client);
        async move {
            let mut wire = Wire::connect(service).await;
            let mut latencies = Vec::new();
            while started.elapsed() < span {
                let asked = Instant::now();
                wire.ask(&request).await;
                latencies.push(asked.elapsed());
            }
            latencies
        }
    });
    let latencies = join_all(each).await.concat();
    figures(latencies, started.elapsed(), service.cpu().saturating_sub(cpu))
}

/// Refreshes each session repeatedly.
pub(crate) async fn refresh_all(service: &Service, sessions: Vec<Tokens>, span: Duration) -> Figures {
    let cpu = service.cpu();
    let started = Instant::now();
    let each = sessions.into_iter().map(|mut session| async move {
        let mut wire = Wire::connect(service).await;
        let mut latencies = Vec::new();
        while started.elapsed() < span {
            let request = refresh(&session);
            let asked = Instant::now();
            let answer = wire.ask(&request).await;
            latencies.push(asked.elapsed());
            session = Tokens::of(&serde_json::from_slice(answer).unwrap(), "refresh");
        }
        latencies
    });
    let latencies = join_all(each).await.concat();
    figures(latencies, started.elapsed(), service.cpu().saturating_sub(cpu))
}

fn figures(latencies: Vec<Duration>, elapsed: Duration, cpu: Duration) -> Figures {
    let count = f64::from(u32::try_from(latencies.len()).unwrap());
    Figures {
        per_second: count / elapsed.as_secs_f64(),
        per_cpu_second: count / cpu.as_secs_f64(),
        waits: Waits::of(latencies),
    }
}

impl Waits {
    /// Statistics of latencies, of which there must be at least one.
    pub(crate) fn of(mut latencies: Vec<Duration>) -> Self {
        latencies.sort_unstable();
        let last = latencies.len() - 1;
        let at = |share: usize| latencies[(latencies.len() * share / 100).min(last)].as_secs_f64() * 1e3;
        Self { p50: at(50), p95: at(95), p99: at(99), max: at(100) }
    }
}
