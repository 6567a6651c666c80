//! The store on disk: compatible both ways, and what damaged stores get.

mod age_reads_ours;
mod cctv;
mod damaged;
mod damaged_files;
mod golden;
mod neighbours;
mod other_copies;
mod planted;
