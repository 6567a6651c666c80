//! Which registry an entry of `auths` is for: each client has a rule of its own.

use crate::{
    docker_setup::config_file::Client,
    helpers::docker::credential::{HUB, is_hub},
};

/// The registry of an entry.
#[derive(Debug, PartialEq, Eq)]
pub(crate) struct Target {
    /// Under what a client will ask a helper for it.
    pub(crate) server_url: String,
    /// Under what a client looks for its helper in `credHelpers`.
    pub(crate) helper_of: String,
    /// Whether it is for a part of the registry, `quay.io/team`, for which no helper is asked.
    pub(crate) is_part: bool,
}

/// The registry of an entry by its name; `None` where no client finds one.
pub(crate) fn target(client: Client, name: &str) -> Option<Target> {
    match client {
        Client::Docker => of_docker(name),
        Client::Containers => of_containers(name),
    }
}

/// The Hub by its URL, any other registry by host and port: `ConvertToHostname` of docker/cli.
fn of_docker(name: &str) -> Option<Target> {
    if name.starts_with(HUB) {
        return Some(whole(name, name));
    }
    if let Some((scheme, rest)) = name.split_once("://") {
        let host = host(scheme, rest)?;
        return Some(whole(&host, docker_name(&host)));
    }
    // An old file may have `host/v1/`; and docker takes `host/team` for the whole.
    let host = name.split('/').next()?;
    Some(whole(host, docker_name(host)))
}

/// `normalizeAuthFileKey` of containers/image: only a URL is taken apart.
fn of_containers(name: &str) -> Option<Target> {
    let schemes = ["https://", "http://"];
    let url = schemes.iter().find_map(|scheme| name.strip_prefix(scheme));
    let registry = url.unwrap_or(name);
    let (registry, rest) = registry.split_once('/').unwrap_or((registry, ""));
    let is_part = url.is_none() && name.contains('/');
    let helper_of = if is_hub(registry) {
        "docker.io"
    } else {
        registry
    };
    let target = whole(if is_part { name } else { registry }, helper_of);
    let is_registry = !(registry.is_empty() || is_part && rest.is_empty());
    is_registry.then_some(Target { is_part, ..target })
}

/// What docker says for a registry.
fn docker_name(host: &str) -> &str {
    if is_hub(host) { HUB } else { host }
}

fn whole(server_url: &str, helper_of: &str) -> Target {
    Target {
        server_url: server_url.into(),
        helper_of: helper_of.into(),
        is_part: false,
    }
}

/// Host and port of `SCHEME://REST` as Go's `url.Parse` finds them; `None` where it finds none.
fn host(scheme: &str, rest: &str) -> Option<String> {
    let is_scheme = scheme.starts_with(|c: char| c.is_ascii_alphabetic())
        && scheme
            .bytes()
            .all(|byte| byte.is_ascii_alphanumeric() || b"+-.".contains(&byte));
    if !is_scheme || rest.contains(|c: char| c.is_ascii_control()) {
        return None;
    }
    let authority = rest.split(['/', '?', '#']).next().unwrap_or(rest);
    let host = match authority.rsplit_once('@') {
        Some((user, host)) => user.bytes().all(is_user_byte).then_some(host)?,
        None => authority,
    };
    let (name, port) = match host.strip_prefix('[') {
        Some(address) => {
            let (address, port) = address.split_once(']')?;
            (address, port)
        }
        None => host.split_at(host.find(':').unwrap_or(host.len())),
    };
    let port = match port.strip_prefix(':') {
        Some(port) => port
            .bytes()
            .all(|byte| byte.is_ascii_digit())
            .then_some(port)?,
        None => port.is_empty().then_some(port)?,
    };
    if name.is_empty() || name.bytes().any(|byte| b" \"<>\\^`{|}%[]".contains(&byte)) {
        return None;
    }
    Some(match (port, name.contains(':')) {
        ("", _) => name.into(),
        (port, true) => format!("[{name}]:{port}"),
        (port, false) => format!("{name}:{port}"),
    })
}

fn is_user_byte(byte: u8) -> bool {
    byte.is_ascii_alphanumeric() || b"-._:~!$&'()*+,;=%@".contains(&byte)
}

#[cfg(test)]
mod tests {
    use super::*;

    fn server_url(client: Client, name: &str) -> Option<String> {
        let target = target(client, name)?;
        Some(match target.is_part {
            true => format!("part of {}", target.server_url),
            false => target.server_url,
        })
    }

    #[test]
    fn dockers_rule_is_host_and_port_of_any_url() {
        for (name, url) in [
            ("h", Some("h")),
            ("h:5000", Some("h:5000")),
            ("h/", Some("h")),
            ("h/v1/", Some("h")),
            ("h:5000/v2", Some("h:5000")),
            ("h/team", Some("h")),
            ("http://h:5000", Some("h:5000")),
            ("HTTPS://h/v2/", Some("h")),
            ("oci://h:1/team", Some("h:1")),
            ("docker://h", Some("h")),
            ("https://zoe@h", Some("h")),
            ("https://zoe:a%40b@h:1/x", Some("h:1")),
            ("https://h?ns=x", Some("h")),
            ("https://h#x@y", Some("h")),
            ("https://h:", Some("h")),
            ("https://[::1]:5000/v1/", Some("[::1]:5000")),
            ("https://[::1]", Some("::1")),
            ("https://H.example", Some("H.example")),
            (
                "https://index.docker.io/v1/",
                Some("https://index.docker.io/v1/"),
            ),
            (
                "https://index.docker.io/v1/access-token",
                Some("https://index.docker.io/v1/access-token"),
            ),
            ("https://", None),
            ("https:///v1/", None),
            ("://h", None),
            ("1x://h", None),
            ("https://h:port", None),
            ("https://h h", None),
            ("https://h\n", None),
            ("https://[::1", None),
            ("https://a b@h", None),
        ] {
            assert_eq!(server_url(Client::Docker, name).as_deref(), url, "{name}");
        }
    }

    #[test]
    fn of_an_auth_file_only_http_urls_are_taken_apart() {
        for (name, url) in [
            ("h", Some("h")),
            ("https://h:1/v1/", Some("h:1")),
            ("http://h", Some("h")),
            ("h/team", Some("part of h/team")),
            ("h/v1", Some("part of h/v1")),
            ("oci://h", Some("part of oci://h")),
            ("https://", None),
            ("h/", None),
            ("", None),
        ] {
            assert_eq!(
                server_url(Client::Containers, name).as_deref(),
                url,
                "{name}"
            );
        }
        let helper_of = |name| target(Client::Containers, name).map(|target| target.helper_of);
        for hub in [
            "docker.io",
            "https://index.docker.io/v1/",
            "registry-1.docker.io",
        ] {
            assert_eq!(helper_of(hub).as_deref(), Some("docker.io"), "{hub}");
        }
        assert_eq!(helper_of("h/team").as_deref(), Some("h"));
    }
}
