//! What comes in on standard input, which may be secret.

use std::{
    io::{self, Read},
    sync::atomic::{AtomicBool, Ordering},
};

use posixage::{MAX_METADATA_LEN, MAX_VALUE_LEN};
use rustix::{
    event::{PollFd, PollFlags, Timespec, poll},
    io::{ioctl_fionread, retry_on_intr},
    stdio::stdin as stdin_fd,
    termios::isatty,
};
use zeroize::Zeroizing;

use crate::failure::{Code, Failure, reason};

static IS_KEY: AtomicBool = AtomicBool::new(false);

/// From now on standard input is a key (`-i -`), and nothing else.
pub(crate) fn keep_for_key() {
    IS_KEY.store(true, Ordering::Relaxed);
}

/// The key on standard input: at most 1 MiB, as of a file.
pub(crate) fn read_key() -> Result<Zeroizing<Vec<u8>>, Failure> {
    const MAX_KEY_LEN: usize = 1 << 20;
    raw(MAX_KEY_LEN, |_, _| false)?.ok_or_else(|| over(MAX_KEY_LEN))
}

/// All of it, in memory that is wiped: at most twice [`MAX_VALUE_LEN`], since JSON escapes take room.
pub(crate) fn read() -> Result<Zeroizing<Vec<u8>>, Failure> {
    // The limit that is said is the value's: what is over it by less, the store refuses.
    stdin(2 * MAX_VALUE_LEN, |_, _| false)?.ok_or_else(|| over(MAX_VALUE_LEN))
}

/// All of it, which is JSON: a value in the longest form that it can have, each byte an escape.
pub(crate) fn read_json() -> Result<Zeroizing<Vec<u8>>, Failure> {
    let escape = "\\u0000".len();
    stdin(escape * (MAX_VALUE_LEN + MAX_METADATA_LEN), |_, _| false)?
        .ok_or_else(|| over(MAX_VALUE_LEN))
}

/// Whether there is anything on standard input. Does not wait for a pipe to be closed, only a moment
/// for one whose writer has begun at the same time.
pub(crate) fn is_waiting() -> bool {
    const MOMENT: Timespec = Timespec {
        tv_sec: 0,
        tv_nsec: 100_000_000,
    };
    let stdin = stdin_fd();
    if isatty(stdin) {
        return false;
    }
    let mut poll_stdin = [PollFd::new(&stdin, PollFlags::IN)];
    let _ = retry_on_intr(|| poll(&mut poll_stdin, Some(&MOMENT)));
    ioctl_fionread(stdin).is_ok_and(|bytes| bytes > 0)
}

/// The same up to its end or to where `ended` says that there is nothing more to wait for; at most
/// `limit` bytes. It is asked for all that has come, and from where on it has not seen it.
pub(crate) fn read_until(
    limit: usize,
    ended: impl Fn(&[u8], usize) -> bool,
) -> Result<Zeroizing<Vec<u8>>, Failure> {
    stdin(limit, ended)?.ok_or_else(|| over(limit))
}

fn over(limit: usize) -> Failure {
    Failure::new(format!("standard input is over the limit of {limit} bytes"))
}

fn stdin(
    limit: usize,
    ended: impl Fn(&[u8], usize) -> bool,
) -> Result<Option<Zeroizing<Vec<u8>>>, Failure> {
    if IS_KEY.load(Ordering::Relaxed) {
        return Err(
            Failure::new("standard input is the key, and cannot be the value too")
                .code(Code::Usage)
                .hint("name the key by a file, another pipe (-i <(…)) or POSIXAGE_IDENTITY_KEY"),
        );
    }
    raw(limit, ended)
}

fn raw(
    limit: usize,
    ended: impl Fn(&[u8], usize) -> bool,
) -> Result<Option<Zeroizing<Vec<u8>>>, Failure> {
    read_from(io::stdin().lock(), limit, ended)
        .map_err(|e| Failure::new(format!("cannot read standard input: {}", reason(&e))))
}

/// The same of anything else; `None` if it is over the limit.
pub(crate) fn read_from(
    mut from: impl Read,
    limit: usize,
    ended: impl Fn(&[u8], usize) -> bool,
) -> io::Result<Option<Zeroizing<Vec<u8>>>> {
    let mut value = Zeroizing::new(Vec::new());
    let mut chunk = Zeroizing::new([0; 64 << 10]);
    loop {
        let n = match from.read(&mut *chunk) {
            Ok(0) => return Ok(Some(value)),
            Ok(n) => n,
            Err(e) if e.kind() == io::ErrorKind::Interrupted => continue,
            Err(e) => return Err(e),
        };
        if value.len() + n > limit {
            return Ok(None);
        }
        let seen = value.len();
        append(&mut value, &chunk[..n]);
        if ended(&value, seen) {
            return Ok(Some(value));
        }
    }
}

/// A vector that grows by itself leaves copies of its content behind.
fn append(value: &mut Zeroizing<Vec<u8>>, more: &[u8]) {
    if value.capacity() - value.len() < more.len() {
        let mut larger = Zeroizing::new(Vec::with_capacity(2 * (value.len() + more.len())));
        larger.extend_from_slice(value);
        *value = larger;
    }
    value.extend_from_slice(more);
}

#[cfg(test)]
mod tests {
    use std::cell::Cell;

    use super::*;

    /// Gives one byte at a time.
    struct Trickle(usize);

    impl Read for Trickle {
        fn read(&mut self, buffer: &mut [u8]) -> io::Result<usize> {
            let n = usize::from(self.0 > 0);
            buffer[..n].fill(b'x');
            self.0 -= n;
            Ok(n)
        }
    }

    #[test]
    fn each_byte_is_looked_at_once_however_it_comes() {
        let looked_at = Cell::new(0);
        let ended = |value: &[u8], seen: usize| {
            looked_at.set(looked_at.get() + value.len() - seen);
            false
        };
        let read = read_from(Trickle(100_000), 1 << 20, ended).expect("nothing fails");
        assert_eq!(read.expect("under the limit").len(), 100_000);
        assert_eq!(looked_at.get(), 100_000);
        assert!(
            read_from(Trickle(100), 99, ended)
                .expect("nothing fails")
                .is_none()
        );
    }
}
