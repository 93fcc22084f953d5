//! What is under way: each request in a place of its own, for `/tasks`.
//!
//! A request takes a place by setting a bit, and writes into it with plain atomic stores: no lock, no allocation. A reader
//! tells by the place's turn whether what it read belongs together; if not, it reads again and in the end leaves it out. Places
//! come in chunks of 64 that are made when they are needed, at most [`CHUNKS`]; requests beyond that are counted and not shown.
//!
//! Invariant: a place holds ids, times, words of closed lists and the caller's client id, nothing of a patient.

use std::sync::atomic::{AtomicU8, AtomicU32, AtomicU64, AtomicUsize, Ordering, fence};
use std::sync::{Arc, OnceLock};
use std::time::{Duration, Instant};

use uuid::Uuid;

use super::stage::Stage;

/// Most chunks of 64 places.
pub const CHUNKS: usize = 128;
/// Bytes of a client's id that are kept: a UUID and more.
const CLIENT: usize = 40;
/// How often a place is read again that is being written.
const TRIES: usize = 4;

/// Interactions, as [`varco_core::interaction::Interaction::name`] has them.
pub(crate) const INTERACTIONS: [&str; 14] = [
    "read",
    "search-type",
    "vread",
    "history-instance",
    "history-type",
    "history-system",
    "create",
    "update",
    "patch",
    "delete",
    "batch",
    "transaction",
    "operation",
    "capabilities",
];

/// A place. `turn` is odd while it is being written.
#[derive(Default)]
struct Place {
    turn: AtomicU32,
    stage: AtomicU8,
    /// Its place in [`INTERACTIONS`], from 1; 0 for every other.
    interaction: AtomicU8,
    client_length: AtomicU8,
    since: AtomicU64,
    id: [AtomicU64; 2],
    client: [AtomicU64; CLIENT / 8],
}

struct Chunk {
    taken: AtomicU64,
    places: [Place; 64],
}

/// The requests that are under way.
pub struct UnderWay {
    chunks: [OnceLock<Box<Chunk>>; CHUNKS],
    clock: Instant,
    untold: AtomicUsize,
}

/// A request that is under way, as a reader sees it.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Seen {
    /// The request's id.
    pub id: Uuid,
    /// For how long it has been under way.
    pub since: Duration,
    /// Where it stands.
    pub stage: Stage,
    /// The interaction; empty until it is known.
    pub interaction: &'static str,
    /// Who asks, its first 40 bytes; empty until it is known.
    pub client: String,
}

/// A request's place; free again when it is dropped.
pub struct Ticket {
    under_way: Arc<UnderWay>,
    /// `None` where every place was taken.
    at: Option<(u16, u8)>,
}

impl std::fmt::Debug for Ticket {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_tuple("Ticket").field(&self.at).finish()
    }
}

impl Default for UnderWay {
    fn default() -> Self {
        UnderWay {
            chunks: std::array::from_fn(|_| OnceLock::new()),
            clock: Instant::now(),
            untold: AtomicUsize::new(0),
        }
    }
}

/// Where a thread begins to look for a place: threads on chunks of their own don't disturb each other.
fn first_chunk() -> usize {
    static NEXT: AtomicUsize = AtomicUsize::new(0);
    thread_local! {
        static OWN: usize = NEXT.fetch_add(1, Ordering::Relaxed);
    }
    OWN.with(|own| *own)
}

impl UnderWay {
    /// A request begins.
    pub fn begin(self: &Arc<UnderWay>, id: Uuid) -> Ticket {
        let at = self.take();
        if let Some(place) = at.and_then(|at| self.place(at)) {
            let (high, low) = id.as_u64_pair();
            let since = u64::try_from(self.clock.elapsed().as_micros()).unwrap_or(u64::MAX);
            place.write(|place| {
                place.stage.store(Stage::Arrived.number(), Ordering::Relaxed);
                place.interaction.store(0, Ordering::Relaxed);
                place.client_length.store(0, Ordering::Relaxed);
                place.since.store(since, Ordering::Relaxed);
                place.id[0].store(high, Ordering::Relaxed);
                place.id[1].store(low, Ordering::Relaxed);
            });
        } else {
            self.untold.fetch_add(1, Ordering::Relaxed);
        }
        Ticket { under_way: Arc::clone(self), at }
    }

