//! The old process's side: it offers what it has to the next one, and leaves once that one answers in its place.
//!
//! Invariant: until the new process has said that it is ready, nothing has changed here; whatever ends the exchange before
//! that, this process goes on serving. From then on it takes no connection and begins no work of its own.

use std::io;
use std::net::TcpListener;
use std::os::fd::AsFd;
use std::os::unix::fs::PermissionsExt;
use std::os::unix::net::UnixStream;
use std::path::{Path, PathBuf};
use std::sync::{Arc, Mutex, PoisonError};
use std::time::Duration;

use metrics::counter;
use tokio::net::UnixListener;
use tokio::sync::watch;
use tokio::task::JoinHandle;

use super::wire::{self, Message};
use super::{ASKED_WITHIN, READY_WITHIN, VERSION, failed};
use crate::listen::Phase;
use crate::reload::Current;
use crate::systemd::Manager;

/// Time for HL7 v2 messages in hand and for work beside requests to come to rest.
const REST_WITHIN: Duration = Duration::from_secs(60);

/// What is offered.
pub struct Giver {
    /// What answers requests.
    pub current: Arc<Current>,
    /// The listening sockets, by name.
    pub sockets: Vec<(&'static str, TcpListener)>,
    /// How far the listeners are on their way out.
    pub phases: Vec<watch::Sender<Phase>>,
    /// Ends HL7 v2 and what follows files.
    pub stop: watch::Sender<bool>,
    /// The listener for HL7 v2.
    pub messages: Arc<Mutex<Option<JoinHandle<()>>>>,
    /// The service manager.
    pub manager: Arc<Manager>,
    /// Told once the other process answers.
    pub done: watch::Sender<bool>,
}

/// A control socket on disk; the file is this user's alone.
pub struct Offer {
    listener: UnixListener,
    path: PathBuf,
}

impl Offer {
    /// Makes the socket at `path`, in place of one that an earlier process left there.
    pub fn open(path: &Path) -> io::Result<Offer> {
        let mut beside = path.as_os_str().to_owned();
        beside.push(format!(".{}", std::process::id()));
        let beside = PathBuf::from(beside);
        let _ = std::fs::remove_file(&beside);
        let listener = UnixListener::bind(&beside)?;
        std::fs::set_permissions(&beside, std::fs::Permissions::from_mode(0o600))?;
        std::fs::rename(&beside, path)?;
        Ok(Offer { listener, path: path.to_owned() })
    }

    /// Waits for the next process, and gives it everything. Returns when that is done: the connection that comes back must be
    /// kept until this process ends.
    pub async fn give(self, giver: Giver) -> UnixStream {
        tracing::info!(path = %self.path.display(), "another process may take over");
        loop {
            let asked = match self.listener.accept().await {
                Ok((stream, _)) => stream.into_std(),
                Err(error) => Err(error),
            };
            let outcome = match asked {
                Ok(stream) => giver.hand_over(stream).await,
                Err(error) => Err(error),
            };
            match outcome {
                Ok(stream) => {
                    counter!("varco_handoffs_total", "result" => "done").increment(1);
                    giver.done.send_replace(true);
                    return stream;
                }
                Err(error) => {
                    counter!("varco_handoffs_total", "result" => "failed").increment(1);
                    tracing::error!(%error, "no process has taken over: this one goes on serving");
                    tokio::time::sleep(Duration::from_millis(50)).await;
                }
            }
        }
    }
}

impl Giver {
    async fn hand_over(&self, stream: UnixStream) -> io::Result<UnixStream> {
        let (mut stream, peer) = blocking(move || asked(stream)).await?;
        let gateway = self.current.gateway();
        gateway.begin_overlap()?;
        let (names, sockets): (Vec<String>, Vec<TcpListener>) = self
            .sockets
            .iter()
            .map(|(name, socket)| Ok(((*name).to_owned(), socket.try_clone()?)))
            .collect::<io::Result<Vec<_>>>()?
            .into_iter()
            .unzip();
        let message = Message::Bequest { sockets: names, bequest: gateway.bequest() };
        tracing::info!(peer, "a process asks to take over");
        let ready = blocking(move || {
            let borrowed: Vec<_> = sockets.iter().map(AsFd::as_fd).collect();
            wire::say_with(&mut stream, &message, &borrowed)?;
            stream.set_read_timeout(Some(READY_WITHIN))?;
            match wire::hear(&mut stream) {
                Ok(Message::Ready) => {}
                Ok(_) => return Err(failed("the other process said something else than that it is ready")),
                Err(error) => {
                    let cause = "it took too long".to_owned();
                    let _ = wire::say(&mut stream, &Message::No { cause });
                    return Err(error);
                }
            }
            wire::say(&mut stream, &Message::Yours)?;
            Ok(stream)
        });
        let mut stream = match ready.await {
            Ok(stream) => stream,
            Err(error) => {
                gateway.end_overlap();
                return Err(error);
            }
        };
        self.manager.handed_over(peer);
        gateway.drain();
        for phase in &self.phases {
            phase.send_replace(Phase::HandedOver);
        }
        self.stop.send_replace(true);
        tracing::info!(peer, "another process has taken over: open requests are finished here");
        let messages = self.messages.lock().unwrap_or_else(PoisonError::into_inner).take();
        let rest = async {
            self.current.rest().await;
            if let Some(messages) = messages {
                let _ = messages.await;
            }
        };
        if tokio::time::timeout(REST_WITHIN, rest).await.is_err() {
            tracing::warn!("what is done beside requests did not come to rest in time");
        }
        blocking(move || {
            // A new process that is gone again needs no telling.
            let _ = wire::say(&mut stream, &Message::Released);
            Ok(stream)
        })
        .await
    }
}

/// Who asks, and whether it speaks this language.
fn asked(stream: UnixStream) -> io::Result<(UnixStream, u32)> {
    let mut stream = stream;
    stream.set_nonblocking(false)?;
    stream.set_read_timeout(Some(ASKED_WITHIN))?;
    stream.set_write_timeout(Some(ASKED_WITHIN))?;
    let peer = wire::check_peer(&stream)?;
    match wire::hear(&mut stream)? {
        Message::Ask { version: VERSION } => Ok((stream, peer)),
        Message::Ask { version } => {
            let cause = format!("this process hands over by version {VERSION}, not {version}");
            let _ = wire::say(&mut stream, &Message::No { cause: cause.clone() });
            Err(failed(cause))
        }
        _ => Err(failed("the other process did not ask")),
    }
}

async fn blocking<T: Send + 'static>(work: impl FnOnce() -> io::Result<T> + Send + 'static) -> io::Result<T> {
    tokio::task::spawn_blocking(work).await.unwrap_or_else(|error| Err(io::Error::other(error)))
}
