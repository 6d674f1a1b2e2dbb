//! Idle WebSocket connections with a subscription, the typical case.

use std::time::{Duration, Instant};

use futures_util::{SinkExt as _, StreamExt as _};
use serde_json::json;
use tokio::net::TcpStream;
use tokio::task::JoinSet;
use tokio_tungstenite::tungstenite::Message;
use tokio_tungstenite::tungstenite::client::IntoClientRequest as _;
use tokio_tungstenite::tungstenite::protocol::WebSocketConfig;

use crate::service::Service;

/// Number of connections. The driver and the service each need as many file descriptors: see `ulimit -n`.
pub(crate) const CONNECTIONS: u16 = 5000;

/// Open connections, closed on drop.
pub(crate) struct Idle {
    /// Time taken to open them one after the other.
    pub(crate) opened_in: Duration,
    connections: JoinSet<()>,
}

impl Idle {
    /// Opens all connections, signs in on each, and subscribes to online users.
    pub(crate) async fn open(service: &Service, access: &str) -> Self {
        let started = Instant::now();
        let mut connections = JoinSet::new();
        for _ in 0..CONNECTIONS {
            let stream = TcpStream::connect(&service.address).await.expect("the service listens");
            let mut request = format!("ws://{}/graphql", service.address).into_client_request().unwrap();
            request.headers_mut().insert("sec-websocket-protocol", "graphql-transport-ws".parse().unwrap());
            let config = WebSocketConfig::default().read_buffer_size(4096).write_buffer_size(0);
            let opened = tokio_tungstenite::client_async_with_config(request, stream, Some(config)).await;
            let (mut socket, _) = opened.expect("a connection may be opened");
            let listen = json!({ "query": "subscription { onlineUsers { id username } }" });
            for (message, answer) in [
                (json!({ "type": "connection_init", "payload": { "token": access } }), "connection_ack"),
                (json!({ "type": "subscribe", "id": "1", "payload": listen }), "next"),
            ] {
                socket.send(Message::text(message.to_string())).await.expect("the connection stays open");
                let heard = socket.next().await.expect("the connection is open").expect("the connection stays open");
                assert!(heard.to_text().unwrap().contains(answer), "{heard}");
            }
            // Reading responds to pings.
            connections.spawn(async move { while let Some(Ok(_)) = socket.next().await {} });
        }
        Self { opened_in: started.elapsed(), connections }
    }

    /// Number of connections still open.
    pub(crate) fn count(&mut self) -> usize {
        while self.connections.try_join_next().is_some() {}
        self.connections.len()
    }
}
