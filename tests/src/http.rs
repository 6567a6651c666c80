//! A web server on the loopback interface, for clients that speak HTTP.

use std::{
    io::{self, BufRead, BufReader, Read, Write},
    net::{Ipv4Addr, SocketAddr, TcpListener, TcpStream},
    sync::{
        Arc,
        atomic::{AtomicBool, Ordering},
    },
    thread::{self, JoinHandle},
};

use base64::{Engine, prelude::BASE64_STANDARD};

use crate::LIMIT;

/// What a client asks.
#[derive(Clone, Debug)]
pub struct Request {
    /// `GET`, `POST` and so on.
    pub method: String,
    /// The path, without what follows a question mark.
    pub path: String,
    /// What follows the question mark.
    pub query: String,
    headers: Vec<(String, String)>,
    /// The body, of the length that the client announced.
    pub body: Vec<u8>,
}

impl Request {
    /// A header's value; the name in any case.
    #[must_use]
    pub fn header(&self, name: &str) -> Option<&str> {
        let is_it = |(key, _): &&(String, String)| key.eq_ignore_ascii_case(name);
        self.headers.iter().find(is_it).map(|(_, value)| &**value)
    }

    /// The username and password of basic authentication.
    #[must_use]
    pub fn basic(&self) -> Option<(String, String)> {
        let encoded = self.header("Authorization")?.strip_prefix("Basic ")?;
        let decoded = String::from_utf8(BASE64_STANDARD.decode(encoded).ok()?).ok()?;
        let (username, password) = decoded.split_once(':')?;
        Some((username.into(), password.into()))
    }

    fn read(from: impl Read) -> io::Result<Self> {
        let mut from = BufReader::new(from);
        let mut line = String::new();
        from.read_line(&mut line)?;
        let invalid = || io::Error::from(io::ErrorKind::InvalidData);
        let mut words = line.split_whitespace();
        let method = words.next().ok_or_else(invalid)?.to_owned();
        let target = words.next().ok_or_else(invalid)?;
        let (path, query) = target.split_once('?').unwrap_or((target, ""));
        let mut request = Self {
            method,
            path: path.into(),
            query: query.into(),
            headers: Vec::new(),
            body: Vec::new(),
        };
        loop {
            let mut line = String::new();
            from.read_line(&mut line)?;
            let Some((name, value)) = line.trim_end().split_once(':') else {
                break;
            };
            request.headers.push((name.into(), value.trim().into()));
        }
        if let Some(len) = request.header("Content-Length") {
            request.body = vec![0; len.parse().map_err(|_| invalid())?];
            from.read_exact(&mut request.body)?;
        }
        Ok(request)
    }
}

/// What it gets.
#[derive(Clone, Debug)]
pub struct Response {
    /// The status code.
    pub status: u16,
    /// The headers, without the length.
    pub headers: Vec<(String, String)>,
    /// The body.
    pub body: Vec<u8>,
}

impl Response {
    /// That status, no headers.
    pub fn new(status: u16, body: impl Into<Vec<u8>>) -> Self {
        Self {
            status,
            headers: Vec::new(),
            body: body.into(),
        }
    }

    /// One more header.
    #[must_use]
    pub fn header(mut self, name: &str, value: &str) -> Self {
        self.headers.push((name.into(), value.into()));
        self
    }

    fn write(&self, mut to: impl Write) -> io::Result<()> {
        let mut head = format!("HTTP/1.1 {} -\r\nConnection: close\r\n", self.status);
        for (name, value) in &self.headers {
            head.push_str(&format!("{name}: {value}\r\n"));
        }
        head.push_str(&format!("Content-Length: {}\r\n\r\n", self.body.len()));
        to.write_all(head.as_bytes())?;
        to.write_all(&self.body)?;
        to.flush()
    }
}

/// Answers until it is dropped.
pub struct Server {
    address: SocketAddr,
    ends: Arc<AtomicBool>,
    thread: Option<JoinHandle<()>>,
}

impl Server {
    /// Begins to answer, each connection in a thread of its own, one request each.
    ///
    /// # Panics
    /// There is no port to be had.
    pub fn start<F>(answer: F) -> Self
    where
        F: Fn(&Request) -> Response + Send + Sync + 'static,
    {
        let listener = TcpListener::bind((Ipv4Addr::LOCALHOST, 0)).expect("a port of its own");
        let address = listener.local_addr().expect("its address");
        let ends = Arc::new(AtomicBool::new(false));
        let ended = Arc::clone(&ends);
        let answer = Arc::new(answer);
        let thread = thread::spawn(move || {
            for connection in listener.incoming() {
                if ended.load(Ordering::SeqCst) {
                    break;
                }
                let answer = Arc::clone(&answer);
                thread::spawn(move || connection.and_then(|c| serve(&c, &*answer)));
            }
        });
        Self {
            address,
            ends,
            thread: Some(thread),
        }
    }

    /// Its host and port.
    #[must_use]
    pub fn host(&self) -> String {
        self.address.to_string()
    }
}

impl Drop for Server {
    fn drop(&mut self) {
        self.ends.store(true, Ordering::SeqCst);
        // So that it looks.
        drop(TcpStream::connect(self.address));
        if let Some(thread) = self.thread.take() {
            drop(thread.join());
        }
    }
}

fn serve(connection: &TcpStream, answer: &dyn Fn(&Request) -> Response) -> io::Result<()> {
    connection.set_read_timeout(Some(LIMIT))?;
    connection.set_write_timeout(Some(LIMIT))?;
    let request = Request::read(connection)?;
    answer(&request).write(connection)
}
