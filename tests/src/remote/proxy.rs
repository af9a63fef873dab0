//! A proxy between a client and a server that breaks connections as networks do.
//!
//! It knows HTTP/2 well enough to tell an answer from the talk about the connection itself; everything that a server
//! says over HTTP/1 counts as an answer.

use std::io::{ErrorKind, Read, Write};
use std::net::{Shutdown, SocketAddr, TcpListener, TcpStream};
use std::sync::atomic::{AtomicBool, AtomicU64, Ordering};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::thread;
use std::time::{Duration, Instant};

/// How long a read waits before it looks at the mode again.
const TICK: Duration = Duration::from_millis(10);
/// How long connections may take to end that are cut; a machine under load is slow.
const PATIENCE: Duration = Duration::from_secs(60);

/// What the proxy does to what passes.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Mode {
    /// Nothing.
    Pass,
    /// The request reaches the server; when the answer comes, the connection is cut: the client never learns that its
    /// request was carried out.
    DropAnswers,
    /// The same, to the first answer and every second one behind it: each request that is repeated once gets through.
    DropAnswersInTurn,
    /// Connections stay open and nothing passes, in neither direction.
    Hang,
    /// Connections are cut, and new ones at once after they were accepted.
    Refuse,
    /// The next piece of an answer passes; then as [`Refuse`](Self::Refuse).
    RefuseAfterAnswer,
}

/// A proxy in front of one port of 127.0.0.1.
#[derive(Debug)]
pub struct Proxy {
    address: SocketAddr,
    shared: Arc<Shared>,
}

#[derive(Debug)]
struct Shared {
    server: SocketAddr,
    mode: Mutex<Mode>,
    is_ended: AtomicBool,
    connections: AtomicU64,
    open: AtomicU64,
    answers: AtomicU64,
    dropped_answers: AtomicU64,
    carried_bytes: AtomicU64,
}

impl Proxy {
    /// Listens on a free port; nothing is broken at first. The server may be down.
    ///
    /// # Panics
    ///
    /// When no port is free.
    pub fn to(server_port: u16) -> Self {
        let listener = TcpListener::bind("127.0.0.1:0").expect("a free port for the proxy");
        let address = listener.local_addr().expect("the proxy's address");
        listener.set_nonblocking(true).expect("a listener that does not block");
        let shared = Arc::new(Shared {
            server: SocketAddr::from(([127, 0, 0, 1], server_port)),
            mode: Mutex::new(Mode::Pass),
            is_ended: AtomicBool::new(false),
            connections: AtomicU64::new(0),
            open: AtomicU64::new(0),
            answers: AtomicU64::new(0),
            dropped_answers: AtomicU64::new(0),
            carried_bytes: AtomicU64::new(0),
        });
        let accepting = Arc::clone(&shared);
        thread::spawn(move || accept(&listener, &accepting));
        Self { address, shared }
    }

    /// Its address: `127.0.0.1:40000`.
    pub fn address(&self) -> String {
        self.address.to_string()
    }

    /// Its port.
    pub fn port(&self) -> u16 {
        self.address.port()
    }

    /// Does something else from now on, also to open connections.
    pub fn set(&self, mode: Mode) {
        *self.shared.lock_mode() = mode;
    }

    /// Cuts every connection that is open, and lets everything pass again when they have ended.
    ///
    /// # Panics
    ///
    /// When one is still open after 60 seconds.
    pub fn cut(&self) {
        self.set(Mode::Refuse);
        let since = Instant::now();
        loop {
            let open = self.shared.open.load(Ordering::SeqCst);
            if open == 0 {
                break;
            }
            assert!(
                since.elapsed() < PATIENCE,
                "{open} connections that were cut did not end in {PATIENCE:?}"
            );
            thread::sleep(TICK);
        }
        self.set(Mode::Pass);
    }

    /// How many connections there were.
    pub fn connections(&self) -> u64 {
        self.shared.connections.load(Ordering::SeqCst)
    }

    /// How many answers came from the server, those that were dropped among them.
    pub fn answers(&self) -> u64 {
        self.shared.answers.load(Ordering::SeqCst)
    }

    /// How many bytes it has carried to the server.
    pub fn carried_bytes(&self) -> u64 {
        self.shared.carried_bytes.load(Ordering::SeqCst)
    }

