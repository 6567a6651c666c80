//! A docker daemon of a test's own, which leaves the machine's network alone.

use std::path::PathBuf;

use rustix::process::Signal;

use crate::{Program, Running, Sandbox, namespace, tools};

/// A daemon that runs until this is dropped.
pub struct DockerDaemon {
    socket: PathBuf,
    running: Option<Running>,
}

impl DockerDaemon {
    /// Starts one with all of its files in `sandbox`. `None`, and a line on stderr that says why,
    /// where it cannot run: only root may start it, and not in every container.
    #[must_use]
    pub fn start(sandbox: &Sandbox) -> Option<Self> {
        if !tools::is_root() {
            tools::left_out("a docker daemon, which only root may start");
            return None;
        }
        let directory = sandbox.directory("dockerd");
        let [data, exec, pid, socket, config] =
            ["data", "exec", "pid", "socket", "daemon.json"].map(|name| directory.join(name));
        sandbox.file("dockerd/daemon.json", "{}");
        let Some(alone) = namespace::hiding(&["/run", "/etc/docker"]) else {
            tools::left_out("a docker daemon, whose files would be left on the machine");
            return None;
        };
        let running = alone
            .arg(tools::need("dockerd", "docker.io"))
            .args(["--iptables=false", "--ip6tables=false", "--bridge=none"])
            // Without this it turns on a setting of the machine.
            .arg("--ip-forward=false")
            .arg("--storage-driver=vfs")
            .arg("--config-file")
            .arg(config)
            .arg("--data-root")
            .arg(data)
            .arg("--exec-root")
            .arg(exec)
            .arg("--pidfile")
            .arg(pid)
            .arg("--host")
            .arg(format!("unix://{}", socket.display()))
            .start();
        if running.find_in_stderr("API listen on", 0).is_none() {
            let said = running.stderr_so_far();
            let why = said.lines().last().unwrap_or_default();
            tools::left_out(&format!("a docker daemon, which does not start: {why}"));
            return None;
        }
        Some(Self {
            socket,
            running: Some(running),
        })
    }

    /// The docker client of this home, which talks to this daemon.
    pub fn docker(&self, sandbox: &Sandbox, args: &[&str]) -> Program {
        let docker = sandbox.client(tools::need("docker", "docker.io"));
        let host = format!("unix://{}", self.socket.display());
        docker.args(args).env("DOCKER_HOST", host)
    }
}

impl Drop for DockerDaemon {
    fn drop(&mut self) {
        // It ends its own children, and unmounts what it has mounted.
        if let Some(running) = self.running.take() {
            running.signal_all(Signal::TERM);
            drop(running.wait());
        }
    }
}
