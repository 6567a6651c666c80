//! A web server on the loopback interface, for clients that speak HTTP.

use std::{
    io::{self, Read},
    net::Ipv4Addr,
    sync::Arc,
    thread::{self, JoinHandle},
};

use base64::{Engine, prelude::BASE64_STANDARD};
use tiny_http::Header;

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

    fn read(from: &mut tiny_http::Request) -> io::Result<Self> {
        let mut body = Vec::new();
        let is_chunked = |header: &Header| header.field.equiv("Transfer-Encoding");
        // No further than announced: to a request that offers an upgrade, as cargo's do, the rest of
        // the connection belongs too, and it does not end.
        let announced = match from.body_length() {
            Some(len) => len as u64,
            None if from.headers().iter().any(is_chunked) => u64::MAX,
            None => 0,
        };
        from.as_reader().take(announced).read_to_end(&mut body)?;
        let (path, query) = from.url().split_once('?').unwrap_or((from.url(), ""));
        let header = |header: &Header| (header.field.to_string(), header.value.to_string());
        Ok(Self {
            method: from.method().to_string(),
            path: path.into(),
            query: query.into(),
            headers: from.headers().iter().map(header).collect(),
            body,
        })
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

    fn send(self, to: tiny_http::Request) -> io::Result<()> {
        let header = |(name, value): &(String, String)| Header::from_bytes(&**name, &**value);
        let headers: Result<Vec<_>, ()> = self.headers.iter().map(header).collect();
        let response = tiny_http::Response::new(
            self.status.into(),
            headers.expect("headers"),
            &*self.body,
            Some(self.body.len()),
            None,
        );
        to.respond(response)
    }
}

/// Answers until it is dropped.
pub struct Server {
    server: Arc<tiny_http::Server>,
    thread: Option<JoinHandle<()>>,
}

impl Server {
    /// Begins to answer, each request in a thread of its own.
    ///
    /// # Panics
    /// No port is available.
    pub fn start<F>(answer: F) -> Self
    where
        F: Fn(&Request) -> Response + Send + Sync + 'static,
    {
        let server = tiny_http::Server::http((Ipv4Addr::LOCALHOST, 0)).expect("a port of its own");
        let (server, answer) = (Arc::new(server), Arc::new(answer));
        let requests = Arc::clone(&server);
        let thread = thread::spawn(move || {
            for mut request in requests.incoming_requests() {
                let answer = Arc::clone(&answer);
                thread::spawn(move || {
                    let read = Request::read(&mut request)?;
                    answer(&read).send(request)
                });
            }
        });
        Self {
            server,
            thread: Some(thread),
        }
    }

    /// Its host and port.
    #[must_use]
    pub fn host(&self) -> String {
        self.server.server_addr().to_string()
    }
}

impl Drop for Server {
    fn drop(&mut self) {
        self.server.unblock();
        if let Some(thread) = self.thread.take() {
            drop(thread.join());
        }
    }
}
