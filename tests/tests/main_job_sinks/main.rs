//! The main job with sinks: what it did stands in every one of them as at home, and outlives the disk.

mod all_sinks;
mod changed;
mod disk_lost;
mod job;
mod refused;
mod targets;
