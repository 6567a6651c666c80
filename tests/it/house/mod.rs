//! The repository itself: pages that are true, a module map, benchmarks that run.

mod compare;
mod docs;
mod fuzz;
mod links;
mod module_map;
mod modules;
mod readme;
mod rust_version;
