//! A registry of crates, sparse, that shows nothing without a token.

use std::{
    path::{Path, PathBuf},
    sync::{Arc, Mutex, PoisonError},
};

use crate::{
    Program, Sandbox,
    http::{Request, Response, Server},
};

/// A request that came: what was asked, and the token.
pub type Seen = (String, Option<String>);

#[derive(Default)]
struct State {
    tokens: Vec<String>,
    seen: Vec<Seen>,
}

/// A registry with one crate, `demo` 1.0.0, which can be found but not downloaded.
pub struct CargoRegistry {
    server: Server,
    state: Arc<Mutex<State>>,
}

impl CargoRegistry {
    /// One that accepts these tokens.
    #[must_use]
    pub fn start(tokens: &[&str]) -> Self {
        let state = Arc::new(Mutex::new(State {
            tokens: tokens.iter().map(|token| (*token).to_owned()).collect(),
            seen: Vec::new(),
        }));
        let shared = Arc::clone(&state);
        let server = Server::start(move |request| answer(&shared, request));
        Self { server, state }
    }

    /// The URL of its index.
    #[must_use]
    pub fn index(&self) -> String {
        format!("sparse+http://{}/index/", self.server.host())
    }

    /// What was asked since this was last asked.
    #[must_use]
    pub fn seen(&self) -> Vec<Seen> {
        let mut state = self.state.lock().unwrap_or_else(PoisonError::into_inner);
        std::mem::take(&mut state.seen)
    }

    /// The cargo that runs this test, in that home, with this registry as `test` and these
    /// providers of credentials.
    pub fn cargo(&self, sandbox: &Sandbox, providers: &[&str]) -> Program {
        let index = self.index();
        let config = format!(
            "[registries.test]\nindex = \"{index}\"\n[registry]\n\
             global-credential-providers = {providers:?}\n"
        );
        sandbox.file(cargo_home().join("config.toml"), config);
        let home = sandbox.path().join(cargo_home());
        sandbox
            .client(env!("CARGO"))
            .env("CARGO_HOME", home)
            // Not rustup's, which asks its own home what to run.
            .env("RUSTC", Path::new(env!("CARGO")).with_file_name("rustc"))
            .env("CARGO_NET_RETRY", "0")
    }
}

/// Where cargo keeps its own files, in a sandbox.
#[must_use]
pub fn cargo_home() -> PathBuf {
    Path::new("home/.cargo").into()
}

fn answer(state: &Mutex<State>, request: &Request) -> Response {
    let token = request.header("Authorization").map(str::to_owned);
    let is_allowed = {
        let mut state = state.lock().unwrap_or_else(PoisonError::into_inner);
        let asked = format!("{} {}", request.method, request.path);
        state.seen.push((asked, token.clone()));
        token.is_some_and(|token| state.tokens.contains(&token))
    };
    let host = request.header("Host").unwrap_or_default();
    if !is_allowed {
        let login = format!("Cargo login_url=\"http://{host}/me\"");
        return Response::new(401, "").header("WWW-Authenticate", &login);
    }
    let json = |value: serde_json::Value| Response::new(200, value.to_string());
    match (request.method.as_str(), request.path.as_str()) {
        ("GET", "/index/config.json") => json(serde_json::json!({
            "dl": format!("http://{host}/dl"),
            "api": format!("http://{host}"),
            "auth-required": true,
        })),
        ("GET", "/index/de/mo/demo") => json(serde_json::json!({
            "name": "demo", "vers": "1.0.0", "deps": [], "cksum": "0".repeat(64),
            "features": {}, "yanked": false,
        })),
        ("GET", "/api/v1/crates") => json(serde_json::json!({
            "crates": [{ "name": "demo", "max_version": "1.0.0", "description": "a demo" }],
            "meta": { "total": 1 },
        })),
        ("GET", "/api/v1/crates/demo/owners") => json(serde_json::json!({
            "users": [{ "id": 1, "login": "zoe", "name": "Zoe" }],
        })),
        ("DELETE", "/api/v1/crates/demo/1.0.0/yank") => json(serde_json::json!({ "ok": true })),
        _ => Response::new(404, ""),
    }
}
