//! A publisher that sends arbitrary bytes. Client libraries refuse to send some messages that
//! servers accept, store and deliver.

use std::io;

use tokio::io::{AsyncReadExt, AsyncWriteExt};
use tokio::net::TcpStream;

const HELLO: &[u8] =
    b"CONNECT {\"verbose\":false,\"pedantic\":false,\"headers\":true,\"no_responders\":true}\r\n";

/// A connection that speaks the NATS protocol without a library.
#[derive(Debug)]
pub struct RawPublisher {
    stream: TcpStream,
}

impl RawPublisher {
    /// Connects to a server on this machine.
    pub async fn connect(port: u16) -> Self {
        let stream = TcpStream::connect(("127.0.0.1", port))
            .await
            .expect("a NATS server");
        let mut publisher = Self { stream };
        publisher.send(HELLO).await;
        publisher.flush().await;
        publisher
    }

    /// Publishes a payload without headers.
    pub async fn publish(&mut self, subject: &[u8], payload: &[u8]) {
        let sizes = format!(" {}\r\n", payload.len());
        let message = [b"PUB ", subject, sizes.as_bytes(), payload, b"\r\n"].concat();
        self.send(&message).await;
    }

    /// Publishes a payload with a block of header bytes, which includes its first line and the
    /// empty line at its end.
    pub async fn publish_with_headers(&mut self, subject: &[u8], header: &[u8], payload: &[u8]) {
        let sizes = format!(" {} {}\r\n", header.len(), header.len() + payload.len());
        let sizes = sizes.as_bytes();
        let message = [b"HPUB ", subject, sizes, header, payload, b"\r\n"].concat();
        self.send(&message).await;
    }

    /// Waits until the server has read everything; panics if it reports an error.
    pub async fn flush(&mut self) {
        self.send(b"PING\r\n").await;
        let mut said = Vec::new();
        while !said.ends_with(b"PONG\r\n") {
            let count = self.stream.read_buf(&mut said).await;
            assert_ne!(count.expect("an answer"), 0, "the server hung up");
            let text = String::from_utf8_lossy(&said);
            assert!(!text.contains("-ERR"), "{text}");
        }
    }

    /// Publishes one message to JetStream like [`RawPublisher::publish_with_headers`], and returns
    /// the answer.
    pub async fn request(
        server: &str,
        subject: &str,
        header: &[u8],
        payload: &[u8],
    ) -> io::Result<String> {
        let mut stream = TcpStream::connect(server).await?;
        let total = header.len() + payload.len();
        let publish = format!(
            "SUB answer 1\r\nHPUB {subject} answer {} {total}\r\n",
            header.len()
        );
        let all = [HELLO, publish.as_bytes(), header, payload, b"\r\n"].concat();
        stream.write_all(&all).await?;
        let mut said = Vec::new();
        loop {
            if stream.read_buf(&mut said).await? == 0 {
                return Err(io::ErrorKind::UnexpectedEof.into());
            }
            let text = String::from_utf8_lossy(&said);
            let answer = text.split_once("MSG answer 1 ").map(|(_, answer)| answer);
            match answer.and_then(|answer| answer.split_once("\r\n")) {
                Some((_, answer)) if answer.contains("\r\n") => return Ok(answer.to_owned()),
                _ => {}
            }
        }
    }

    async fn send(&mut self, bytes: &[u8]) {
        self.stream.write_all(bytes).await.expect("a connection");
    }
}
