//! A WebSocket client with assertions, which sends raw frames.

use std::time::Duration;

use futures_util::{SinkExt as _, StreamExt as _};
use serde_json::{Value, json};
use tokio::net::TcpStream;
use tokio_tungstenite::tungstenite::client::IntoClientRequest as _;
use tokio_tungstenite::tungstenite::protocol::CloseFrame;
use tokio_tungstenite::tungstenite::{Error, Message};
use tokio_tungstenite::{MaybeTlsStream, WebSocketStream};

use crate::test_client::Client;

/// Timeout of expected events, which normally take much less.
const TIMEOUT: Duration = Duration::from_secs(20);

/// An open connection.
pub(crate) struct Socket(WebSocketStream<MaybeTlsStream<TcpStream>>);

impl Socket {
    /// Opens a connection with these headers, or returns the status and code of the refusal.
    pub(crate) async fn open_with(url: &str, headers: &[(&'static str, &str)]) -> Result<Self, (u16, String)> {
        let mut request = format!("{}/graphql", url.replace("http://", "ws://")).into_client_request().unwrap();
        for (name, value) in headers {
            request.headers_mut().insert(*name, value.parse().unwrap());
        }
        match tokio_tungstenite::connect_async(request).await {
            Ok((socket, answer)) => {
                assert_eq!(answer.headers()["sec-websocket-protocol"], "graphql-transport-ws");
                Ok(Self(socket))
            }
            Err(Error::Http(answer)) => {
                let body: Value = serde_json::from_slice(answer.body().as_deref().unwrap_or_default()).unwrap();
                let code = body["errors"][0]["extensions"]["code"].as_str().expect("refusals have a code").to_owned();
                Err((answer.status().as_u16(), code))
            }
            Err(error) => panic!("the connection could not be opened: {error}"),
        }
    }

    /// Opens a connection.
    pub(crate) async fn open(url: &str) -> Self {
        Self::open_with(url, &[("sec-websocket-protocol", "graphql-transport-ws")]).await.expect("the connection opens")
    }

    /// Opens a connection as this client.
    pub(crate) async fn sign_in(url: &str, client: &Client) -> Self {
        let mut socket = Self::open(url).await;
        let token = client.access.as_deref().expect("the client is signed in");
        let payload = json!({ "Authorization": format!("Bearer {token}") });
        socket.say(json!({ "type": "connection_init", "payload": payload })).await;
        assert_eq!(socket.hear().await, json!({ "type": "connection_ack" }));
        socket
    }

    /// Sends a message.
    pub(crate) async fn say(&mut self, message: Value) {
        self.send(Message::text(message.to_string())).await;
    }

    /// Sends a frame.
    pub(crate) async fn send(&mut self, frame: Message) {
        // If the service has closed the connection, the next message reports it.
        let _ = self.0.send(frame).await;
    }

    /// Sends a document as an operation with this id.
    pub(crate) async fn subscribe(&mut self, id: &str, document: &str) {
        self.say(json!({ "type": "subscribe", "id": id, "payload": { "query": document } })).await;
    }

    /// True if the service sends a message instead of closing the connection.
    pub(crate) async fn is_welcome(&mut self) -> bool {
        matches!(self.frame().await, Message::Text(_))
    }

    /// The next message.
    pub(crate) async fn hear(&mut self) -> Value {
        match self.frame().await {
            Message::Text(text) => serde_json::from_str(&text).unwrap(),
            other => panic!("no message came, but {other:?}"),
        }
    }

    /// Data of the next result of this operation.
    pub(crate) async fn data(&mut self, id: &str) -> Value {
        let message = self.hear().await;
        assert_eq!((&message["type"], &message["id"]), (&json!("next"), &json!(id)), "{message}");
        assert!(message["payload"]["errors"].is_null(), "{message}");
        message["payload"]["data"].clone()
    }

    /// Code of the error that ends this operation.
    pub(crate) async fn refusal(&mut self, id: &str) -> String {
        let message = self.hear().await;
        assert_eq!((&message["type"], &message["id"]), (&json!("error"), &json!(id)), "{message}");
        message["payload"][0]["extensions"]["code"].as_str().unwrap_or_else(|| panic!("{message}")).to_owned()
    }

    /// Close code of the service; earlier messages are skipped.
    pub(crate) async fn closed(&mut self) -> u16 {
        loop {
            if let Message::Close(frame) = self.frame().await {
                return frame.expect("the close frame has a code").code.into();
            }
        }
    }

    /// Closes the connection, and returns the service's close code.
    pub(crate) async fn leave(&mut self) -> u16 {
        let frame = CloseFrame { code: 1000.into(), reason: "".into() };
        self.0.close(Some(frame)).await.expect("the connection is open");
        self.closed().await
    }

    async fn frame(&mut self) -> Message {
        loop {
            let frame = tokio::time::timeout(TIMEOUT, self.0.next()).await.expect("the service sends a frame");
            match frame.expect("the connection is open").expect("the frame is valid") {
                Message::Ping(_) | Message::Pong(_) => {}
                frame => return frame,
            }
        }
    }
}
