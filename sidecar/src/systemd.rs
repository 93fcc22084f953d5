//! What systemd is told, and what it gives: readiness, reloads, life signs, sockets (sd_notify(3), sd_listen_fds(3)).
//!
//! Without systemd nothing is told and nothing is given. The variables are read, never changed.

use std::env;
use std::ffi::OsStr;
use std::io;
use std::net::{SocketAddr, TcpListener};
use std::os::linux::net::SocketAddrExt;
use std::os::unix::ffi::OsStrExt;
use std::os::unix::net::{SocketAddr as UnixAddress, UnixDatagram};
use std::time::Duration;

use rustix::process::{Pid, PidfdFlags, PidfdGetfdFlags, getpid, pidfd_getfd, pidfd_open};
use rustix::time::{ClockId, clock_gettime};

/// The number of the first socket that is given.
const FIRST: i32 = 3;
/// Most sockets that are looked at.
const MOST: i32 = 64;

/// Tells the service manager; where there is none, nobody.
#[derive(Debug, Default)]
pub struct Manager {
    to: Option<(UnixDatagram, UnixAddress)>,
}

impl Manager {
    /// The one that `NOTIFY_SOCKET` names: a path, or a name after `@`.
    pub fn from_environment() -> Manager {
        let Some(name) = env::var_os("NOTIFY_SOCKET").filter(|name| !name.is_empty()) else {
            return Manager::default();
        };
        match open(&name) {
            Ok(to) => Manager { to: Some(to) },
            Err(error) => {
                tracing::warn!(%error, "the service manager can't be told anything: NOTIFY_SOCKET");
                Manager::default()
            }
        }
    }

    /// The program answers requests; `status` says how, in a line.
    pub fn ready(&self, status: &str) {
        self.tell(&format!("READY=1\nMAINPID={}\nSTATUS={}", std::process::id(), one_line(status)));
    }

    /// A reload has begun; [`Manager::ready`] ends it.
    pub fn reloading(&self) {
        let now = clock_gettime(ClockId::Monotonic);
        let micros = i128::from(now.tv_sec) * 1_000_000 + i128::from(now.tv_nsec) / 1_000;
        self.tell(&format!("RELOADING=1\nMONOTONIC_USEC={micros}"));
    }

    /// The program is about to end.
    pub fn stopping(&self) {
        self.tell("STOPPING=1\nSTATUS=open requests are finished");
    }

    /// Another process goes on in place of this one.
    pub fn handed_over(&self, to: u32) {
        self.tell(&format!("MAINPID={to}\nSTATUS=handed over to process {to}"));
    }

    /// A life sign.
    pub fn alive(&self) {
        self.tell("WATCHDOG=1");
    }

    fn tell(&self, text: &str) {
        if let Some((socket, address)) = &self.to
            && let Err(error) = socket.send_to_addr(text.as_bytes(), address)
        {
            tracing::warn!(%error, "the service manager was not told");
        }
    }
}

fn open(name: &OsStr) -> io::Result<(UnixDatagram, UnixAddress)> {
    let address = match name.as_bytes().strip_prefix(b"@") {
        Some(hidden) => UnixAddress::from_abstract_name(hidden)?,
        None => UnixAddress::from_pathname(name)?,
    };
    let socket = UnixDatagram::unbound()?;
    // A manager that does not read must not stop the program.
    socket.set_nonblocking(true)?;
    Ok((socket, address))
}

fn one_line(text: &str) -> String {
    text.replace(['\n', '\r'], " ")
}

/// How often the service manager wants a life sign: half of what it waits. `None` where it wants none.
pub fn watchdog() -> Option<Duration> {
    let for_us = env::var("WATCHDOG_PID").map_or(true, |pid| pid == std::process::id().to_string());
    let micros: u64 = env::var("WATCHDOG_USEC").ok()?.parse().ok()?;
    (for_us && micros > 0).then(|| Duration::from_micros(micros / 2))
}

