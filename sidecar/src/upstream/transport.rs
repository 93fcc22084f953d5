//! HTTP/1.1 to one server: connections that are kept, each driven by the request that uses it.
//!
//! A connection has no task of its own: whoever waits for an answer moves its bytes. So a request never wakes another
//! task or thread, which was a third of what it cost. Idle connections stay with the worker thread that made them,
//! because their readiness is told there.
//!
//! Bounds: [`MOST_IDLE`] connections wait for each worker. None is used after [`IDLE`]; it is closed when the next one is given
//! back or taken, or with the next look at metrics ([`Transport::sweep`]). One transport speaks to one server
//! under one TLS configuration: connections are never shared between servers, names or client certificates. HTTP/2 would
//! save nothing here: the server is near, and one connection a request under way is what it expects.

use std::future::poll_fn;
use std::io::{self, IoSlice};
use std::net::SocketAddr;
use std::pin::{Pin, pin};
use std::sync::{Arc, Mutex, PoisonError};
use std::task::{Context, Poll, Waker};
use std::time::{Duration, Instant};

use bytes::Bytes;
use http::header::HOST;
use http::uri::Authority;
use http::{HeaderValue, Request, Response};
use http_body_util::{Either, Full};
use hyper::body::{Body, Frame, Incoming, SizeHint};
use hyper::client::conn::http1;
use hyper_util::rt::TokioIo;
use rustls::ClientConfig;
use rustls::pki_types::ServerName;
use tokio::io::{AsyncRead, AsyncWrite, ReadBuf};
use tokio::net::TcpStream;
use tokio_rustls::TlsConnector;
use tokio_rustls::client::TlsStream;

use super::timer::Timers;
use super::upload::Upload;
use super::{UpstreamError, chain};
use crate::listen::workers;

/// Most connections that wait for one worker's next request.
const MOST_IDLE: usize = 128;
/// How long one waits.
const IDLE: Duration = Duration::from_secs(60);
/// Workers whose connections are kept apart; more share.
const SHARDS: usize = 64;
/// Most bytes of an answer's head.
const LARGEST_HEAD: usize = 64 * 1024;

/// What is sent: bytes at hand, or a caller's body as it comes.
pub(crate) type Payload = Either<Full<Bytes>, Upload>;

/// A stream to the server, in the clear or over TLS.
enum Stream {
    Plain(TcpStream),
    Tls(Box<TlsStream<TcpStream>>),
}

impl AsyncRead for Stream {
    fn poll_read(
        self: Pin<&mut Self>,
        context: &mut Context<'_>,
        buffer: &mut ReadBuf<'_>,
    ) -> Poll<io::Result<()>> {
        match self.get_mut() {
            Stream::Plain(stream) => Pin::new(stream).poll_read(context, buffer),
            Stream::Tls(stream) => Pin::new(stream).poll_read(context, buffer),
        }
    }
}

impl AsyncWrite for Stream {
    fn poll_write(self: Pin<&mut Self>, context: &mut Context<'_>, bytes: &[u8]) -> Poll<io::Result<usize>> {
        match self.get_mut() {
            Stream::Plain(stream) => Pin::new(stream).poll_write(context, bytes),
            Stream::Tls(stream) => Pin::new(stream).poll_write(context, bytes),
        }
    }

    /// One piece, as most requests are, goes out by the plain call: the kernel takes it for less.
    fn poll_write_vectored(
        self: Pin<&mut Self>,
        context: &mut Context<'_>,
        pieces: &[IoSlice<'_>],
    ) -> Poll<io::Result<usize>> {
        match (self.get_mut(), pieces) {
            (Stream::Plain(stream), [piece]) => Pin::new(stream).poll_write(context, piece),
            (Stream::Plain(stream), pieces) => Pin::new(stream).poll_write_vectored(context, pieces),
            (Stream::Tls(stream), pieces) => Pin::new(stream).poll_write_vectored(context, pieces),
        }
    }

    fn is_write_vectored(&self) -> bool {
        match self {
            Stream::Plain(stream) => stream.is_write_vectored(),
            Stream::Tls(stream) => stream.is_write_vectored(),
        }
    }

    fn poll_flush(self: Pin<&mut Self>, context: &mut Context<'_>) -> Poll<io::Result<()>> {
        match self.get_mut() {
            Stream::Plain(stream) => Pin::new(stream).poll_flush(context),
            Stream::Tls(stream) => Pin::new(stream).poll_flush(context),
        }
    }

    fn poll_shutdown(self: Pin<&mut Self>, context: &mut Context<'_>) -> Poll<io::Result<()>> {
        match self.get_mut() {
            Stream::Plain(stream) => Pin::new(stream).poll_shutdown(context),
            Stream::Tls(stream) => Pin::new(stream).poll_shutdown(context),
        }
    }
}

type Connection = http1::Connection<TokioIo<Stream>, Payload>;

/// A connection with its means to send.
struct Line {
    sender: http1::SendRequest<Payload>,
    connection: Pin<Box<Connection>>,
    /// The connection has come to its end.
    ended: bool,
}

impl Line {
    /// Moves its bytes.
    fn poll(&mut self, context: &mut Context<'_>) {
        self.ended = self.ended || self.connection.as_mut().poll(context).is_ready();
    }