    /// Every request that is under way, the oldest first.
    pub fn seen(&self) -> Vec<Seen> {
        let now = self.clock.elapsed();
        let mut seen: Vec<Seen> = Vec::new();
        for chunk in self.chunks.iter().filter_map(OnceLock::get) {
            let taken = chunk.taken.load(Ordering::Acquire);
            let places = chunk.places.iter().enumerate().filter(|(bit, _)| taken & (1 << bit) != 0);
            seen.extend(places.filter_map(|(_, place)| place.read(now)));
        }
        seen.sort_by_key(|own| std::cmp::Reverse(own.since));
        seen
    }

    /// How many requests are under way without a place.
    pub fn untold(&self) -> usize {
        self.untold.load(Ordering::Relaxed)
    }

    fn take(&self) -> Option<(u16, u8)> {
        let first = first_chunk();
        // Eight chunks are shared out among threads; the others are for when these are full.
        for number in (0..8).map(|step| (first % 8 + step) % 8).chain(8..CHUNKS) {
            let chunk = self.chunks.get(number)?.get_or_init(|| {
                Box::new(Chunk {
                    taken: AtomicU64::new(0),
                    places: std::array::from_fn(|_| Place::default()),
                })
            });
            loop {
                let free = (!chunk.taken.load(Ordering::Relaxed)).trailing_zeros();
                if free >= 64 {
                    break;
                }
                if chunk.taken.fetch_or(1 << free, Ordering::AcqRel) & (1 << free) == 0 {
                    return Some((u16::try_from(number).ok()?, u8::try_from(free).ok()?));
                }
            }
        }
        None
    }

    fn chunk(&self, number: u16) -> Option<&Chunk> {
        self.chunks.get(usize::from(number))?.get().map(|chunk| &**chunk)
    }

    fn place(&self, (number, bit): (u16, u8)) -> Option<&Place> {
        self.chunk(number)?.places.get(usize::from(bit))
    }
}

impl Place {
    fn write(&self, write: impl FnOnce(&Place)) {
        self.turn.fetch_add(1, Ordering::Relaxed);
        fence(Ordering::Release);
        write(self);
        self.turn.fetch_add(1, Ordering::AcqRel);
    }

    fn read(&self, now: Duration) -> Option<Seen> {
        for _ in 0..TRIES {
            let turn = self.turn.load(Ordering::Acquire);
            let word = |own: &AtomicU64| own.load(Ordering::Acquire);
            let bytes: Vec<u8> = self.client.iter().flat_map(|own| word(own).to_le_bytes()).collect();
            let length = usize::from(self.client_length.load(Ordering::Acquire)).min(CLIENT);
            let client = bytes.get(..length).unwrap_or_default();
            let interaction = usize::from(self.interaction.load(Ordering::Acquire));
            let seen = Seen {
                id: Uuid::from_u64_pair(word(&self.id[0]), word(&self.id[1])),
                since: now.saturating_sub(Duration::from_micros(word(&self.since))),
                stage: Stage::of_number(self.stage.load(Ordering::Acquire)),
                interaction: interaction
                    .checked_sub(1)
                    .and_then(|at| INTERACTIONS.get(at).copied())
                    .unwrap_or_default(),
                client: String::from_utf8_lossy(client).into_owned(),
            };
            if turn.is_multiple_of(2) && self.turn.load(Ordering::Acquire) == turn {
                return Some(seen);
            }
        }
        None
    }
}

impl Ticket {
    fn place(&self) -> Option<&Place> {
        self.under_way.place(self.at?)
    }

    /// The request has come to this stage; gives the one before.
    pub fn stage(&self, stage: Stage) -> Stage {
        let Some(place) = self.place() else { return Stage::Arrived };
        // This request alone writes here: two plain accesses do what an exchange would.
        let before = place.stage.load(Ordering::Relaxed);
        place.stage.store(stage.number(), Ordering::Relaxed);
        Stage::of_number(before)
    }

