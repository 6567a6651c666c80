//! The library, as a program that depends on it uses it.

mod callbacks;
mod examples;
mod filter;
mod iterating;
mod key_order;
mod limits;
mod many;
mod model;
mod moved;
mod opening;
mod outsider;
mod patterns;
mod set_many;
mod update;
mod values;
