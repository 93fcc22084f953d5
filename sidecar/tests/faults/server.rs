//! A server made of bytes: it does what no good one would.

use std::net::SocketAddr;
use std::sync::atomic::Ordering::SeqCst;
use std::sync::atomic::{AtomicBool, AtomicU64, AtomicUsize};
use std::sync::{Arc, Mutex};
use std::time::Duration;

use serde_json::json;
use tokio::io::{AsyncBufReadExt, AsyncReadExt, AsyncWriteExt, BufReader};
use tokio::net::{TcpListener, TcpStream};

use crate::harness::FHIR;

/// What the server does with a request.
#[derive(Debug, Clone)]
pub enum Manner {
    /// Answers it as it should.
    Good,
    /// Answers, and closes the connection without having said so.
    GoodThenCloses,
    /// Answers the first request of a connection, and closes it upon the second.
    OneAnswerAConnection,
    /// Writes this, and goes on.
    Says(String),
    /// Writes this, then says nothing more.
    ThenHangs(String),
    /// Writes this, then closes.
    ThenCloses(String),
    /// Writes this, then resets.
    ThenResets(String),
    /// Writes this, then a byte every fifty milliseconds for ever.
    ThenDrips(String),
    /// Writes this, then a gigabyte in chunks.
    ThenFloods(String),
    /// Writes this again and again.
    Repeats(String),
    /// Answers as it should once it is let go.
    Holds,
    /// Writes this, and the rest once it is let go.
    HoldsInside(String, String),
    /// Reads a request's head and nothing more.
    ReadsNoBody,
}

/// A server made of bytes, in a thread of its own.
#[derive(Clone)]
pub struct Server {
    pub address: SocketAddr,
    state: Arc<State>,
}

struct State {
    manner: Mutex<Manner>,
    connections: AtomicUsize,
    heads: Mutex<Vec<String>>,
    moved: AtomicU64,
    held: AtomicBool,
    stopped: AtomicBool,
}

impl Server {
    pub fn start() -> Server {
        let listener = std::net::TcpListener::bind("127.0.0.1:0").unwrap();
        listener.set_nonblocking(true).unwrap();
        let state = State {
            manner: Mutex::new(Manner::Good),
            connections: AtomicUsize::default(),
            heads: Mutex::default(),
            moved: AtomicU64::default(),
            held: AtomicBool::new(true),
            stopped: AtomicBool::default(),
        };
        let server = Server { address: listener.local_addr().unwrap(), state: Arc::new(state) };
        let own = server.clone();
        std::thread::spawn(move || {
            let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build().unwrap();
            runtime.block_on(async {
                let listener = TcpListener::from_std(listener).unwrap();
                while !own.state.stopped.load(SeqCst) {
                    let accepted = tokio::time::timeout(Duration::from_millis(20), listener.accept()).await;
                    let Ok(Ok((stream, _))) = accepted else { continue };
                    own.state.connections.fetch_add(1, SeqCst);
                    let own = own.clone();
                    tokio::spawn(async move {
                        let _ = own.serve(stream).await;
                    });
                }
            });
        });
        server
    }

    /// Closes its port and its connections.
    pub async fn stop(&self) {
        self.state.stopped.store(true, SeqCst);
        while TcpStream::connect(self.address).await.is_ok() {
            tokio::time::sleep(Duration::from_millis(5)).await;
        }
    }

    pub fn url(&self) -> String {
        format!("http://{}/fhir", self.address)
    }

    pub fn does(&self, manner: Manner) {
        *self.state.manner.lock().unwrap() = manner;
    }

    /// What was held is let go.
    pub fn lets_go(&self) {
        self.state.held.store(false, SeqCst);
    }

    /// Connections that it took so far.
    pub fn connections(&self) -> usize {
        self.state.connections.load(SeqCst)
    }

    /// Bytes of bodies that it read or wrote so far, beyond the small ones.
    pub fn moved(&self) -> u64 {
        self.state.moved.load(SeqCst)
    }

    /// The heads of requests that it got whole, and it forgets them.
    pub fn heads(&self) -> Vec<String> {
        std::mem::take(&mut *self.state.heads.lock().unwrap())
    }

    /// Their first lines.
    pub fn asked(&self) -> Vec<String> {
        self.heads().iter().map(|head| head.lines().next().unwrap().to_owned()).collect()
    }

