//! Answers over HTTP/1.1 as they come on a connection that a test asks by hand.

use tokio::io::{AsyncBufRead, AsyncBufReadExt, AsyncReadExt};

/// Reads one answer: its status, and whether it says that the connection ends.
pub async fn answer(from: &mut (impl AsyncBufRead + Unpin)) -> (u16, bool) {
    let (mut status, mut closes, mut length) = (0, false, 0);
    loop {
        let mut line = String::new();
        assert!(from.read_line(&mut line).await.unwrap() > 0, "the connection has ended");
        let line = line.trim_end().to_ascii_lowercase();
        if let Some(rest) = line.strip_prefix("http/1.1 ") {
            status = rest[..3].parse().unwrap();
        } else if let Some(value) = line.strip_prefix("content-length: ") {
            length = value.parse().unwrap();
        } else if line == "connection: close" {
            closes = true;
        } else if line.is_empty() {
            break;
        }
    }
    let mut body = vec![0; length];
    from.read_exact(&mut body).await.unwrap();
    (status, closes)
}
