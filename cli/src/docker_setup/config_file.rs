//! Docker's `config.json`, and the `auth.json` of Podman, Skopeo and Buildah: where it is, reading it, and
//! replacing it as a whole.

use std::{
    env,
    fs::{self, DirBuilder, File, OpenOptions},
    io::{self, Read, Write},
    os::unix::fs::{DirBuilderExt, MetadataExt, OpenOptionsExt, PermissionsExt, fchown},
    path::{Path, PathBuf},
};

use rustix::fs::OFlags;
use serde::{Deserialize, Serialize};
use zeroize::Zeroizing;

use crate::{
    docker_setup::{auths, json_object::JsonObject},
    failure::{Code, Failure, reason},
};

/// The largest file that is taken for one (16 MiB).
const MAX_LEN: u64 = 16 << 20;

/// A `config.json` or `auth.json` by its path.
pub(crate) struct ConfigFile {
    pub(crate) client: Client,
    /// As its clients find it.
    pub(crate) path: PathBuf,
    /// The file itself, at the end of the links that the path may be.
    target: PathBuf,
}

/// The program that owns the file.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Client {
    /// Docker asks one helper for all registries, `credsStore`.
    Docker,
    /// Podman, Skopeo and Buildah: in their file a helper is for one registry.
    Containers,
}

/// What was in it.
#[derive(Clone, PartialEq, Eq)]
pub(crate) struct Content {
    pub(crate) origin: Origin,
    pub(crate) object: JsonObject,
}

/// What the object stands for: docker takes a file that is missing or empty for `{}`.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "lowercase")]
pub(crate) enum Origin {
    Missing,
    Empty,
    Object,
}

impl ConfigFile {
    /// How often it is worth to read it again because docker has written to it meanwhile.
    pub(crate) const TRIES: usize = 10;

    /// The `auth.json` named, else `config.json` in `$DOCKER_CONFIG` or in `~/.docker`.
    pub(crate) fn find(auth_file: Option<&Path>) -> Result<Self, Failure> {
        match auth_file {
            Some(path) => Self::at(Client::Containers, path),
            None => Self::at(Client::Docker, &Self::of_docker()?),
        }
    }

    fn at(client: Client, path: &Path) -> Result<Self, Failure> {
        // A record is kept under the path: it is to be the same from any directory.
        let path = std::path::absolute(path)
            .map_err(|e| Failure::new(format_args!("{}: {}", path.display(), reason(&e))))?;
        let target = follow(&path);
        Ok(Self {
            client,
            path,
            target,
        })
    }

    fn of_docker() -> Result<PathBuf, Failure> {
        let named = env::var_os("DOCKER_CONFIG").filter(|dir| !dir.is_empty());
        let dir = named.map(PathBuf::from).or_else(|| {
            let home = env::var_os("HOME").filter(|home| !home.is_empty())?;
            Some(Path::new(&home).join(".docker"))
        });
        let dir = dir.ok_or_else(|| {
            Failure::new("cannot tell where docker's config.json is: HOME is not set")
                .hint("name its directory: DOCKER_CONFIG")
        })?;
        Ok(dir.join("config.json"))
    }

    /// Reads it. One that is not there reads as `{}`.
    pub(crate) fn read(&self) -> Result<Content, Failure> {
        let text = self.text().map_err(|e| self.fails("read", &e))?;
        let origin = match &text {
            None => Origin::Missing,
            Some(text) if text.trim_ascii().is_empty() => Origin::Empty,
            Some(_) => Origin::Object,
        };
        let object = match (origin, text) {
            (Origin::Object, Some(text)) => JsonObject::parse(text).map_err(|e| {
                // The error's own text may quote the file.
                let (line, column) = (e.line(), e.column());
                let what = match e.is_data() {
                    true => "is no JSON object, or has a name twice",
                    false => "is not valid JSON",
                };
                Failure::new(format_args!(
                    "{} {what} (line {line}, column {column})",
                    self.path.display()
                ))
                .code(Code::Damaged)
                .hint("its clients cannot use it either; mend it or move it away")
            })?,
            _ => JsonObject::empty(),
        };
        check(&object).map_err(|what| {
            Failure::new(format_args!("{} {what}", self.path.display()))
                .code(Code::Damaged)
                .hint("mend it; docker logout and docker login write it anew")
        })?;
        Ok(Content { origin, object })
    }

