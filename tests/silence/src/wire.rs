//! A client that measures response times: one connection, sequential requests, nothing between it and the socket.

use std::io::{Read as _, Write as _};
use std::net::TcpStream;
use std::time::{Duration, Instant};

/// Response without its request id and date.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) struct Answer {
    pub(crate) status: u16,
    pub(crate) headers: Vec<String>,
    pub(crate) body: String,
}

/// A request to send.
pub(crate) struct Request(String);

impl Request {
    pub(crate) fn get(path: &str) -> Self {
        Self(format!("GET {path} HTTP/1.1\r\nhost: x\r\n"))
    }

    /// A POST request with a body of this media type, optionally followed by further headers.
    pub(crate) fn post(path: &str, media_and_headers: &str, body: &str) -> Self {
        let length = body.len();
        Self(format!(
            "POST {path} HTTP/1.1\r\nhost: x\r\ncontent-type: {media_and_headers}\r\ncontent-length: {length}\r\n\u{1}{body}"
        ))
    }

    /// Serialized request with this cookie.
    fn bytes(&self, csrf: &str) -> String {
        let (head, body) = self.0.split_once('\u{1}').unwrap_or((&self.0, ""));
        format!("{head}cookie: csrf={csrf}\r\n\r\n{body}")
    }
}

/// A connection, and the CSRF secret of the pages' forms.
pub(crate) struct Browser {
    stream: TcpStream,
    /// Value of the cookie, required in each form.
    pub(crate) csrf: String,
}

impl Browser {
    /// Connects, and opens a page to receive its cookie.
    pub(crate) fn open(address: &str) -> Self {
        let stream = TcpStream::connect(address).expect("the service listens");
        stream.set_nodelay(true).unwrap();
        stream.set_read_timeout(Some(Duration::from_secs(60))).unwrap();
        let mut browser = Self { stream, csrf: String::new() };
        let (page, _) = browser.send(&Request::get("/account/sign-in"));
        let cookie = page.headers.iter().find_map(|line| line.strip_prefix("set-cookie: csrf="));
        let cookie = cookie.and_then(|value| value.split(';').next()).expect("the page sets a cookie");
        cookie.clone_into(&mut browser.csrf);
        browser
    }

    /// Sends a request, and returns the response with the time until it was complete.
    pub(crate) fn send(&mut self, request: &Request) -> (Answer, Duration) {
        let bytes = request.bytes(&self.csrf);
        let started = Instant::now();
        self.stream.write_all(bytes.as_bytes()).unwrap();
        let mut received = Vec::new();
        let mut chunk = [0; 16 * 1024];
        let (head, length) = loop {
            let read = self.stream.read(&mut chunk).expect("the service responds");
            assert!(read > 0, "the connection broke off: {}", String::from_utf8_lossy(&received));
            received.extend_from_slice(&chunk[..read]);
            if let Some(end) = received.windows(4).position(|window| window == b"\r\n\r\n") {
                let head = String::from_utf8(received[..end].to_vec()).unwrap();
                let length = head.lines().find_map(|line| line.strip_prefix("content-length: "));
                let length: usize = length.map_or(0, |length| length.parse().unwrap());
                if received.len() >= end + 4 + length {
                    break (head, end + 4);
                }
            }
        };
        let time = started.elapsed();
        let body = without_numbers(std::str::from_utf8(&received[length..]).unwrap());
        let mut lines = head.lines();
        let status = lines.next().unwrap().split(' ').nth(1).unwrap().parse().unwrap();
        let own = ["x-request-id: ", "date: "];
        let value = |line: &str| match own.iter().find(|name| line.starts_with(**name)) {
            Some(name) => (*name).to_owned(),
            None => without_secret(line),
        };
        (Answer { status, headers: lines.map(value).collect(), body }, time)
    }
}

/// A page without the random numbers of its forms.
fn without_numbers(page: &str) -> String {
    const BEGINNING: &str = "name=\"once\" value=\"";
    let mut parts = page.split(BEGINNING);
    let start = parts.next().unwrap_or_default().to_owned();
    parts.fold(start, |page, part| {
        let (_, after) = part.split_once('"').unwrap();
        format!("{page}{BEGINNING}\"{after}")
    })
}

/// A header without the random secret of a registration; its length stays.
fn without_secret(line: &str) -> String {
    const BEGINNING: &str = "set-cookie: registration=";
    let Some((secret, rest)) = line.strip_prefix(BEGINNING).and_then(|cookie| cookie.split_once(';')) else {
        return line.to_owned();
    };
    format!("{BEGINNING}{};{rest}", secret.len())
}
