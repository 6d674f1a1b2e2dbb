//! TCP proxy in front of a PostgreSQL server, whose connections a test can cut.

use std::time::Duration;

use tokio::io::copy_bidirectional;
use tokio::net::{TcpListener, TcpStream};
use tokio::sync::watch;
use tokio::task::JoinSet;
use url::Url;

use crate::test_database::Place;

/// Timeout of expected events, which normally take much less.
const TIMEOUT: Duration = Duration::from_secs(20);

/// A proxy, stopped on drop.
pub(crate) struct Relay {
    is_open: watch::Sender<bool>,
    /// Number of refused connections.
    refused: watch::Receiver<usize>,
    _work: JoinSet<()>,
}

impl Relay {
    /// Starts a proxy. Returns it with the same database behind it.
    pub(crate) async fn start(place: &Place) -> (Self, Place) {
        let mut url = Url::parse(&place.database_url).unwrap();
        let server = format!("{}:{}", url.host_str().expect("the server has a host"), url.port().unwrap_or(5432));
        let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
        url.set_host(Some("127.0.0.1")).unwrap();
        url.set_port(Some(listener.local_addr().unwrap().port())).unwrap();
        let (is_open, open) = watch::channel(true);
        let (refusals, refused) = watch::channel(0);
        let mut work = JoinSet::new();
        work.spawn(async move {
            let mut ways = JoinSet::new();
            loop {
                let (client, _) = listener.accept().await.unwrap();
                if *open.borrow() {
                    ways.spawn(lead(client, server.clone(), open.clone()));
                } else {
                    drop(client);
                    refusals.send_modify(|count| *count += 1);
                }
            }
        });
        let behind = Place { database_url: url.to_string(), folder: place.folder.clone() };
        (Self { is_open, refused, _work: work }, behind)
    }

    /// Cuts all connections, and refuses new ones.
    pub(crate) fn cut(&self) {
        self.is_open.send_replace(false);
    }

    /// Waits until a connection is refused.
    pub(crate) async fn refusal(&mut self) {
        let refused = tokio::time::timeout(TIMEOUT, self.refused.changed()).await;
        refused.expect("somebody tries to connect").unwrap();
    }

    /// Accepts connections again.
    pub(crate) fn restore(&self) {
        self.is_open.send_replace(true);
    }
}

/// Forwards in both directions until an end disconnects, or the proxy is cut.
async fn lead(mut client: TcpStream, server: String, mut is_open: watch::Receiver<bool>) {
    let mut server = TcpStream::connect(server).await.unwrap();
    tokio::select! {
        // Either end may disconnect at any time.
        _ = copy_bidirectional(&mut client, &mut server) => {}
        _ = is_open.wait_for(|is_open| !is_open) => {}
    }
}