    fn text(&self) -> io::Result<Option<Zeroizing<String>>> {
        // Without O_NONBLOCK opening a FIFO waits for a writer that may never come.
        let nonblock = OFlags::NONBLOCK.bits().cast_signed();
        let open = OpenOptions::new()
            .read(true)
            .custom_flags(nonblock)
            .open(&self.target);
        let file = match open {
            Ok(file) => file,
            Err(e) if e.kind() == io::ErrorKind::NotFound => return Ok(None),
            Err(e) => return Err(e),
        };
        let stat = file.metadata()?;
        if !stat.is_file() {
            return Err(io::Error::other("not a regular file"));
        }
        if stat.len() > MAX_LEN {
            return Err(io::ErrorKind::FileTooLarge.into());
        }
        // Sized beforehand: a buffer that grows leaves copies behind.
        let len = usize::try_from(stat.len()).unwrap_or(0);
        let mut bytes = Zeroizing::new(Vec::with_capacity(len + 1));
        file.take(stat.len()).read_to_end(&mut bytes)?;
        match String::from_utf8(std::mem::take(&mut *bytes)) {
            Ok(text) => Ok(Some(Zeroizing::new(text))),
            Err(error) => {
                drop(Zeroizing::new(error.into_bytes()));
                Err(io::Error::new(io::ErrorKind::InvalidData, "not UTF-8"))
            }
        }
    }

    /// Finds out, before anything is changed, whether it can be replaced.
    pub(crate) fn check_writable(&self) -> Result<(), Failure> {
        match fs::metadata(&self.target) {
            // A rename would succeed, but the file was made read-only on purpose.
            Ok(stat) if stat.permissions().mode() & 0o200 == 0 => {
                return Err(
                    Failure::new(format_args!("{} is read-only", self.path.display()))
                        .hint(format_args!("chmod u+w {}", quoted(&self.path))),
                );
            }
            _ => {}
        }
        if !self.directory().is_dir() {
            return Ok(());
        }
        let temporary = self.temporary();
        self.create(&temporary)
            .and_then(|_| fs::remove_file(&temporary))
            .map_err(|e| self.fails("replace", &e))
    }

    /// Replaces it, whole or not at all, if what is in it is still `before`; whether it was.
    ///
    /// Between the last look and the rename another process may write to it: a moment, beside the
    /// milliseconds for which docker itself goes on with what it has read before it writes.
    pub(crate) fn replace(&self, before: &Content, after: &JsonObject) -> Result<bool, Failure> {
        self.try_replace(before, Some(after.as_str()))
    }

    /// Puts back what [`Origin`] says was there, if what is in it is still `before`.
    pub(crate) fn put_back(&self, before: &Content, origin: Origin) -> Result<bool, Failure> {
        match origin {
            Origin::Missing => {
                if self.read()? != *before {
                    return Ok(false);
                }
                match fs::remove_file(&self.target) {
                    Err(e) if e.kind() != io::ErrorKind::NotFound => Err(self.fails("remove", &e)),
                    _ => Ok(true),
                }
            }
            _ => self.try_replace(before, None),
        }
    }

    fn try_replace(&self, before: &Content, after: Option<&str>) -> Result<bool, Failure> {
        // What could not be read again is not written.
        if after.is_some_and(|text| text.len() as u64 > MAX_LEN) {
            let error = io::ErrorKind::FileTooLarge.into();
            return Err(self.fails("write", &error).code(Code::Damaged));
        }
        let temporary = self.temporary();
        let written = self.write(&temporary, after.unwrap_or("").as_bytes());
        let replaced = match written {
            Ok(()) if self.read()? == *before => self.rename(&temporary).map(|()| true),
            Ok(()) => Ok(false),
            Err(error) => Err(error),
        };
        if !matches!(replaced, Ok(true)) {
            let _ = fs::remove_file(&temporary);
        }
        replaced.map_err(|e| self.fails("write", &e))
    }

    fn write(&self, temporary: &Path, text: &[u8]) -> io::Result<()> {
        make_dirs(self.directory())?;
        let mut file = self.create(temporary)?;
        file.set_permissions(fs::Permissions::from_mode(0o600))?;
        if let Ok(stat) = fs::metadata(&self.target)
            && (stat.uid(), stat.gid()) != (file.metadata()?.uid(), file.metadata()?.gid())
        {
            // Root at work in another user's home.
            fchown(&file, Some(stat.uid()), Some(stat.gid()))?;
        }
        file.write_all(text)?;
        file.sync_all()
    }

