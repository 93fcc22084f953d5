//! What two processes say to each other when one follows the other, and how the sockets go along.
//!
//! ```text
//! new → old   ask                          the peer's user is looked at before anything else
//! old → new   bequest + listening sockets  both now know that there are two
//! new → old   ready                        its gateway stands, its keys are at hand
//! old → new   yours                        the old one takes no more connections
//! old → new   released                     HL7 v2 and the work beside requests have come to rest there
//!             end of the connection        the old process is gone
//! ```
//!
//! Each message is a line of JSON, of [`LONGEST`] bytes at most; the sockets come with the first byte of theirs
//! (`SCM_RIGHTS`, unix(7)).

use std::io::{self, IoSlice, IoSliceMut, Read, Write};
use std::mem::MaybeUninit;
use std::net::TcpListener;
use std::os::fd::{AsFd, BorrowedFd, OwnedFd};
use std::os::unix::net::UnixStream;

use rustix::net::{
    RecvAncillaryBuffer, RecvAncillaryMessage, RecvFlags, ReturnFlags, SendAncillaryBuffer,
    SendAncillaryMessage, SendFlags, recvmsg, sendmsg, sockopt,
};
use serde::{Deserialize, Serialize};

/// Longest message, in bytes: a hundred thousand identifiers of tokens fit.
const LONGEST: u64 = 16 << 20;
/// Most sockets that are given.
const MOST: usize = 8;

/// A message.
#[derive(Debug, Serialize, Deserialize)]
#[serde(tag = "say", rename_all = "kebab-case")]
pub(super) enum Message {
    /// Who follows asks for everything. `version` is that of this exchange.
    Ask {
        version: u32,
    },
    /// What is handed over, and the names of the sockets in their order.
    Bequest {
        sockets: Vec<String>,
        bequest: Bequest,
    },
    Ready,
    Yours,
    Released,
    /// The new one is not wanted: it must end.
    No {
        cause: String,
    },
}

/// What a process knows that the next one must know.
#[derive(Clone, Serialize, Deserialize)]
pub struct Bequest {
    /// The key of page links, so that they outlive the process.
    pub seal: [u8; 32],
    /// Tokens that count once and were seen: their identifiers, and the last second that they are accepted in.
    pub once: Vec<([u8; 32], u64)>,
}

impl std::fmt::Debug for Bequest {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("Bequest").field("once", &self.once.len()).finish_non_exhaustive()
    }
}

/// Refuses a peer that is neither of this process's user nor root; gives its process id.
pub(super) fn check_peer(stream: &UnixStream) -> io::Result<u32> {
    let peer = sockopt::socket_peercred(stream)?;
    let own = rustix::process::geteuid();
    if peer.uid != own && !peer.uid.is_root() {
        let text = format!("the peer's user is {}, and not this one's ({})", peer.uid.as_raw(), own.as_raw());
        return Err(io::Error::new(io::ErrorKind::PermissionDenied, text));
    }
    Ok(peer.pid.as_raw_nonzero().get().unsigned_abs())
}

/// Says a message.
pub(super) fn say(stream: &mut UnixStream, message: &Message) -> io::Result<()> {
    stream.write_all(&line(message)?)
}

