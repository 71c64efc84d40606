//! Ports on loopback that no other process takes while a test stops and starts a server.
//!
//! They lie below the range that the kernel uses for outgoing connections. A lock file for each
//! port keeps the test processes of this user apart.

use std::fs::{self, File};
use std::net::{Ipv4Addr, TcpListener};
use std::sync::atomic::{AtomicU32, Ordering};

use nix::unistd::geteuid;

const FIRST: u32 = 20_000;
const COUNT: u32 = 10_000;

/// A reserved port, released when dropped.
#[derive(Debug)]
pub struct Port {
    number: u16,
    _lock: File,
}

impl Port {
    /// Reserves a port that nothing listens on.
    pub fn reserve() -> Self {
        static NEXT: AtomicU32 = AtomicU32::new(0);
        // Processes that start at the same time begin with different ports.
        let start = std::process::id().wrapping_mul(97);
        (0..COUNT)
            .map(|_| start.wrapping_add(NEXT.fetch_add(1, Ordering::Relaxed)) % COUNT + FIRST)
            .find_map(|number| Self::claim(number.try_into().expect("below 65536")))
            .expect("no free port between 20000 and 30000")
    }

    /// Reserves this port, unless something listens on it or a test has reserved it.
    pub fn claim(number: u16) -> Option<Self> {
        let directory = std::env::temp_dir().join(format!("sr_event_writer-ports-{}", geteuid()));
        fs::create_dir_all(&directory).expect("make the folder of port locks");
        let lock = File::create(directory.join(number.to_string())).expect("make a port lock");
        lock.try_lock().ok()?;
        TcpListener::bind((Ipv4Addr::LOCALHOST, number)).ok()?;
        Some(Self {
            number,
            _lock: lock,
        })
    }

    /// Returns the number.
    pub fn number(&self) -> u16 {
        self.number
    }
}