/// A listening socket that the service manager opened.
#[derive(Debug)]
pub struct Given {
    /// Its name (`FileDescriptorName=`).
    pub name: String,
    /// The socket.
    pub socket: TcpListener,
    /// Where it listens.
    pub address: SocketAddr,
}

/// The listening sockets that the service manager opened for this process. What is no TCP socket is left alone.
pub fn sockets() -> Vec<Given> {
    let own = env::var("LISTEN_PID").is_ok_and(|pid| pid == std::process::id().to_string());
    let count = env::var("LISTEN_FDS").ok().and_then(|count| count.parse::<i32>().ok()).unwrap_or_default();
    if !own || count <= 0 {
        return Vec::new();
    }
    let names = env::var("LISTEN_FDNAMES").unwrap_or_default();
    let mut names = names.split(':');
    let numbers = FIRST..FIRST.saturating_add(count.min(MOST));
    numbers
        .filter_map(|number| {
            let name = names.next().unwrap_or_default().to_owned();
            match adopt(number) {
                Ok((socket, address)) => Some(Given { name, socket, address }),
                Err(error) => {
                    tracing::warn!(name, %error, "a socket of the service manager can't be used");
                    None
                }
            }
        })
        .collect()
}

/// A second handle of a descriptor that this process was born with.
fn adopt(number: i32) -> io::Result<(TcpListener, SocketAddr)> {
    let own: Pid = getpid();
    let process = pidfd_open(own, PidfdFlags::empty())?;
    let socket = TcpListener::from(pidfd_getfd(process, number, PidfdGetfdFlags::empty())?);
    let address = socket.local_addr()?;
    socket.set_nonblocking(true)?;
    Ok((socket, address))
}

#[cfg(test)]
#[allow(clippy::unwrap_used)]
mod tests {
    use super::*;

    fn manager(name: &OsStr) -> Manager {
        Manager { to: Some(open(name).unwrap()) }
    }

    fn heard(socket: &UnixDatagram) -> String {
        let mut buffer = [0; 256];
        let length = socket.recv(&mut buffer).unwrap();
        String::from_utf8(buffer[..length].to_vec()).unwrap()
    }

    #[test]
    fn a_manager_hears_what_systemd_would() {
        let folder = tempfile::tempdir().unwrap();
        let path = folder.path().join("notify");
        let socket = UnixDatagram::bind(&path).unwrap();
        let manager = manager(path.as_os_str());
        manager.ready("two\nlines");
        assert_eq!(heard(&socket), format!("READY=1\nMAINPID={}\nSTATUS=two lines", std::process::id()));
        manager.reloading();
        let told = heard(&socket);
        let micros = told.strip_prefix("RELOADING=1\nMONOTONIC_USEC=").unwrap();
        assert!(micros.parse::<u64>().unwrap() > 0, "{told}");
        manager.alive();
        assert_eq!(heard(&socket), "WATCHDOG=1");
        manager.handed_over(7);
        assert_eq!(heard(&socket), "MAINPID=7\nSTATUS=handed over to process 7");
    }

    #[test]
    fn a_hidden_name_is_found() {
        let name = format!("varco-test-{}", std::process::id());
        let socket = UnixDatagram::bind_addr(&UnixAddress::from_abstract_name(&name).unwrap()).unwrap();
        manager(OsStr::new(&format!("@{name}"))).alive();
        assert_eq!(heard(&socket), "WATCHDOG=1");
    }

    #[test]
    fn a_descriptor_that_is_open_is_adopted_and_one_that_is_not_is_told() {
        use std::os::fd::AsRawFd;
        let socket = TcpListener::bind(("127.0.0.1", 0)).unwrap();
        let (_, address) = adopt(socket.as_raw_fd()).unwrap();
        assert_eq!(address, socket.local_addr().unwrap());
        assert!(adopt(1_000_000).is_err());
    }
}
