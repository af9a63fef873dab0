//! Requests that no HTTP client would send: bytes on a socket, and the bytes that come back.

use std::net::SocketAddr;
use std::time::Duration;

use tokio::io::{AsyncReadExt as _, AsyncWriteExt as _};
use tokio::net::TcpStream;

/// A test that waits longer has failed.
const PATIENCE: Duration = Duration::from_secs(180);

/// Everything that the server says until it closes the connection.
pub(crate) async fn exchange(to: SocketAddr, request: &[u8]) -> String {
    let mut stream = TcpStream::connect(to).await.expect("a connection");
    // The server may answer, and close, before it has read everything.
    let _ = stream.write_all(request).await;
    until_closed(stream).await
}

/// Sends the beginning of a request and then nothing more.
pub(crate) async fn stall(to: SocketAddr, beginning: &[u8]) -> String {
    let mut stream = TcpStream::connect(to).await.expect("a connection");
    stream.write_all(beginning).await.expect("sent");
    until_closed(stream).await
}

async fn until_closed(mut stream: TcpStream) -> String {
    let mut bytes = Vec::new();
    // A reset after an answer is an end too.
    let read = async {
        while let Ok(count) = stream.read_buf(&mut bytes).await {
            if count == 0 {
                break;
            }
        }
    };
    tokio::time::timeout(PATIENCE, read).await.expect("the server closes the connection");
    String::from_utf8_lossy(&bytes).into_owned()
}

/// The statuses of all answers in some bytes.
pub(crate) fn statuses(answer: &str) -> Vec<u16> {
    let lines = answer.split("HTTP/1.1 ").skip(1);
    lines.map(|line| line[..3].parse().expect("a status")).collect()
}

/// The code of the first envelope in some bytes; empty where there is none.
pub(crate) fn code(answer: &str) -> String {
    let found = answer.split_once("\"code\":\"").and_then(|(_, rest)| rest.split_once('"'));
    found.map(|(code, _)| code.to_owned()).unwrap_or_default()
}
