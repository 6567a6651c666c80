//! Whether standard output was closed when the program began, as by `>&-`.
//!
//! Rust opens `/dev/null` in its place before `main`, so that what is printed would be lost and called
//! printed. So it has to be looked at before that. The only unsafe line of the programs, which asserts that
//! nothing else has this section's name.

use std::sync::atomic::{AtomicBool, Ordering};

use rustix::{io::fcntl_getfd, stdio::stdout};

static CLOSED: AtomicBool = AtomicBool::new(false);

/// The C library calls what is in this section before `main`.
#[expect(
    unsafe_code,
    reason = "there is no other way to run before Rust's own start"
)]
#[cfg(target_os = "linux")]
#[used]
#[unsafe(link_section = ".init_array")]
static LOOK: extern "C" fn() = look;

extern "C" fn look() {
    CLOSED.store(fcntl_getfd(stdout()).is_err(), Ordering::Relaxed);
}

/// Whether there is no standard output.
pub(crate) fn stdout_is_closed() -> bool {
    CLOSED.load(Ordering::Relaxed)
}
