//! Tests of the whole path of a message, and of the faults along it, with real servers.
//!
//! Each topic has a file. `SR_PG_MAJOR=17` runs the tests on the older PostgreSQL, for example
//! `SR_PG_MAJOR=17 cargo test -p pg_test --test suite -- poison:: position:: standby::`. Variables
//! that make tests longer: `SR_OUTAGE_SECONDS=60`, `SR_BACKLOG=1000000`, `SR_MESSAGES=1000000`,
//! `SR_WAYS_ROUNDS=60`.
#![allow(
    clippy::unwrap_used,
    clippy::expect_used,
    clippy::panic,
    reason = "test code: whatever fails ends the test, with its message"
)]

mod all_at_once;
mod authentication;
mod bystander;
mod columns;
mod control;
mod dead_letters;
mod durable;
mod environment;
mod exactly_once;
mod fixtures;
mod held;
mod in_hand;
mod install;
mod lifecycle;
mod limits;
mod memory;
mod nats_faults;
mod nats_position;
mod nats_taken_over;
mod observed;
mod one_transaction;
mod outage;
mod outages;
mod packages;
mod panics;
mod permissions;
mod pg_upgrade;
mod poison;
mod position;
mod postgres_life;
mod privileges;
mod reload_early;
mod remembered;
mod replay;
mod restoring;
mod row_or_table;
mod samples;
mod script_folder;
mod settings;
mod shutdown;
mod soak;
mod split;
mod standby;
mod status_counts;
mod tls;
mod unflushed;
mod unresponsive;
mod upgrade;
mod wait_seek;
mod ways;
mod workers;
