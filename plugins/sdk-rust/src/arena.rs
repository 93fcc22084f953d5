//! The memory of one call: an arena inside the module's first memory.
//!
//! Each call has a fresh instance, so what an allocation leaves behind ends with the call. Growing memory is dear: the
//! gateway's kernel must change what each core knows about it, twice a call. A call that needs less than the arena never
//! grows it; what doesn't fit goes to std's allocator, which does, up to the manifest's `memory_mib`.

#![cfg_attr(not(any(target_arch = "wasm32", test)), allow(dead_code))]

use std::alloc::{GlobalAlloc, Layout, System};
use std::cell::{Cell, UnsafeCell};
use std::ptr::NonNull;

/// Bytes of a plugin's arena: a body of 64 KiB, what is made of it, and as much again. Pages that aren't touched cost nothing.
#[cfg(target_arch = "wasm32")]
const BYTES: usize = 256 << 10;

#[cfg(target_arch = "wasm32")]
#[global_allocator]
static ARENA: Arena<BYTES> = Arena::new();

// SAFETY: a plugin's module has one thread: the gateway offers no other.
#[cfg(target_arch = "wasm32")]
unsafe impl Sync for Arena<BYTES> {}

/// Memory that is handed out from its start to its end. Given back is only what was handed out last.
#[repr(C, align(16))]
struct Arena<const SIZE: usize> {
    bytes: UnsafeCell<[u8; SIZE]>,
    used: Cell<usize>,
}

impl<const SIZE: usize> Arena<SIZE> {
    const fn new() -> Self {
        Self { bytes: UnsafeCell::new([0; SIZE]), used: Cell::new(0) }
    }

    /// Where a block starts, where it is of the arena.
    fn start_of(&self, block: *mut u8) -> Option<usize> {
        let start = (block as usize).wrapping_sub(self.bytes.get() as usize);
        (start < SIZE).then_some(start)
    }

    /// Makes the arena end with this many bytes behind `start`. False where they don't fit.
    fn end_at(&self, start: usize, size: usize) -> bool {
        let end = start.checked_add(size).filter(|end| *end <= SIZE);
        self.used.set(end.unwrap_or(self.used.get()));
        end.is_some()
    }

    fn take(&self, layout: Layout) -> Option<NonNull<u8>> {
        if layout.align() > align_of::<Self>() {
            return None;
        }
        let start = self.used.get().checked_next_multiple_of(layout.align())?;
        // SAFETY: `end_at` has made sure that `start` is inside of `bytes`, or at its end.
        self.end_at(start, layout.size())
            .then(|| unsafe { NonNull::new_unchecked(self.bytes.get().cast::<u8>().add(start)) })
    }
}

// SAFETY: a block from `take` has the layout's size and alignment inside of `bytes`, and overlaps no other, since `used` moves
// past it and comes back only to the start of the last block, when that is given back. Other blocks are the system's.
unsafe impl<const SIZE: usize> GlobalAlloc for Arena<SIZE> {
    unsafe fn alloc(&self, layout: Layout) -> *mut u8 {
        match self.take(layout) {
            Some(block) => block.as_ptr(),
            // SAFETY: the caller's promises are those that the system asks for.
            None => unsafe { System.alloc(layout) },
        }
    }

    unsafe fn dealloc(&self, block: *mut u8, layout: Layout) {
        match self.start_of(block) {
            Some(start) if start + layout.size() == self.used.get() => self.used.set(start),
            Some(_) => {}
            // SAFETY: what isn't of the arena is of the system.
            None => unsafe { System.dealloc(block, layout) },
        }
    }