    #[expect(
        clippy::disallowed_methods,
        reason = "another program's file, outside any store"
    )]
    fn rename(&self, temporary: &Path) -> io::Result<()> {
        fs::rename(temporary, &self.target)?;
        File::open(self.directory())?.sync_all()
    }

    fn create(&self, temporary: &Path) -> io::Result<File> {
        match fs::remove_file(temporary) {
            Err(e) if e.kind() != io::ErrorKind::NotFound => return Err(e),
            _ => {}
        }
        let mut options = OpenOptions::new();
        options
            .write(true)
            .create_new(true)
            .mode(0o600)
            .open(temporary)
    }

    fn temporary(&self) -> PathBuf {
        let name = format!("{}{}", self.temporary_prefix(), std::process::id());
        self.directory().join(name)
    }

    fn temporary_prefix(&self) -> String {
        let name = self.target.file_name().unwrap_or_default().display();
        format!(".{name}.posixage.")
    }

    /// What runs that were killed have left, perhaps with passwords in it; and, if one is at work,
    /// its file.
    pub(crate) fn leftovers(&self) -> Result<Vec<PathBuf>, Failure> {
        let prefix = self.temporary_prefix();
        let is_ours = |path: &PathBuf| {
            let name = path.file_name().unwrap_or_default().as_encoded_bytes();
            name.strip_prefix(prefix.as_bytes())
                .is_some_and(|pid| !pid.is_empty() && pid.iter().all(u8::is_ascii_digit))
        };
        let entries = match fs::read_dir(self.directory()) {
            Err(e) if e.kind() == io::ErrorKind::NotFound => return Ok(Vec::new()),
            entries => entries.map_err(|e| self.fails("look beside", &e))?,
        };
        let mut paths = entries
            .map(|entry| entry.map(|entry| entry.path()))
            .collect::<io::Result<Vec<_>>>()
            .map_err(|e| self.fails("look beside", &e))?;
        paths.retain(is_ours);
        paths.sort();
        Ok(paths)
    }

    /// Removes [leftovers](Self::leftovers); only the holder of the setup's lock may.
    pub(crate) fn sweep(&self) -> Result<(), Failure> {
        for path in self.leftovers()? {
            match fs::remove_file(&path) {
                Err(e) if e.kind() != io::ErrorKind::NotFound => {
                    let (path, why) = (path.display(), reason(&e));
                    return Err(Failure::new(format_args!("cannot remove {path}: {why}")));
                }
                _ => {}
            }
        }
        Ok(())
    }

    fn directory(&self) -> &Path {
        self.target.parent().unwrap_or(Path::new("/"))
    }

    /// What to say after that many tries.
    pub(crate) fn keeps_changing(&self) -> Failure {
        Failure::new(format_args!("{} keeps changing", self.path.display()))
            .hint("try again when no login is in progress")
    }

    fn fails(&self, what: &str, error: &io::Error) -> Failure {
        let path = self.path.display();
        Failure::new(format_args!("cannot {what} {path}: {}", reason(error)))
    }
}

/// Finds what its clients would read in another way than [`JsonObject`] does: they go by the last one
/// of two names that are the same, and do not tell capitals from small letters.
fn check(config: &JsonObject) -> Result<(), String> {
    const OBJECTS: [&str; 2] = ["auths", "credHelpers"];
    check_names(config, "", &["auths", "credsStore", "credHelpers"])?;
    for name in OBJECTS {
        let value = config.get(&[name]).unwrap_or("null");
        if value != "null" && !value.starts_with('{') {
            return Err(format!("is not valid: {name} is no object"));
        }
        if value != "null" && config.try_members(&[name]).is_err() {
            return Err(format!("has a name twice in {name}"));
        }
    }
    for (host, entry) in config.members(&["auths"]) {
        if entry.starts_with('{') {
            let place = format!(" in auths, {host}");
            let entry = JsonObject::parse(Zeroizing::new(entry.into()));
            let entry = entry.map_err(|_| format!("has a name twice{place}"))?;
            check_names(&entry, &place, &auths::NAMES)?;
        }
    }
    Ok(())
}

fn check_names(object: &JsonObject, place: &str, known: &[&str]) -> Result<(), String> {
    for (name, _) in object.members(&[]) {
        // The two letters beyond ASCII that are small letters of it in another case.
        let folded = name.replace('\u{17f}', "s").replace('\u{212a}', "k");
        let is_known = |known: &&&str| folded.eq_ignore_ascii_case(known) && name != **known;
        if let Some(known) = known.iter().find(is_known) {
            return Err(format!("has {name:?} for {known:?}{place}"));
        }
    }
    Ok(())
}

/// Makes a directory, and those above it that are missing: each for its owner alone, whatever the umask
/// takes away.
pub(crate) fn make_dirs(path: &Path) -> io::Result<()> {
    if path.is_dir() {
        return Ok(());
    }
    if let Some(above) = path.parent() {
        make_dirs(above)?;
    }
    match DirBuilder::new().mode(0o700).create(path) {
        Ok(()) => fs::set_permissions(path, fs::Permissions::from_mode(0o700)),
        // Another process was faster.
        Err(e) if e.kind() == io::ErrorKind::AlreadyExists && path.is_dir() => Ok(()),
        Err(e) => Err(e),
    }
}

/// The end of a chain of links; a link that leads nowhere is a file that can be made there.
fn follow(path: &Path) -> PathBuf {
    let mut target = path.to_path_buf();
    // As many as the kernel follows.
    for _ in 0..40 {
        let Ok(link) = fs::read_link(&target) else {
            break;
        };
        target = target.parent().unwrap_or(Path::new("/")).join(link);
    }
    target
}

/// A path as it can be pasted into a shell.
pub(crate) fn quoted(path: &Path) -> String {
    let text = path.to_string_lossy();
    shlex::try_quote(&text).map_or_else(|_| text.to_string(), String::from)
}