    /// How many answers the client never got.
    pub fn dropped_answers(&self) -> u64 {
        self.shared.dropped_answers.load(Ordering::SeqCst)
    }
}

impl Drop for Proxy {
    fn drop(&mut self) {
        self.shared.is_ended.store(true, Ordering::SeqCst);
    }
}

impl Shared {
    fn lock_mode(&self) -> MutexGuard<'_, Mode> {
        self.mode.lock().unwrap_or_else(PoisonError::into_inner)
    }

    fn mode(&self) -> Mode {
        if self.is_ended.load(Ordering::SeqCst) { Mode::Refuse } else { *self.lock_mode() }
    }

    /// What becomes of a piece of what the server says.
    fn next_after(&self, said: Said) -> Next {
        let drops = (0..said.begun).any(|_| self.drops_answer());
        match self.mode() {
            _ if drops => Next::Cut,
            Mode::DropAnswers if said.has_data => {
                self.dropped_answers.fetch_add(1, Ordering::SeqCst);
                Next::Cut
            }
            Mode::RefuseAfterAnswer if said.has_data => {
                *self.lock_mode() = Mode::Refuse;
                Next::CarryAndCut
            }
            _ => Next::Carry,
        }
    }

    /// Whether an answer that has come is dropped.
    fn drops_answer(&self) -> bool {
        let before = self.answers.fetch_add(1, Ordering::SeqCst);
        let is_dropped = match self.mode() {
            Mode::DropAnswers => true,
            Mode::DropAnswersInTurn => before.is_multiple_of(2),
            Mode::Pass | Mode::Hang | Mode::Refuse | Mode::RefuseAfterAnswer => false,
        };
        self.dropped_answers.fetch_add(u64::from(is_dropped), Ordering::SeqCst);
        is_dropped
    }
}

/// A connection, as long as it is open.
struct Open(Arc<Shared>);

impl Open {
    fn new(shared: &Arc<Shared>) -> Self {
        shared.open.fetch_add(1, Ordering::SeqCst);
        Self(Arc::clone(shared))
    }
}

impl Drop for Open {
    fn drop(&mut self) {
        self.0.open.fetch_sub(1, Ordering::SeqCst);
    }
}

fn accept(listener: &TcpListener, shared: &Arc<Shared>) {
    while !shared.is_ended.load(Ordering::SeqCst) {
        let Ok((client, _)) = listener.accept() else {
            thread::sleep(TICK);
            continue;
        };
        shared.connections.fetch_add(1, Ordering::SeqCst);
        // Counted before it looks at the mode: whoever cuts waits for it, or it came later.
        let open = Open::new(shared);
        if shared.mode() == Mode::Refuse {
            continue;
        }
        thread::spawn(move || {
            let shared = &open.0;
            while shared.mode() == Mode::Hang {
                thread::sleep(TICK);
            }
            // A server that is down closes the client's connection, as it would itself.
            let Ok(server) = TcpStream::connect(shared.server) else { return };
            carry(&client, &server, shared);
        });
    }
}

/// Carries bytes in both directions until one of them ends.
fn carry(client: &TcpStream, server: &TcpStream, shared: &Arc<Shared>) {
    for stream in [client, server] {
        let is_set_up = stream.set_nonblocking(false).and_then(|()| stream.set_nodelay(true));
        if is_set_up.and_then(|()| stream.set_read_timeout(Some(TICK))).is_err() {
            return;
        }
    }
    thread::scope(|scope| {
        scope.spawn(|| {
            pump(client, server, shared, |bytes| {
                shared.carried_bytes.fetch_add(bytes.len() as u64, Ordering::SeqCst);
                Next::Carry
            });
            cut(client, server);
        });
        let mut answers = Answers::default();
        pump(server, client, shared, |bytes| {
            let said = answers.said_in(bytes);
            shared.next_after(said)
        });
        cut(client, server);
    });
}

fn cut(client: &TcpStream, server: &TcpStream) {
    // They may be cut already.
    let _ = client.shutdown(Shutdown::Both);
    let _ = server.shutdown(Shutdown::Both);
}