    unsafe fn realloc(&self, block: *mut u8, layout: Layout, new_size: usize) -> *mut u8 {
        let Some(start) = self.start_of(block) else {
            // SAFETY: what isn't of the arena is of the system.
            return unsafe { System.realloc(block, layout, new_size) };
        };
        let is_last = start + layout.size() == self.used.get();
        if if is_last { self.end_at(start, new_size) } else { new_size <= layout.size() } {
            return block;
        }
        // SAFETY: the caller has promised that `new_size` makes a layout with this alignment; `block` has the old size, which
        // is below the new one, and the new block is another; nobody uses the old one any more.
        unsafe {
            let new = self.alloc(Layout::from_size_align_unchecked(new_size, layout.align()));
            if !new.is_null() {
                new.copy_from_nonoverlapping(block, layout.size());
                self.dealloc(block, layout);
            }
            new
        }
    }
}

#[cfg(test)]
mod tests {
    #![allow(clippy::unwrap_used)]

    use super::*;

    const WORD: Layout = Layout::new::<u64>();

    fn bytes(size: usize) -> Layout {
        Layout::from_size_align(size, 1).unwrap()
    }

    #[test]
    fn blocks_are_aligned_and_apart() {
        let arena = Arena::<64>::new();
        // SAFETY: each block is used within its layout.
        unsafe {
            let (one, two) = (arena.alloc(bytes(3)), arena.alloc(WORD));
            assert_eq!((arena.start_of(one), arena.start_of(two)), (Some(0), Some(8)));
            assert!(two.cast::<u64>().is_aligned());
            one.write_bytes(1, 3);
            two.write_bytes(2, 8);
            assert_eq!((*one.add(2), *two), (1, 2));
        }
        assert_eq!(arena.used.get(), 16);
    }

    #[test]
    fn the_last_block_is_given_back_and_grows_where_it_is() {
        let arena = Arena::<64>::new();
        // SAFETY: as above.
        unsafe {
            let (one, two) = (arena.alloc(bytes(8)), arena.alloc(bytes(8)));
            two.write_bytes(7, 8);
            assert_eq!(arena.realloc(two, bytes(8), 50), two);
            assert_eq!(arena.used.get(), 58);
            assert_eq!(arena.realloc(two, bytes(50), 4), two);
            assert_eq!(arena.used.get(), 12);
            arena.dealloc(one, bytes(8));
            assert_eq!(arena.used.get(), 12, "what stands below the last block stays");
            arena.dealloc(two, bytes(4));
            assert_eq!(arena.used.get(), 8);
        }
    }

    #[test]
    fn a_block_that_can_not_grow_where_it_is_moves() {
        let arena = Arena::<64>::new();
        // SAFETY: as above.
        unsafe {
            let one = arena.alloc(bytes(4));
            one.copy_from_nonoverlapping(b"abcd".as_ptr(), 4);
            let _two = arena.alloc(bytes(4));
            let moved = arena.realloc(one, bytes(4), 8);
            assert_eq!(arena.start_of(moved), Some(8));
            assert_eq!(std::slice::from_raw_parts(moved, 4), b"abcd");
            assert_eq!(arena.realloc(one, bytes(4), 2), one);
        }
    }

    #[test]
    fn what_does_not_fit_is_of_the_system() {
        let arena = Arena::<64>::new();
        let wide = Layout::from_size_align(8, 4096).unwrap();
        // SAFETY: as above.
        unsafe {
            let (large, aligned) = (arena.alloc(bytes(65)), arena.alloc(wide));
            assert_eq!((arena.start_of(large), arena.start_of(aligned), arena.used.get()), (None, None, 0));
            let grown = arena.realloc(large, bytes(65), 1000);
            grown.write_bytes(1, 1000);
            arena.dealloc(grown, bytes(1000));
            arena.dealloc(aligned, wide);

            // From the arena to the system.
            let block = arena.alloc(bytes(4));
            block.copy_from_nonoverlapping(b"abcd".as_ptr(), 4);
            let moved = arena.realloc(block, bytes(4), 100);
            assert_eq!(arena.start_of(moved), None);
            assert_eq!(std::slice::from_raw_parts(moved, 4), b"abcd");
            arena.dealloc(moved, bytes(100));
            assert_eq!(arena.used.get(), 0, "what moved away is given back");
        }
    }
}
