//! A department's system that sends HL7 v2 messages over MLLP.

use std::net::SocketAddr;
use std::path::Path;
use std::time::Duration;

use tokio::io::{AsyncRead, AsyncReadExt, AsyncWrite, AsyncWriteExt};
use tokio::net::TcpStream;
use varco_core::hl7v2::{MllpDecoder, mllp_frame};

/// Longer than anything here may take.
const PATIENCE: Duration = Duration::from_secs(60);

/// Two departments, on a free port.
pub const TWO_SENDERS: &str = "[mllp]\naddress = \"127.0.0.1:0\"\n\
    [[mllp.sender]]\nname = \"adt\"\napplication = \"ADT\"\nfacility = \"030924\"\n\
    [[mllp.sender]]\nname = \"lis\"\napplication = \"LAB\"\ntypes = [\"ORU^R01\"]\n";

/// An open connection.
pub struct Line<S> {
    stream: S,
    decoder: MllpDecoder,
}

impl Line<TcpStream> {
    pub async fn open(address: SocketAddr) -> Line<TcpStream> {
        Line::over(TcpStream::connect(address).await.unwrap())
    }
}

impl<S: AsyncRead + AsyncWrite + Unpin> Line<S> {
    pub fn over(stream: S) -> Line<S> {
        Line { stream, decoder: MllpDecoder::new(1 << 20, false) }
    }

    /// Writes bytes as they are.
    pub async fn write(&mut self, bytes: &[u8]) {
        self.stream.write_all(bytes).await.unwrap();
        self.stream.flush().await.unwrap();
    }

    pub async fn send(&mut self, message: &[u8]) {
        self.write(&mllp_frame(message)).await;
    }

    /// The next answer; `None` where the connection ends.
    pub async fn next(&mut self) -> Option<String> {
        let mut chunk = [0; 4096];
        loop {
            if let Some(message) = self.decoder.message().unwrap() {
                return Some(String::from_utf8(message).unwrap());
            }
            match tokio::time::timeout(PATIENCE, self.stream.read(&mut chunk)).await.unwrap() {
                Ok(0) | Err(_) => return None,
                Ok(count) => self.decoder.feed(&chunk[..count]),
            }
        }
    }

    pub async fn answer(&mut self) -> String {
        self.next().await.expect("an answer")
    }

    /// Sends a message and waits for its answer.
    pub async fn exchange(&mut self, message: &[u8]) -> String {
        self.send(message).await;
        self.answer().await
    }
}

/// A field of an answer, such as `MSA` 1; empty where it is not there.
pub fn field<'a>(answer: &'a str, segment: &str, number: usize) -> &'a str {
    let line = answer.split('\r').find(|line| line.starts_with(segment)).unwrap_or_default();
    line.split('|').nth(number).unwrap_or_default()
}

/// MSA-1 and MSA-2.
pub fn acknowledged(answer: &str) -> (&str, &str) {
    (field(answer, "MSA", 1), field(answer, "MSA", 2))
}

/// A message of `testdata/hl7v2`.
pub fn sample(name: &str) -> Vec<u8> {
    std::fs::read(Path::new(env!("CARGO_MANIFEST_DIR")).join("../testdata/hl7v2").join(name)).unwrap()
}

/// An admission with this control id, in original mode.
pub fn admission(control_id: &str) -> String {
    format!(
        "MSH|^~\\&|ADT|030924|VARCO|HUB|20260301101500||ADT^A01^ADT_A01|{control_id}|P|2.5.1\r\
         EVN|A01|20260301101500\r\
         PID|1||4711^^^030924&2.16.840.1.113883.2.9.2.30.4.1&ISO^MR||Rossi^Mario||19710501|M\r\
         PV1|1|I|MED^201^1||||||||||||||||30001^^^030924&2.16.840.1.113883.2.9.4.1.2&ISO^VN\r\
         DG1|1||486^Polmonite^I9C||20260228|A\r"
    )
}

/// A result of two values with this control id, in original mode.
pub fn result(control_id: &str) -> String {
    format!(
        "MSH|^~\\&|LAB|030924|VARCO|HUB|20260301101500||ORU^R01^ORU_R01|{control_id}|P|2.5.1\r\
         PID|1||4711^^^030924&2.16.840.1.113883.2.9.2.30.4.1&ISO^MR||Rossi^Mario||19710501|M\r\
         OBR|1||F1^LAB^1.2.840.99^ISO|14957-5^Microalbumina^LN|||20260301093000|||||||||||||||20260301101000||LAB|F\r\
         OBX|1|NM|14957-5^Microalbumina^LN||12.5|mg/L^mg/L^UCUM||N|||F|||20260301093000\r\
         OBX|2|NM|2345-7^Glucosio^LN||88|mg/dL^mg/dL^UCUM||N|||F|||20260301093000\r"
    )
}