    /// True where the next request can be sent: the last answer is read to its end, and the server has not hung up.
    fn is_open(&mut self) -> bool {
        self.poll(&mut Context::from_waker(Waker::noop()));
        self.is_free()
    }

    /// The same, as far as it was seen when its bytes were last moved.
    fn is_free(&self) -> bool {
        !self.ended && self.sender.is_ready()
    }
}

struct Idle {
    line: Line,
    since: Instant,
}

/// Where a server is found.
enum Place {
    At(SocketAddr),
    Named(String, u16),
}

/// Connections to one server.
pub(crate) struct Transport {
    at: Place,
    /// The name that the server's certificate must have, where TLS is spoken.
    tls: Option<(TlsConnector, ServerName<'static>)>,
    host_header: HeaderValue,
    patience: Duration,
    idle: Arc<[Mutex<Vec<Idle>>]>,
    timers: Timers,
}

impl Transport {
    /// For the server named `authority`, asked `at` this address where one is given, over TLS or not; `patience` bounds the
    /// time to connect.
    pub fn new(
        authority: &Authority,
        at: Option<SocketAddr>,
        tls: Option<ClientConfig>,
        patience: Duration,
    ) -> Option<Transport> {
        let host = authority.host().trim_start_matches('[').trim_end_matches(']').to_owned();
        let port = authority.port_u16().unwrap_or(if tls.is_some() { 443 } else { 80 });
        let name = host.clone();
        let at = at.map_or(Place::Named(host, port), Place::At);
        let tls = match tls {
            None => None,
            Some(mut config) => {
                config.alpn_protocols = vec![b"http/1.1".to_vec()];
                Some((TlsConnector::from(Arc::new(config)), ServerName::try_from(name).ok()?))
            }
        };
        let host_header = HeaderValue::from_str(authority.as_str()).ok()?;
        let idle = (0..SHARDS).map(|_| Mutex::default()).collect();
        Some(Transport { at, tls, host_header, patience, idle, timers: Timers::default() })
    }

    /// Sends one request, whose URI is path and query alone, and gives the answer's head with its body to come.
    pub async fn send(
        &self,
        mut request: Box<Request<Payload>>,
    ) -> Result<Response<AnswerBody>, UpstreamError> {
        request.headers_mut().insert(HOST, self.host_header.clone());
        let shard = workers::index() % SHARDS;
        while let Some(line) = self.take(shard) {
            match self.send_on(line, request, shard).await {
                Ok(answer) => return Ok(answer),
                // The server hung up before it was sent anything.
                Err((_, Some(unsent))) => request = unsent,
                Err((error, None)) => return Err(error),
            }
        }
        let line = Box::pin(self.connect()).await?;
        self.send_on(line, request, shard).await.map_err(|(error, _)| error)
    }

    /// Timers for those who ask.
    pub fn timers(&self) -> &Timers {
        &self.timers
    }

    /// Closes connections that have waited for too long.
    pub fn sweep(&self) {
        for shard in self.idle.iter() {
            shard.lock().unwrap_or_else(PoisonError::into_inner).retain(|own| own.since.elapsed() < IDLE);
        }
    }

    fn take(&self, shard: usize) -> Option<Line> {
        let mut idle = self.idle.get(shard)?.lock().unwrap_or_else(PoisonError::into_inner);
        let now = Instant::now();
        while let Some(Idle { mut line, since }) = idle.pop() {
            if now.saturating_duration_since(since) < IDLE && line.is_open() {
                return Some(line);
            }
        }
        None
    }

