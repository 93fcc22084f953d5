//! How far a listener is on its way out.

use tokio::sync::watch;

/// What a listener does with connections and requests.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq, PartialOrd, Ord)]
pub enum Phase {
    /// Takes connections and requests.
    #[default]
    Serving,
    /// Still takes both, and asks callers to go elsewhere: HTTP/1.1 answers say `Connection: close`, HTTP/2 connections get
    /// GOAWAY.
    Leaving,
    /// Another process takes the connections; requests on those that are open are still answered, as while leaving.
    HandedOver,
    /// Takes no request but those that have begun; connections at rest are closed.
    Closing,
}

impl Phase {
    /// True while new connections are taken.
    pub fn accepts(self) -> bool {
        matches!(self, Phase::Serving | Phase::Leaving)
    }
}

/// Serving until `stop` turns true, then closing.
pub fn until_stopped(mut stop: watch::Receiver<bool>) -> watch::Receiver<Phase> {
    let (tell, told) = watch::channel(Phase::Serving);
    tokio::spawn(async move {
        let _ = stop.wait_for(|stop| *stop).await;
        tell.send_replace(Phase::Closing);
        tell.closed().await;
    });
    told
}