    /// It is known who asks.
    pub fn client(&self, id: &str) {
        let Some(place) = self.place() else { return };
        let kept = id.as_bytes().get(..CLIENT).unwrap_or(id.as_bytes());
        place.write(|place| {
            for (word, part) in place.client.iter().zip(kept.chunks(8)) {
                let mut bytes = [0; 8];
                bytes.iter_mut().zip(part).for_each(|(to, from)| *to = *from);
                word.store(u64::from_le_bytes(bytes), Ordering::Relaxed);
            }
            place.client_length.store(u8::try_from(kept.len()).unwrap_or_default(), Ordering::Relaxed);
        });
    }

    /// It is known what is asked.
    pub fn interaction(&self, name: &str) {
        let Some(place) = self.place() else { return };
        let number = INTERACTIONS.iter().position(|own| *own == name).map_or(0, |at| at + 1);
        place.interaction.store(u8::try_from(number).unwrap_or_default(), Ordering::Relaxed);
    }
}

impl Drop for Ticket {
    fn drop(&mut self) {
        match self.at {
            Some((number, bit)) => {
                if let Some(chunk) = self.under_way.chunk(number) {
                    chunk.taken.fetch_and(!(1 << bit), Ordering::AcqRel);
                }
            }
            None => {
                self.under_way.untold.fetch_sub(1, Ordering::Relaxed);
            }
        }
    }
}

#[cfg(test)]
#[allow(clippy::unwrap_used)]
mod tests {
    use super::*;

    #[test]
    fn a_request_is_seen_from_its_beginning_to_its_end() {
        let own = Arc::new(UnderWay::default());
        let id = Uuid::from_u128(7);
        let ticket = own.begin(id);
        assert_eq!(own.seen()[0].client, "");
        ticket.client("ward-app");
        ticket.interaction("search-type");
        assert_eq!(ticket.stage(Stage::Upstream), Stage::Arrived);
        let seen = own.seen().pop().unwrap();
        assert_eq!((seen.id, seen.stage), (id, Stage::Upstream));
        assert_eq!((seen.interaction, seen.client.as_str()), ("search-type", "ward-app"));
        drop(ticket);
        assert!(own.seen().is_empty());
        let next = own.begin(Uuid::from_u128(8));
        assert_eq!(own.seen()[0].client, "", "nothing is left of the request before");
        drop(next);
    }

    #[test]
    fn a_long_client_id_is_cut_and_no_client_breaks_what_is_read() {
        let own = Arc::new(UnderWay::default());
        let ticket = own.begin(Uuid::nil());
        ticket.client(&"à".repeat(100));
        assert_eq!(own.seen()[0].client, "à".repeat(20));
    }

    #[test]
    fn there_is_a_bound_and_every_place_comes_back() {
        let own = Arc::new(UnderWay::default());
        let most = CHUNKS * 64;
        let tickets: Vec<Ticket> = (0..most + 3).map(|n| own.begin(Uuid::from_u128(n as u128))).collect();
        assert_eq!((own.seen().len(), own.untold()), (most, 3));
        drop(tickets);
        assert_eq!((own.seen().len(), own.untold()), (0, 0));
    }

    #[test]
    fn many_threads_take_places_and_readers_see_whole_ones() {
        let own = Arc::new(UnderWay::default());
        std::thread::scope(|scope| {
            for thread in 0..4_u64 {
                let own = own.clone();
                scope.spawn(move || {
                    for _ in 0..2000 {
                        // Both halves of the id are alike: a reader that mixed two requests would show it.
                        let ticket = own.begin(Uuid::from_u64_pair(thread, thread));
                        ticket.client("someone");
                    }
                });
            }
            for _ in 0..200 {
                for seen in own.seen() {
                    let (high, low) = seen.id.as_u64_pair();
                    assert_eq!(high, low);
                }
            }
        });
        assert!(own.seen().is_empty());
    }
}
