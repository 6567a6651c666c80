//! Explores what the lock does in every order in which things can happen.
//!
//! The code under test is the lock itself, every line of it above [`System`](crate::system::System).
//! Below it, instead of the kernel, is a [`world`] of simulated inodes, locks and a clock. A
//! [`process`] is a function from what the system has answered so far to what it asks next: it is
//! run from its beginning with the answers on record, up to the first call that has no answer yet.
//! So a moment of the whole is a plain value (the world and each process's answers) that can be
//! compared, kept, and continued in more than one way, as the [`schedule`] allows. The [`search`] does
//! so: in every way, breadth first, which makes the first violation that it finds the shortest one; or
//! in many random ways where every way is too many.
//!
//! Every system call is a point at which anybody else may go on, the clock may advance, a process
//! may be killed (its locks fall) or stopped (it beats no more). A clock is read together with the
//! call before it. The heartbeat runs between two calls of its process's main thread, call by call
//! with regard to all other processes. Where a program asks for it, the main thread goes on between
//! the calls of a beat, too.
//!
//! No process can be stuck for ever, since no call waits without an end that the clock brings. What
//! remains to be shown, and is, is that no actor waits in vain.
//!
//! A commit follows its fence at once, and is then never on a lost lock. Where a program is late,
//! others go on between the two; then the fence after the commit must tell the caller.
//!
//! The tests come in two parts. The [`controls`] are broken on purpose: the reference, and ours with
//! one invariant removed at a time. The explorer must find how each of them fails; else it would
//! prove nothing about [`ours`], and about ours [`beside`] the reference.

mod beside;
mod call;
mod controls;
mod ours;
mod process;
mod reference;
mod schedule;
mod search;
mod world;
