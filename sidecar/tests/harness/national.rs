//! A national gateway that stands in for the real one, on a real socket: it writes down what it gets and answers as it is told.

use std::convert::Infallible;
use std::net::{Ipv4Addr, SocketAddr};
use std::sync::{Arc, Mutex};
use std::time::Duration;

use base64::Engine as _;
use base64::engine::general_purpose::URL_SAFE_NO_PAD;
use bytes::Bytes;
use http::{HeaderMap, Method, Request, Response, StatusCode};
use http_body_util::{BodyExt, Full};
use hyper::body::Incoming;
use hyper::service::service_fn;
use hyper_util::rt::TokioIo;
use rustls::ServerConfig;
use serde_json::{Value, json};
use tokio::io::{AsyncRead, AsyncWrite};
use tokio::net::{TcpListener, TcpStream};
use tokio::task::{JoinHandle, JoinSet};
use tokio_rustls::TlsAcceptor;

use super::now;

/// A message as it arrived.
#[derive(Debug, Clone)]
pub struct Arrived {
    pub method: Method,
    pub target: String,
    pub headers: HeaderMap,
    pub body: Bytes,
}

impl Arrived {
    pub fn line(&self) -> String {
        format!("{} {}", self.method, self.target)
    }

    /// The trace that it belongs to.
    pub fn trace(&self) -> String {
        self.headers["traceparent"].to_str().unwrap().split('-').nth(1).unwrap().to_owned()
    }
}

type Answers = Box<dyn Fn(&Arrived) -> Option<(u16, &'static str, Vec<u8>)> + Send>;

struct Inner {
    arrived: Mutex<Vec<Arrived>>,
    answers: Mutex<Answers>,
}

/// The gateway; it is down when it is not up.
pub struct National {
    pub port: u16,
    inner: Arc<Inner>,
    task: Option<JoinHandle<()>>,
    tls: Option<TlsAcceptor>,
}

/// What it answers a message that it takes.
pub fn taken() -> (u16, &'static str, Vec<u8>) {
    (201, "application/json", br#"{"traceID":"c2e1","spanID":"c2e1","workflowInstanceId":"w"}"#.to_vec())
}

impl National {
    /// One that takes everything, and is up.
    pub async fn start() -> National {
        let inner = Inner { arrived: Mutex::default(), answers: Mutex::new(Box::new(|_| Some(taken()))) };
        let mut own = National { port: super::free_port(), inner: Arc::new(inner), task: None, tls: None };
        own.up().await;
        own
    }

    /// Answers so from now on; `None`: it takes the message and never answers.
    pub fn answers(
        &self,
        answer: impl Fn(&Arrived) -> Option<(u16, &'static str, Vec<u8>)> + Send + 'static,
    ) {
        *self.inner.answers.lock().unwrap() = Box::new(answer);
    }

    /// One that shows this certificate and demands one of its callers.
    pub async fn over_tls(config: ServerConfig) -> National {
        let mut own = National::start().await;
        own.down().await;
        own.tls = Some(TlsAcceptor::from(Arc::new(config)));
        own.up().await;
        own
    }

    pub async fn up(&mut self) {
        let listener = TcpListener::bind((Ipv4Addr::LOCALHOST, self.port)).await.unwrap();
        let (inner, tls) = (self.inner.clone(), self.tls.clone());
        self.task = Some(tokio::spawn(async move {
            let mut connections = JoinSet::new();
            while let Ok((stream, _)) = listener.accept().await {
                let (inner, tls) = (inner.clone(), tls.clone());
                connections.spawn(async move {
                    match tls {
                        None => serve(stream, inner).await,
                        Some(tls) => {
                            if let Ok(stream) = tls.accept(stream).await {
                                serve(stream, inner).await;
                            }
                        }
                    }
                });
            }
        }));
    }

    /// From now on nothing listens, and open connections are gone.
    pub async fn down(&mut self) {
        if let Some(task) = self.task.take() {
            task.abort();
            let _ = task.await;
        }
        while TcpStream::connect(SocketAddr::from((Ipv4Addr::LOCALHOST, self.port))).await.is_ok() {
            tokio::time::sleep(Duration::from_millis(5)).await;
        }
    }

    pub fn arrived(&self) -> Vec<Arrived> {
        self.inner.arrived.lock().unwrap().clone()
    }

    pub fn lines(&self) -> Vec<String> {
        self.arrived().iter().map(Arrived::line).collect()
    }

    /// Waits until so many messages have arrived.
    pub async fn wait_for(&self, count: usize) {
        for _ in 0..1_200 {
            if self.arrived().len() >= count {
                return;
            }
            tokio::time::sleep(Duration::from_millis(25)).await;
        }
        panic!("{count} messages did not arrive: {:?}", self.lines());
    }
}

async fn serve<S>(stream: S, inner: Arc<Inner>)
where
    S: AsyncRead + AsyncWrite + Unpin + Send + 'static,
{
    let service = service_fn(move |request: Request<Incoming>| {
        let inner = inner.clone();
        async move {
            let (head, body) = request.into_parts();
            let body = body.collect().await.map(|body| body.to_bytes()).unwrap_or_default();
            let target = head.uri.path_and_query().unwrap().as_str().to_owned();
            let arrived = Arrived { method: head.method, target, headers: head.headers, body };
            let answer = (inner.answers.lock().unwrap())(&arrived);
            inner.arrived.lock().unwrap().push(arrived);
            let Some((status, kind, body)) = answer else { return std::future::pending().await };
            let mut response = Response::new(Full::new(Bytes::from(body)));
            *response.status_mut() = StatusCode::from_u16(status).unwrap();
            response.headers_mut().insert("content-type", kind.parse().unwrap());
            response.headers_mut().insert("govway-transaction-id", "g1".parse().unwrap());
            Ok::<_, Infallible>(response)
        }
    });
    let _ = hyper::server::conn::http1::Builder::new().serve_connection(TokioIo::new(stream), service).await;
}

/// The two tokens of a message: what they say, with nobody's signature.
pub fn tokens(id: &str, ends_in: i64, changed: &Value) -> (String, String) {
    let token = |issuer: &str| {
        let mut claims = json!({ "iss": format!("{issuer}:S1#030#OSPEDALE"), "jti": format!("{issuer}-{id}"),
            "exp": i64::try_from(now()).unwrap() + ends_in, "sub": "RSSMRA71E01F205E^^^&2.16.840.1.113883.2.9.4.3.2&ISO",
            "subject_organization_id": "030", "person_id": "GTWGWY82B42G920M^^^&2.16.840.1.113883.2.9.4.3.2&ISO" });
        for (name, value) in changed.as_object().unwrap() {
            claims[name] = value.clone();
        }
        format!("e30.{}.c2ln", URL_SAFE_NO_PAD.encode(claims.to_string()))
    };
    (token("auth"), token("integrity"))
}

/// A body with a PDF and its metadata.
pub fn multipart(boundary: &str, document: &str, pdf: &[u8]) -> Vec<u8> {
    let mut body = format!(
        "--{boundary}\r\nContent-Disposition: form-data; name=\"file\"; filename=\"d.pdf\"\r\nContent-Type: application/pdf\r\n\r\n"
    )
    .into_bytes();
    body.extend_from_slice(pdf);
    let metadata = format!("{{\"identificativoDoc\": \"{document}\", \"mode\":\"ATTACHMENT\"}}");
    body.extend_from_slice(
        format!("\r\n--{boundary}\r\nContent-Disposition: form-data; name=\"requestBody\"\r\n\r\n{metadata}\r\n--{boundary}--\r\n")
            .as_bytes(),
    );
    body
}