    async fn connect(&self) -> Result<Line, UpstreamError> {
        match tokio::time::timeout(self.patience, self.handshake()).await {
            Ok(line) => line,
            Err(_) => Err(UpstreamError::Unreachable("no connection in time".to_owned())),
        }
    }

    async fn handshake(&self) -> Result<Line, UpstreamError> {
        let stream = match &self.at {
            Place::At(address) => TcpStream::connect(address).await,
            Place::Named(host, port) => TcpStream::connect((host.as_str(), *port)).await,
        };
        let stream = stream.map_err(broken)?;
        stream.set_nodelay(true).map_err(broken)?;
        let stream = match &self.tls {
            None => Stream::Plain(stream),
            Some((tls, name)) => {
                Stream::Tls(Box::new(tls.connect(name.clone(), stream).await.map_err(broken)?))
            }
        };
        let (sender, connection) = http1::Builder::new()
            .max_buf_size(LARGEST_HEAD)
            .handshake(TokioIo::new(stream))
            .await
            .map_err(broken)?;
        Ok(Line { sender, connection: Box::pin(connection), ended: false })
    }

    /// Sends on this connection. An error comes with the request where none of it was sent.
    async fn send_on(
        &self,
        mut line: Line,
        request: Box<Request<Payload>>,
        shard: usize,
    ) -> Result<Response<AnswerBody>, (UpstreamError, Option<Box<Request<Payload>>>)> {
        let answer = {
            let mut sending = pin!(line.sender.try_send_request(*request));
            poll_fn(|context| {
                // What the connection comes upon, an answer or an end, is told to `sending`.
                line.poll(context);
                sending.as_mut().poll(context)
            })
            .await
        };
        match answer {
            Ok(answer) => {
                let (head, incoming) = answer.into_parts();
                let body = AnswerBody { incoming, line: Some(line), home: self.idle.clone(), shard };
                Ok(Response::from_parts(head, body))
            }
            Err(mut error) => {
                let unsent = error.take_message().map(Box::new);
                Err((broken(error.into_error()), unsent))
            }
        }
    }
}

fn broken(error: impl std::error::Error + 'static) -> UpstreamError {
    UpstreamError::Unreachable(chain(&error))
}

/// The body of an answer as it comes. Read to its end, it gives its connection back; dropped before, it closes it.
pub(crate) struct AnswerBody {
    incoming: Incoming,
    line: Option<Line>,
    home: Arc<[Mutex<Vec<Idle>>]>,
    shard: usize,
}

impl AnswerBody {
    /// Gives the connection back to those that wait, where it can be used again.
    pub fn give_back(&mut self) {
        let Some(mut line) = self.line.take() else { return };
        // Whoever takes it looks whether the server has hung up meanwhile.
        if !line.is_free() && !line.is_open() {
            return;
        }
        let Some(home) = self.home.get(self.shard) else { return };
        let mut idle = home.lock().unwrap_or_else(PoisonError::into_inner);
        let now = Instant::now();
        if idle.first().is_some_and(|oldest| now.saturating_duration_since(oldest.since) >= IDLE) {
            idle.retain(|own| now.saturating_duration_since(own.since) < IDLE);
        }
        if idle.len() < MOST_IDLE {
            idle.push(Idle { line, since: now });
        }
    }
}

impl Body for AnswerBody {
    type Data = Bytes;
    type Error = hyper::Error;

    fn poll_frame(
        self: Pin<&mut Self>,
        context: &mut Context<'_>,
    ) -> Poll<Option<Result<Frame<Bytes>, hyper::Error>>> {
        let own = self.get_mut();
        let mut next = Pin::new(&mut own.incoming).poll_frame(context);
        if next.is_pending()
            && let Some(line) = &mut own.line
        {
            line.poll(context);
            if line.ended {
                own.line = None;
            }
            next = Pin::new(&mut own.incoming).poll_frame(context);
        }
        if matches!(next, Poll::Ready(None)) || (own.incoming.is_end_stream() && own.line.is_some()) {
            own.give_back();
        }
        next
    }

    fn is_end_stream(&self) -> bool {
        self.incoming.is_end_stream()
    }

    fn size_hint(&self) -> SizeHint {
        self.incoming.size_hint()
    }
}
