//! Page links that only their caller can use, and nobody can edit.
//!
//! A link holds the search and the offset, sealed with AES-256-GCM under a key that this process drew at its
//! start, or got from the one that it took over from; the caller's identity and purpose are bound in as associated data, and the link expires.

use aws_lc_rs::aead::{AES_256_GCM, Aad, NONCE_LEN, Nonce, RandomizedNonceKey};
use aws_lc_rs::error::Unspecified;
use aws_lc_rs::rand;
use base64::Engine as _;
use base64::engine::general_purpose::URL_SAFE_NO_PAD;
use varco_core::requester::Requester;

use super::Refusal;

/// How long a link lives, in seconds.
const LIFETIME: u64 = 900;
/// Longest sealed link that is looked at, in bytes.
const LONGEST: usize = 16 * 1024;

/// A page of a search.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) struct Page {
    /// The search as the caller first wrote it.
    pub query: String,
    /// How many visible matches stand before this page.
    pub offset: usize,
}

/// Seals and opens page links.
pub(super) struct PageSeal {
    seal: RandomizedNonceKey,
    key: [u8; 32],
}

impl PageSeal {
    /// A seal under a fresh key.
    pub fn new() -> Result<PageSeal, Unspecified> {
        let mut key = [0; 32];
        rand::fill(&mut key)?;
        PageSeal::with(key)
    }

    /// The seal of the process before, under its key.
    pub fn with(key: [u8; 32]) -> Result<PageSeal, Unspecified> {
        Ok(PageSeal { seal: RandomizedNonceKey::new(&AES_256_GCM, &key)?, key })
    }

    /// The key, for the process that takes over.
    pub fn key(&self) -> [u8; 32] {
        self.key
    }

    /// The link's token. `now` is in seconds since 1970.
    pub fn seal(&self, page: &Page, path: &str, requester: &Requester, now: u64) -> Option<String> {
        let expires = now.saturating_add(LIFETIME);
        let mut sealed = format!("{expires} {} {}", page.offset, page.query).into_bytes();
        let nonce =
            self.seal.seal_in_place_append_tag(Aad::from(bound_to(path, requester)), &mut sealed).ok()?;
        let mut token = nonce.as_ref().to_vec();
        token.append(&mut sealed);
        Some(URL_SAFE_NO_PAD.encode(token))
    }

    /// The page behind a token.
    pub fn open(&self, token: &str, path: &str, requester: &Requester, now: u64) -> Result<Page, Refusal> {
        let opened = || {
            let token = (token.len() <= LONGEST).then(|| URL_SAFE_NO_PAD.decode(token).ok()).flatten()?;
            let (nonce, sealed) = token.split_first_chunk::<NONCE_LEN>()?;
            let nonce = Nonce::assume_unique_for_key(*nonce);
            let aad = Aad::from(bound_to(path, requester));
            let mut sealed = sealed.to_vec();
            let plain = self.seal.open_in_place(nonce, aad, &mut sealed).ok()?;
            let mut parts = std::str::from_utf8(plain).ok()?.splitn(3, ' ');
            let expires: u64 = parts.next()?.parse().ok()?;
            let offset = parts.next()?.parse().ok()?;
            let query = parts.next()?.to_owned();
            (now <= expires).then_some(Page { query, offset })
        };
        opened().ok_or(Refusal::PageLink)
    }
}

/// The sealed token in a query that is a page link and nothing else.
pub(super) fn token_of(query: Option<&str>) -> Option<&str> {
    query?.strip_prefix("_page=").filter(|token| !token.contains('&'))
}

/// Who may use a link: the same client, person, organisation, role and purpose, for the same patient and path.
fn bound_to(path: &str, requester: &Requester) -> Vec<u8> {
    let Requester { client_id, subject, roles, organizations, purposes, patient, person, .. } = requester;
    let caller = (client_id, subject, roles, organizations, purposes, patient, person);
    format!("{:?}", (path.trim_matches('/'), caller)).into_bytes()
}

#[cfg(test)]
#[allow(clippy::unwrap_used)]
mod tests {
    use super::*;

    #[test]
    fn a_link_serves_its_caller_until_it_expires() {
        let seal = PageSeal::new().unwrap();
        let caller = Requester { client_id: "gemelli".into(), ..Requester::default() };
        let other = Requester { client_id: "altri".into(), ..Requester::default() };
        let page = Page { query: "patient=Patient/1&_count=2".into(), offset: 2 };
        let token = seal.seal(&page, "Observation", &caller, 1_000).unwrap();
        assert_eq!(seal.open(&token, "Observation", &caller, 1_900).unwrap(), page);
        assert!(seal.open(&token, "Observation", &caller, 1_901).is_err());
        assert!(seal.open(&token, "Observation", &other, 1_000).is_err());
        assert!(seal.open(&token, "Condition", &caller, 1_000).is_err());
        let edited = format!("{}A{}", &token[..20], &token[21..]);
        assert!(edited == token || seal.open(&edited, "Observation", &caller, 1_000).is_err());
        assert!(seal.open("", "Observation", &caller, 1_000).is_err());
    }
}
