//! The new process's side: it asks the one that serves for its sockets and for what it knows, and follows it.

use std::io;
use std::net::{SocketAddr, TcpListener};
use std::os::unix::net::UnixStream;
use std::path::Path;

use super::wire::{self, Bequest, Message};
use super::{ASKED_WITHIN, REST_AND_DRAIN, VERSION, failed};

/// What another process gave.
#[derive(Debug)]
pub struct Taken {
    stream: UnixStream,
    sockets: Vec<(String, TcpListener)>,
    /// What it knows.
    pub bequest: Bequest,
}

/// What the other process said when this one was ready.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Said {
    /// This process goes on in its place.
    Yours,
    /// Nothing: it is gone, and this process goes on alone.
    Gone,
}

impl Taken {
    /// Asks the process behind the control socket. `None` where there is none, or where it went away: then this one starts
    /// as if it were the first.
    ///
    /// # Errors
    /// A process that is there and does not hand over.
    pub fn ask(path: &Path) -> io::Result<Option<Taken>> {
        let mut stream = match UnixStream::connect(path) {
            Ok(stream) => stream,
            Err(error)
                if matches!(error.kind(), io::ErrorKind::NotFound | io::ErrorKind::ConnectionRefused) =>
            {
                return Ok(None);
            }
            Err(error) => return Err(error),
        };
        stream.set_read_timeout(Some(ASKED_WITHIN))?;
        stream.set_write_timeout(Some(ASKED_WITHIN))?;
        wire::check_peer(&stream)?;
        let heard = wire::say(&mut stream, &Message::Ask { version: VERSION })
            .and_then(|()| wire::hear_with(&mut stream));
        match heard {
            Ok((Message::Bequest { sockets: names, bequest }, sockets)) if names.len() == sockets.len() => {
                let sockets = names.into_iter().zip(sockets).collect();
                Ok(Some(Taken { stream, sockets, bequest }))
            }
            Ok((Message::No { cause }, _)) => Err(failed(cause)),
            Ok(_) => Err(failed("the process that serves said something else than what it has")),
            Err(error) if is_gone(&error) => {
                tracing::warn!("the process that served went away while it was asked: this one starts alone");
                Ok(None)
            }
            Err(error) => Err(error),
        }
    }

    /// The socket of this name, if it listens where it should.
    pub fn socket(&mut self, name: &str, address: SocketAddr) -> Option<TcpListener> {
        let fits =
            |own: &(String, TcpListener)| own.0 == name && own.1.local_addr().is_ok_and(|at| at == address);
        let place = self.sockets.iter().position(fits)?;
        Some(self.sockets.swap_remove(place).1)
    }

    /// Says that this process can answer, and hears whether it may.
    ///
    /// # Errors
    /// The other process goes on serving: this one must end.
    pub fn ready(&mut self) -> io::Result<Said> {
        match wire::say(&mut self.stream, &Message::Ready).and_then(|()| wire::hear(&mut self.stream)) {
            Ok(Message::Yours) => Ok(Said::Yours),
            Ok(Message::No { cause }) => Err(failed(cause)),
            Ok(_) => Err(failed("the process that serves said something that was not asked")),
            Err(error) if is_gone(&error) => Ok(Said::Gone),
            Err(error) => Err(error),
        }
    }

    /// Waits until HL7 v2 and the work beside requests have come to rest there, or the process is gone.
    pub fn await_release(&mut self) {
        let _ = self.stream.set_read_timeout(Some(REST_AND_DRAIN));
        if let Err(error) = wire::hear(&mut self.stream)
            && !is_gone(&error)
        {
            tracing::warn!(%error, "the process before did not say that it rests");
        }
    }

    /// Waits until the other process is gone.
    pub fn await_end(mut self) {
        let _ = self.stream.set_read_timeout(Some(REST_AND_DRAIN));
        match wire::hear(&mut self.stream) {
            Err(error) if !is_gone(&error) => {
                tracing::warn!(%error, "the process before is still there: it is not waited for any longer");
            }
            _ => {}
        }
    }
}

/// The other end is closed, by whatever way.
fn is_gone(error: &io::Error) -> bool {
    use io::ErrorKind::{BrokenPipe, ConnectionAborted, ConnectionReset, UnexpectedEof};
    matches!(error.kind(), UnexpectedEof | ConnectionReset | ConnectionAborted | BrokenPipe)
}