    async fn serve(&self, stream: TcpStream) -> std::io::Result<()> {
        let (mut first, mut stream) = (true, BufReader::new(stream));
        while let Some(head) = head(&mut stream).await? {
            let manner = self.state.manner.lock().unwrap().clone();
            if !matches!(manner, Manner::ReadsNoBody) {
                self.read_body(&mut stream, &head).await?;
                self.state.heads.lock().unwrap().push(head.clone());
            }
            let id = head.split(' ').nth(1).unwrap().rsplit('/').next().unwrap();
            let good = if head.starts_with("GET") { good(200, id) } else { good(201, id) };
            match manner {
                Manner::Good => stream.write_all(good.as_bytes()).await?,
                Manner::Says(text) => stream.write_all(text.as_bytes()).await?,
                Manner::GoodThenCloses => return stream.write_all(good.as_bytes()).await,
                Manner::OneAnswerAConnection if first => stream.write_all(good.as_bytes()).await?,
                Manner::OneAnswerAConnection => return Ok(()),
                Manner::Holds => {
                    self.until_let_go().await;
                    stream.write_all(good.as_bytes()).await?;
                }
                Manner::HoldsInside(begin, end) => {
                    stream.write_all(begin.as_bytes()).await?;
                    self.until_let_go().await;
                    stream.write_all(end.as_bytes()).await?;
                }
                Manner::ReadsNoBody => return until_gone(stream).await,
                Manner::ThenCloses(text) => return stream.write_all(text.as_bytes()).await,
                Manner::ThenResets(text) => {
                    stream.write_all(text.as_bytes()).await?;
                    return stream.get_ref().set_zero_linger();
                }
                Manner::ThenHangs(text) => {
                    stream.write_all(text.as_bytes()).await?;
                    // Until the other side hangs up.
                    let _ = stream.read(&mut [0]).await;
                    return Ok(());
                }
                Manner::ThenDrips(text) => {
                    stream.write_all(text.as_bytes()).await?;
                    loop {
                        stream.write_all(b" ").await?;
                        tokio::time::sleep(Duration::from_millis(50)).await;
                    }
                }
                Manner::ThenFloods(text) => {
                    stream.write_all(text.as_bytes()).await?;
                    let chunk = format!("10000\r\n{}\r\n", " ".repeat(0x10000));
                    for _ in 0..(1 << 30) / 0x10000 {
                        stream.write_all(chunk.as_bytes()).await?;
                        self.state.moved.fetch_add(0x10000, SeqCst);
                    }
                    stream.write_all(b"0\r\n\r\n").await?;
                }
                Manner::Repeats(text) => {
                    let text = text.repeat(1 + 4096 / text.len());
                    loop {
                        stream.write_all(text.as_bytes()).await?;
                        tokio::task::yield_now().await;
                    }
                }
            }
            first = false;
        }
        Ok(())
    }

    async fn until_let_go(&self) {
        while self.state.held.load(SeqCst) {
            tokio::time::sleep(Duration::from_millis(2)).await;
        }
    }

    /// Reads a body to its end; one that ends too early is an error.
    async fn read_body(&self, stream: &mut BufReader<TcpStream>, head: &str) -> std::io::Result<()> {
        let field = |wanted: &str| {
            let fields = head.lines().filter_map(|line| line.split_once(':'));
            let mut found = fields.filter(|(name, _)| name.eq_ignore_ascii_case(wanted));
            found.next().map(|(_, value)| value.trim().to_owned())
        };
        if field("transfer-encoding").is_none() {
            let length = field("content-length").map_or(0, |length| length.parse().unwrap());
            return self.read(stream, length).await;
        }
        loop {
            let mut size = String::new();
            stream.read_line(&mut size).await?;
            let size = u64::from_str_radix(size.trim(), 16).map_err(std::io::Error::other)?;
            self.read(stream, size).await?;
            stream.read_exact(&mut [0; 2]).await?;
            if size == 0 {
                return Ok(());
            }
        }
    }

    async fn read(&self, stream: &mut BufReader<TcpStream>, length: u64) -> std::io::Result<()> {
        let (mut left, mut piece) = (length, vec![0; 1 << 16]);
        while left > 0 {
            let most = left.min(piece.len() as u64) as usize;
            let read = stream.read(&mut piece[..most]).await?;
            if read == 0 {
                return Err(std::io::ErrorKind::UnexpectedEof.into());
            }
            left -= read as u64;
            self.state.moved.fetch_add(read as u64, SeqCst);
        }
        Ok(())
    }
}

/// Takes nothing, until the other side is gone.
async fn until_gone(stream: BufReader<TcpStream>) -> std::io::Result<()> {
    while stream.get_ref().peek(&mut [0]).await? > 0 {
        tokio::time::sleep(Duration::from_millis(5)).await;
    }
    Ok(())
}

/// A request's head; nothing where the connection ended.
async fn head(stream: &mut BufReader<TcpStream>) -> std::io::Result<Option<String>> {
    let mut head = String::new();
    while !head.ends_with("\r\n\r\n") {
        if stream.read_line(&mut head).await? == 0 {
            return Ok(None);
        }
    }
    Ok(Some(head))
}

pub fn good(status: u16, id: &str) -> String {
    let body = match status {
        200 => json!({ "resourceType": "Patient", "id": id }),
        _ => {
            json!({ "resourceType": "Observation", "id": "new", "status": "final", "code": { "text": "x" } })
        }
    };
    with_length(status, &body.to_string())
}

pub fn with_length(status: u16, body: &str) -> String {
    format!("HTTP/1.1 {status} X\r\ncontent-type: {FHIR}\r\ncontent-length: {}\r\n\r\n{body}", body.len())
}