/// Carries bytes in one direction, until the end of either side or until `ends` says so of a piece.
fn pump(mut from: &TcpStream, mut to: &TcpStream, shared: &Shared, mut next: impl FnMut(&[u8]) -> Next) {
    let mut buffer = vec![0; 64 * 1024];
    loop {
        let read = match from.read(&mut buffer) {
            Ok(0) => return,
            Ok(read) => read,
            Err(error) if matches!(error.kind(), ErrorKind::WouldBlock | ErrorKind::TimedOut) => 0,
            Err(error) if error.kind() == ErrorKind::Interrupted => 0,
            Err(_) => return,
        };
        while shared.mode() == Mode::Hang {
            thread::sleep(TICK);
        }
        if shared.mode() == Mode::Refuse {
            return;
        }
        let next = next(&buffer[..read]);
        if next == Next::Cut || to.write_all(&buffer[..read]).is_err() || next == Next::CarryAndCut {
            return;
        }
    }
}

/// What becomes of a piece.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Next {
    Carry,
    CarryAndCut,
    Cut,
}

/// What a server says in a piece.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
struct Said {
    /// How many answers begin.
    begun: usize,
    /// Whether something of an answer is in it, which may have begun long before: a stream of answers is one to
    /// HTTP/2.
    has_data: bool,
}

/// Finds answers in what a server says.
#[derive(Debug, Default)]
struct Answers {
    /// The head of an HTTP/2 frame, as far as it has come.
    head: Vec<u8>,
    /// How much of a frame's payload is still to come.
    payload: usize,
    protocol: Option<Protocol>,
}

#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Protocol {
    Http1,
    Http2,
}

/// The length of a frame's head, and the kind of frame that carries the heads of an answer.
const HEAD_LEN: usize = 9;
const HEADERS: u8 = 1;
/// The kind of frame that carries what an answer says.
const DATA: u8 = 0;
/// Of the flags of `HEADERS`: nothing follows. In an answer of gRPC, those are the trailers.
const END_STREAM: u8 = 1;

impl Answers {
    fn said_in(&mut self, mut bytes: &[u8]) -> Said {
        let mut said = Said::default();
        // A server of HTTP/2 speaks first of its settings, a frame whose length begins with a zero byte.
        let protocol = match (self.protocol, bytes.first()) {
            (Some(protocol), _) => protocol,
            (None, None) => return said,
            (None, Some(first)) => {
                *self.protocol.insert(if *first == b'H' { Protocol::Http1 } else { Protocol::Http2 })
            }
        };
        if protocol == Protocol::Http1 {
            said.begun = usize::from(bytes.starts_with(b"HTTP/"));
            said.has_data = !bytes.is_empty();
            return said;
        }
        while !bytes.is_empty() {
            let of_payload = self.payload.min(bytes.len());
            bytes = &bytes[of_payload..];
            self.payload -= of_payload;
            let of_head = if self.payload == 0 { (HEAD_LEN - self.head.len()).min(bytes.len()) } else { 0 };
            self.head.extend_from_slice(&bytes[..of_head]);
            bytes = &bytes[of_head..];
            if let [a, b, c, kind, flags, ..] = self.head[..]
                && self.head.len() == HEAD_LEN
            {
                self.payload = usize::from(a) << 16 | usize::from(b) << 8 | usize::from(c);
                self.head.clear();
                said.begun += usize::from(kind == HEADERS && flags & END_STREAM == 0);
                said.has_data |= kind == DATA && self.payload > 0;
            }
        }
        said
    }
}

#[cfg(test)]
mod tests {
    use std::time::Instant;

    use super::*;

    /// A server that gives each connection its bytes back.
    fn echo() -> u16 {
        let listener = TcpListener::bind("127.0.0.1:0").expect("bind");
        let port = listener.local_addr().expect("its address").port();
        thread::spawn(move || {
            for stream in listener.incoming() {
                let Ok(mut stream) = stream else { return };
                thread::spawn(move || {
                    let mut buffer = [0; 1_024];
                    while let Ok(read @ 1..) = stream.read(&mut buffer) {
                        if stream.write_all(&buffer[..read]).is_err() {
                            return;
                        }
                    }
                });
            }
        });
        port
    }

    fn client(proxy: &Proxy) -> TcpStream {
        let stream = TcpStream::connect(proxy.address()).expect("the proxy accepts");
        stream.set_read_timeout(Some(Duration::from_secs(30))).expect("set a limit");
        stream
    }

    /// What comes back, until the connection ends or as many bytes are there.
    fn answer(stream: &mut TcpStream, question: &[u8]) -> Vec<u8> {
        let mut answer = Vec::new();
        if stream.write_all(question).is_ok() {
            // A connection that was reset ends as well.
            let _ = stream.take(question.len() as u64).read_to_end(&mut answer);
        }
        answer
    }

