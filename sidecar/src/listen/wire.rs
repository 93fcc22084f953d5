//! A caller's TCP socket, whose readiness is told on the thread that drives its connection, also after that has changed.

use std::io::{self, IoSlice};
use std::pin::Pin;
use std::task::{Context, Poll};

use tokio::io::{AsyncRead, AsyncWrite, ReadBuf};
use tokio::net::TcpStream;

use super::workers;

/// A socket.
#[derive(Debug)]
pub(super) struct Wire {
    /// Missing only where it could not be taken to another thread: then it can't be used any more.
    socket: Option<TcpStream>,
    /// The worker that its readiness is told to.
    home: usize,
}

fn lost() -> io::Error {
    io::ErrorKind::NotConnected.into()
}

impl Wire {
    /// A socket that is driven by this thread.
    pub fn here(socket: std::net::TcpStream) -> io::Result<Wire> {
        Ok(Wire { socket: Some(TcpStream::from_std(socket)?), home: workers::index() })
    }

    /// The socket.
    pub fn socket(&self) -> io::Result<&TcpStream> {
        self.socket.as_ref().ok_or_else(lost)
    }

    /// The socket, whose readiness is told to this thread from now on.
    fn pinned(&mut self) -> io::Result<Pin<&mut TcpStream>> {
        if self.home != workers::index() {
            let socket = self.socket.take().ok_or_else(lost)?;
            *self = Wire::here(socket.into_std()?)?;
        }
        self.socket.as_mut().map(Pin::new).ok_or_else(lost)
    }
}

impl AsyncRead for Wire {
    fn poll_read(
        mut self: Pin<&mut Self>,
        context: &mut Context<'_>,
        buffer: &mut ReadBuf<'_>,
    ) -> Poll<io::Result<()>> {
        self.pinned()?.poll_read(context, buffer)
    }
}

impl AsyncWrite for Wire {
    fn poll_write(
        mut self: Pin<&mut Self>,
        context: &mut Context<'_>,
        bytes: &[u8],
    ) -> Poll<io::Result<usize>> {
        self.pinned()?.poll_write(context, bytes)
    }

    fn poll_write_vectored(
        mut self: Pin<&mut Self>,
        context: &mut Context<'_>,
        pieces: &[IoSlice<'_>],
    ) -> Poll<io::Result<usize>> {
        self.pinned()?.poll_write_vectored(context, pieces)
    }

    fn is_write_vectored(&self) -> bool {
        true
    }

    fn poll_flush(mut self: Pin<&mut Self>, context: &mut Context<'_>) -> Poll<io::Result<()>> {
        self.pinned()?.poll_flush(context)
    }

    fn poll_shutdown(mut self: Pin<&mut Self>, context: &mut Context<'_>) -> Poll<io::Result<()>> {
        self.pinned()?.poll_shutdown(context)
    }
}
