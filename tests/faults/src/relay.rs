//! TCP proxy with a switchable target; open connections keep theirs.

use std::sync::Arc;
use std::sync::atomic::{AtomicU16, Ordering};

use tokio::net::{TcpListener, TcpStream};
use tokio::sync::watch;
use tokio::task::JoinSet;

use crate::outcome::Outcome;

/// A TCP proxy on this machine, stopped on drop.
pub(crate) struct Relay {
    pub(crate) port: u16,
    target: Arc<AtomicU16>,
    cut: watch::Sender<u64>,
    _work: JoinSet<()>,
}

impl Relay {
    /// Starts a proxy to the server on this port.
    pub(crate) async fn start(target: u16) -> Outcome<Self> {
        let listener = TcpListener::bind("127.0.0.1:0").await?;
        let port = listener.local_addr()?.port();
        let target = Arc::new(AtomicU16::new(target));
        let (cut, cuts) = watch::channel(0);
        let mut work = JoinSet::new();
        let current = Arc::clone(&target);
        work.spawn(async move {
            let mut ways = JoinSet::new();
            while let Ok((client, _)) = listener.accept().await {
                let (port, mut cuts) = (current.load(Ordering::SeqCst), cuts.clone());
                cuts.mark_unchanged();
                ways.spawn(async move {
                    tokio::select! {
                        () = lead(client, port) => {}
                        _ = cuts.changed() => {}
                    }
                });
            }
        });
        Ok(Self { port, target, cut, _work: work })
    }

    /// Switches new connections to another server.
    pub(crate) fn lead_to(&self, target: u16) {
        self.target.store(target, Ordering::SeqCst);
    }

    /// Closes all open connections.
    pub(crate) fn cut(&self) {
        self.cut.send_modify(|cuts| *cuts += 1);
    }
}

async fn lead(mut client: TcpStream, port: u16) {
    if let Ok(mut server) = TcpStream::connect(("127.0.0.1", port)).await {
        // Either end may disconnect at any time.
        let _ = tokio::io::copy_bidirectional(&mut client, &mut server).await;
    }
}