    #[test]
    fn answers_pass_and_are_dropped_and_pass_again() {
        let proxy = Proxy::to(echo());
        assert_eq!(answer(&mut client(&proxy), b"HTTP/1"), b"HTTP/1");
        proxy.set(Mode::DropAnswers);
        assert_eq!(answer(&mut client(&proxy), b"HTTP/1"), b"");
        assert_eq!((proxy.answers(), proxy.dropped_answers()), (2, 1));
        proxy.set(Mode::Pass);
        assert_eq!(answer(&mut client(&proxy), b"HTTP/1"), b"HTTP/1");
    }

    #[test]
    fn in_turn_every_second_answer_passes() {
        let proxy = Proxy::to(echo());
        proxy.set(Mode::DropAnswersInTurn);
        let lengths: Vec<usize> = (0..4).map(|_| answer(&mut client(&proxy), b"HTTP/1").len()).collect();
        assert_eq!(lengths, [0, 6, 0, 6]);
    }

    #[test]
    fn refused_connections_end_also_when_they_were_open() {
        let proxy = Proxy::to(echo());
        let mut open = client(&proxy);
        assert_eq!(answer(&mut open, b"HTTP/1"), b"HTTP/1");
        proxy.set(Mode::Refuse);
        assert_eq!(open.read(&mut [0; 1]).unwrap_or(0), 0);
        assert_eq!(answer(&mut client(&proxy), b"HTTP/1"), b"");
    }

    #[test]
    fn a_cut_ends_what_was_open_and_nothing_else() {
        let proxy = Proxy::to(echo());
        let mut open: Vec<TcpStream> = (0..8).map(|_| client(&proxy)).collect();
        for stream in &mut open {
            assert_eq!(answer(stream, b"HTTP/1"), b"HTTP/1");
        }
        proxy.cut();
        assert_eq!(proxy.shared.open.load(Ordering::SeqCst), 0);
        for stream in &mut open {
            // At once: it is no limit of time that ends them.
            stream.set_nonblocking(true).expect("a stream that does not block");
            let read = stream.read(&mut [0; 1]);
            assert!(!read.is_err_and(|error| error.kind() == ErrorKind::WouldBlock), "it is still open");
        }
        assert_eq!(answer(&mut client(&proxy), b"HTTP/1"), b"HTTP/1");
    }

    #[test]
    fn what_hangs_goes_on_when_it_may() {
        let proxy = Proxy::to(echo());
        proxy.set(Mode::Hang);
        let mut stream = client(&proxy);
        stream.write_all(b"HTTP/1").expect("the proxy keeps the connection");
        stream.set_read_timeout(Some(Duration::from_millis(100))).expect("set a limit");
        assert!(stream.read(&mut [0; 1]).is_err_and(|error| error.kind() == ErrorKind::WouldBlock));
        proxy.set(Mode::Pass);
        let deadline = Instant::now() + Duration::from_secs(30);
        let mut got = Vec::new();
        while got.len() < 6 && Instant::now() < deadline {
            let mut buffer = [0; 6];
            let read = stream.read(&mut buffer).unwrap_or(0);
            got.extend_from_slice(&buffer[..read]);
        }
        assert_eq!(got.len(), 6);
    }

    #[test]
    fn settings_are_no_answers_and_frames_may_come_in_pieces() {
        let frame = |kind: u8, flags: u8, payload: &[u8]| {
            let mut frame = vec![0, 0, u8::try_from(payload.len()).expect("short"), kind, flags, 0, 0, 0, 1];
            frame.extend_from_slice(payload);
            frame
        };
        let said: Vec<u8> = [
            frame(4, 0, &[1; 6]),
            frame(4, 1, &[]),
            frame(1, 4, b"head"),
            frame(0, 0, &[1; 200]),
            frame(1, 5, b"trailers"),
            frame(8, 0, &[0; 4]),
            frame(1, 4, b"head"),
        ]
        .concat();
        for piece in [1, 3, 9, 10, 1_000] {
            let mut answers = Answers::default();
            let begun: usize = said.chunks(piece).map(|bytes| answers.said_in(bytes).begun).sum();
            assert_eq!(begun, 2, "in pieces of {piece}");
        }
    }
}
