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
mod bystander;
mod columns;
mod control;
mod dead_letters;
mod dead_letters_many;
mod dead_letters_notices;
mod dead_letters_size;
mod durable;
mod environment;
mod environment_breaker;
mod environment_drain;
mod environment_locks;
mod environment_schema;
mod environment_wal;
mod exactly_once;
mod fixtures;
mod held_memory;
mod held_tables;
mod in_hand;
mod install;
mod lifecycle;
mod limits;
mod memory;
mod memory_budget;
mod memory_headers;
mod nats_faults;
mod nats_faults_cluster;
mod nats_faults_cut;
mod nats_faults_edited;
mod nats_faults_groups;
mod nats_faults_lost;
mod nats_faults_old_server;
mod nats_faults_refused;
mod nats_faults_retention;
mod nats_faults_server;
mod nats_faults_silence;
mod nats_faults_slow;
mod nats_faults_sparse;
mod nats_faults_status_line;
mod nats_faults_unreadable;
mod nats_faults_unreadable_queue;
mod nats_position;
mod nats_position_tail;
mod nats_taken_over;
mod observed;
mod one_transaction;
mod outage;
mod panics;
mod pg_upgrade;
mod poison;
mod position;
mod position_gaps;
mod postgres_life;
mod postgres_life_deferred;
mod privileges;
mod privileges_attacks;
mod privileges_replay;
mod reload_early;
mod remembered;
mod replay;
mod restoring;
mod row_or_table;
mod samples;
mod settings;
mod shutdown;
mod soak;
mod split;
mod standby;
mod standby_acks;
mod standby_restore;
mod standby_wait;
mod status_counts;
mod unflushed;
mod unresponsive;
mod wait_seek;
mod ways;
mod ways_copy;
mod ways_random;
mod workers;
