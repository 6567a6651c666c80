//! Git over HTTP with basic authentication: `git http-backend` behind a web server.

use std::{
    fs,
    path::{Path, PathBuf},
    sync::{Arc, Mutex, PoisonError},
};

use serde_json::{Value, json};

use crate::{
    Program, Sandbox,
    http::{Request, Response, Server},
    tools,
};

/// An account, and the repository that it may use.
#[derive(Clone, Debug)]
struct Account {
    repository: String,
    username: String,
    password: String,
}

#[derive(Default)]
struct State {
    accounts: Vec<Account>,
    seen: Vec<Option<(String, String)>>,
}

/// A server of bare repositories.
pub struct GitServer {
    server: Server,
    root: PathBuf,
    state: Arc<Mutex<State>>,
}

impl GitServer {
    /// One without repositories and accounts, in `sandbox`.
    #[must_use]
    pub fn start(sandbox: &Sandbox) -> Self {
        let root = sandbox.directory("repositories");
        let state = Arc::new(Mutex::new(State::default()));
        let (shared, directory) = (Arc::clone(&state), root.clone());
        let server = Server::start(move |request| answer(&directory, &shared, request));
        Self {
            server,
            root,
            state,
        }
    }

    /// Makes an empty repository, such as `a.git`, that this user may read and write.
    #[track_caller]
    pub fn repository(&self, name: &str, username: &str, password: &str) {
        let path = self.root.join(name);
        if !path.exists() {
            let init =
                Program::new(git()).args(["init", "--quiet", "--bare", "--initial-branch=main"]);
            init.arg(&path).run().succeeds();
        }
        self.account(name, username, password);
    }

    /// Sets a password, new or in place of one.
    pub fn account(&self, repository: &str, username: &str, password: &str) {
        let mut state = self.state();
        state
            .accounts
            .retain(|a| a.repository != repository || a.username != username);
        state.accounts.push(Account {
            repository: repository.into(),
            username: username.into(),
            password: password.into(),
        });
    }

    /// Its host and port.
    #[must_use]
    pub fn host(&self) -> String {
        self.server.host()
    }

    /// The URL of a repository.
    #[must_use]
    pub fn url(&self, repository: &str) -> String {
        format!("http://{}/{repository}", self.host())
    }

    /// The usernames and passwords that came since this was last asked, in order; none for a request
    /// without.
    #[must_use]
    pub fn seen(&self) -> Vec<Option<(String, String)>> {
        std::mem::take(&mut self.state().seen)
    }

    fn state(&self) -> std::sync::MutexGuard<'_, State> {
        self.state.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

fn git() -> PathBuf {
    tools::need("git", "git")
}

fn answer(root: &Path, state: &Mutex<State>, request: &Request) -> Response {
    let repository = request.path.split('/').nth(1).unwrap_or_default();
    let basic = request.basic();
    let is_allowed = {
        let mut state = state.lock().unwrap_or_else(PoisonError::into_inner);
        state.seen.push(basic.clone());
        basic.as_ref().is_some_and(|(username, password)| {
            state.accounts.iter().any(|account| {
                account.repository == repository
                    && account.username == *username
                    && account.password == *password
            })
        })
    };
    if !is_allowed {
        return Response::new(401, "").header("WWW-Authenticate", "Basic realm=\"test\"");
    }
    if request.path.contains("/lfs/") {
        return large_files(root, request);
    }
    let header = |name| request.header(name).unwrap_or_default();
    let backend = Program::new(git())
        .arg("http-backend")
        .env("GIT_PROJECT_ROOT", root)
        .env("GIT_HTTP_EXPORT_ALL", "1")
        .env("REQUEST_METHOD", &request.method)
        .env("PATH_INFO", &request.path)
        .env("QUERY_STRING", &request.query)
        .env("CONTENT_TYPE", header("Content-Type"))
        .env("CONTENT_LENGTH", request.body.len().to_string())
        .env("HTTP_CONTENT_ENCODING", header("Content-Encoding"))
        .env("GIT_PROTOCOL", header("Git-Protocol"))
        .env(
            "REMOTE_USER",
            basic.map(|(username, _)| username).unwrap_or_default(),
        )
        .env("REMOTE_ADDR", "127.0.0.1")
        .input(request.body.clone());
    from_cgi(&backend.run().succeeds().stdout)
}

/// Headers, an empty line, the body; the status is a header.
fn from_cgi(output: &[u8]) -> Response {
    let end = output.windows(4).position(|w| w == b"\r\n\r\n");
    let end = end.expect("an empty line behind the headers");
    let head = String::from_utf8_lossy(&output[..end]);
    let mut response = Response::new(200, &output[end + 4..]);
    for (name, value) in head.lines().filter_map(|line| line.split_once(": ")) {
        match name {
            "Status" => response.status = value[..3].parse().expect("a status"),
            _ => response = response.header(name, value),
        }
    }
    response
}

/// What Git LFS asks for: where each object is, and then the object.
fn large_files(root: &Path, request: &Request) -> Response {
    let file = |oid: &str| root.join(format!("lfs.{oid}"));
    let last = request.path.rsplit('/').next().unwrap_or_default();
    match (&*request.method, last) {
        ("POST", "batch") => {
            let batch: Value = serde_json::from_slice(&request.body).expect("a batch");
            let operation = batch["operation"].as_str().expect("an operation");
            let repository = request.path.split('/').nth(1).unwrap_or_default();
            let host = request.header("Host").unwrap_or_default();
            let place = |object: &Value| {
                let oid = object["oid"].as_str().expect("an oid");
                let href = format!("http://{host}/{repository}/lfs/{oid}");
                json!({"oid": oid, "size": object["size"], "actions": {operation: {"href": href}}})
            };
            let objects = batch["objects"].as_array().expect("objects").iter();
            let answer =
                json!({"transfer": "basic", "objects": objects.map(place).collect::<Value>()});
            Response::new(200, answer.to_string())
                .header("Content-Type", "application/vnd.git-lfs+json")
        }
        ("PUT", oid) => {
            fs::write(file(oid), &request.body).expect("keep an object");
            Response::new(200, "")
        }
        ("GET", oid) if file(oid).exists() => {
            Response::new(200, fs::read(file(oid)).expect("an object"))
        }
        // Locks, which are optional.
        _ => Response::new(404, ""),
    }
}
