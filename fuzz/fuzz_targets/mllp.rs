//! Any bytes in any pieces: what is cut out of them does not depend on the pieces, is within the limit and holds no
//! byte of a frame; framed again it comes back; and a fault stays.

#![no_main]

use libfuzzer_sys::fuzz_target;
use varco_core::hl7v2::{FrameError, MllpDecoder, mllp_frame};

const LIMIT: usize = 64;

fuzz_target!(|bytes: &[u8]| {
    let Some((&first, rest)) = bytes.split_first() else { return };
    let (lenient, size) = (first & 1 == 1, usize::from(first >> 1) + 1);
    let whole = decoded(std::iter::once(rest), lenient);
    assert_eq!(decoded(rest.chunks(size), lenient), whole);
    for message in &whole.0 {
        assert!(message.len() <= LIMIT && !message.iter().any(|byte| matches!(byte, 0x0B | 0x1C)));
        let again = decoded(std::iter::once(&*mllp_frame(message)), lenient);
        assert_eq!(again, (vec![message.clone()], None));
    }
});

fn decoded<'b>(pieces: impl Iterator<Item = &'b [u8]>, lenient: bool) -> (Vec<Vec<u8>>, Option<FrameError>) {
    let mut decoder = MllpDecoder::new(LIMIT, lenient);
    let mut messages = Vec::new();
    for piece in pieces {
        decoder.feed(piece);
        loop {
            match decoder.message() {
                Ok(Some(message)) => messages.push(message),
                Ok(None) => break,
                Err(fault) => {
                    decoder.feed(b"\x0bMSH\x1c\r");
                    assert_eq!(decoder.message(), Err(fault));
                    return (messages, Some(fault));
                }
            }
        }
    }
    (messages, None)
}
