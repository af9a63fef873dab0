//! A client of HTTP/2 that writes its frames byte for byte.

use std::net::SocketAddr;

use tokio::io::{AsyncReadExt as _, AsyncWriteExt as _};
use tokio::net::TcpStream;

/// A connection of HTTP/2.
pub(crate) struct Http2(TcpStream);

/// A frame: its type and its stream.
pub(crate) type Frame = (u8, u32);

pub(crate) const HEADERS: u8 = 1;

impl Http2 {
    pub(crate) async fn connect(addr: SocketAddr) -> Self {
        let mut stream = TcpStream::connect(addr).await.unwrap();
        stream.write_all(b"PRI * HTTP/2.0\r\n\r\nSM\r\n\r\n").await.unwrap();
        stream.write_all(&[0, 0, 0, 4, 0, 0, 0, 0, 0]).await.unwrap();
        Self(stream)
    }

    /// Sends `GET path` on stream 1.
    pub(crate) async fn get(&mut self, path: &str, token: &str) {
        // Indexed `:method: GET` and `:scheme: http`; literals of indexed names for the rest (RFC 7541).
        let mut block = vec![0x82, 0x86];
        let authorization = format!("Bearer {token}");
        for (name, value) in [(&[0x04_u8][..], path), (&[0x01], "a"), (&[0x0f, 0x08], &authorization)] {
            block.extend_from_slice(name);
            block.push(u8::try_from(value.len()).unwrap());
            block.extend_from_slice(value.as_bytes());
        }
        let mut frame = vec![0, 0, u8::try_from(block.len()).unwrap(), HEADERS, 0x5, 0, 0, 0, 1];
        frame.extend_from_slice(&block);
        self.0.write_all(&frame).await.unwrap();
    }

    /// The next frame; `None` at the end of the connection.
    pub(crate) async fn frame(&mut self) -> Option<Frame> {
        let mut head = [0; 9];
        self.0.read_exact(&mut head).await.ok()?;
        let length = usize::from(head[1]) << 8 | usize::from(head[2]) | usize::from(head[0]) << 16;
        let mut body = vec![0; length];
        self.0.read_exact(&mut body).await.ok()?;
        Some((head[3], u32::from_be_bytes([head[5], head[6], head[7], head[8]])))
    }

    /// The types of the frames of a stream, up to the end of the connection.
    pub(crate) async fn frames_of(&mut self, stream: u32) -> Vec<u8> {
        let mut types = Vec::new();
        while let Some((frame_type, of)) = self.frame().await {
            if of == stream {
                types.push(frame_type);
            }
        }
        types
    }
}
