//! Nothing secret where it does not belong.

mod canaries;
mod canaries_outside;
mod memory;
mod owners;