/// Says a message and gives these sockets along.
pub(super) fn say_with(
    stream: &mut UnixStream,
    message: &Message,
    sockets: &[BorrowedFd<'_>],
) -> io::Result<()> {
    let line = line(message)?;
    let (first, rest) = line.split_at(1);
    let mut space = [MaybeUninit::uninit(); rustix::cmsg_space!(ScmRights(MOST))];
    let mut control = SendAncillaryBuffer::new(&mut space);
    if !sockets.is_empty() && !control.push(SendAncillaryMessage::ScmRights(sockets)) {
        return Err(io::Error::new(io::ErrorKind::InvalidInput, "there are more sockets than can be given"));
    }
    sendmsg(stream.as_fd(), &[IoSlice::new(first)], &mut control, SendFlags::NOSIGNAL)?;
    stream.write_all(rest)
}

/// Hears a message.
pub(super) fn hear(stream: &mut UnixStream) -> io::Result<Message> {
    understand(read_line(stream, Vec::new())?)
}

/// Hears a message and takes the sockets that come along.
pub(super) fn hear_with(stream: &mut UnixStream) -> io::Result<(Message, Vec<TcpListener>)> {
    let mut first = [0];
    let mut space = [MaybeUninit::uninit(); rustix::cmsg_space!(ScmRights(MOST))];
    let mut control = RecvAncillaryBuffer::new(&mut space);
    let got =
        recvmsg(stream.as_fd(), &mut [IoSliceMut::new(&mut first)], &mut control, RecvFlags::CMSG_CLOEXEC)?;
    if got.bytes == 0 {
        return Err(io::ErrorKind::UnexpectedEof.into());
    }
    if got.flags.contains(ReturnFlags::CTRUNC) {
        return Err(io::Error::new(io::ErrorKind::InvalidData, "more sockets came than are taken"));
    }
    let sockets = control.drain().flat_map(|message| match message {
        RecvAncillaryMessage::ScmRights(sockets) => sockets.collect::<Vec<OwnedFd>>(),
        _ => Vec::new(),
    });
    let sockets = sockets.map(TcpListener::from).collect();
    Ok((understand(read_line(stream, first.to_vec())?)?, sockets))
}

fn line(message: &Message) -> io::Result<Vec<u8>> {
    let mut line = serde_json::to_vec(message)?;
    line.push(b'\n');
    Ok(line)
}

fn understand(line: Vec<u8>) -> io::Result<Message> {
    serde_json::from_slice(&line).map_err(|error| io::Error::new(io::ErrorKind::InvalidData, error))
}

/// A line, of which the beginning is known. No byte after it is taken: the next message's sockets would be lost with it.
fn read_line(stream: &mut UnixStream, mut line: Vec<u8>) -> io::Result<Vec<u8>> {
    let mut piece = [0; 4096];
    while line.last() != Some(&b'\n') {
        // Looked at first, then taken up to the line's end.
        let seen = rustix::net::recv(stream.as_fd(), &mut piece[..], RecvFlags::PEEK)?.0;
        if seen == 0 {
            return Err(io::ErrorKind::UnexpectedEof.into());
        }
        let end = piece.iter().take(seen).position(|byte| *byte == b'\n').map_or(seen, |at| at + 1);
        let mut taken = vec![0; end];
        stream.read_exact(&mut taken)?;
        line.append(&mut taken);
        if line.len() as u64 > LONGEST {
            return Err(io::Error::new(io::ErrorKind::InvalidData, "a message is too long"));
        }
    }
    Ok(line)
}

#[cfg(test)]
#[allow(clippy::unwrap_used)]
mod tests {
    use super::*;

    #[test]
    fn sockets_go_along_with_their_message() {
        let (mut old, mut new) = UnixStream::pair().unwrap();
        let socket = TcpListener::bind(("127.0.0.1", 0)).unwrap();
        let bequest = Bequest { seal: [7; 32], once: vec![([1; 32], 100); 1_000] };
        let message = Message::Bequest { sockets: vec!["federation".to_owned()], bequest };
        let writer = std::thread::spawn({
            let socket = socket.try_clone().unwrap();
            move || {
                say_with(&mut old, &message, &[socket.as_fd()]).unwrap();
                say(&mut old, &Message::Yours).unwrap();
            }
        });
        let (heard, sockets) = hear_with(&mut new).unwrap();
        let Message::Bequest { bequest, .. } = heard else { panic!("{heard:?}") };
        assert_eq!((bequest.seal, bequest.once.len()), ([7; 32], 1_000));
        assert_eq!(sockets[0].local_addr().unwrap(), socket.local_addr().unwrap());
        assert!(matches!(hear(&mut new).unwrap(), Message::Yours));
        writer.join().unwrap();
        assert_eq!(hear(&mut new).unwrap_err().kind(), io::ErrorKind::UnexpectedEof);
    }

    #[test]
    fn a_peer_of_this_user_is_known_by_its_process() {
        let (old, _new) = UnixStream::pair().unwrap();
        assert_eq!(check_peer(&old).unwrap(), std::process::id());
    }

    #[test]
    fn what_is_no_message_is_refused() {
        let (mut old, mut new) = UnixStream::pair().unwrap();
        old.write_all(b"{\"say\":\"shout\"}\n").unwrap();
        assert_eq!(hear(&mut new).unwrap_err().kind(), io::ErrorKind::InvalidData);
    }
}
