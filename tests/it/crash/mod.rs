//! Kills, power cuts, full disks, failing calls: nothing is lost.

mod fallback;
mod first_kill;
mod full_disk;
mod images;
mod images_busy;
mod kill;
mod leftovers;
mod mounts;
mod overtaken;
mod power;
mod power_first;
mod set_aside;
mod storm;
mod syscall_fail;
mod syscall_kill;
