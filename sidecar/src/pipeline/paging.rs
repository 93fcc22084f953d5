//! The caller's pages: where one begins and ends, and the sealed link to the next.

use std::ops::Range;

use super::Refusal;
use super::exchange::Exchange;
use super::page::Page;

/// The largest page that a caller gets.
const LARGEST_PAGE: usize = 1_000;

/// One page of a list.
pub(super) struct Cut {
    /// Relations and URLs for `Bundle.link`.
    pub links: Vec<(&'static str, String)>,
    /// Which of the items stand on it.
    pub range: Range<usize>,
}

/// Cuts the page at `offset` out of `total` items. `path` stands below the base, `query` is the request as it was
/// understood, `count` what the caller wants on a page.
pub(super) fn cut(
    exchange: &Exchange<'_>,
    path: &str,
    query: String,
    total: usize,
    count: Option<u32>,
    offset: usize,
) -> Result<Cut, Refusal> {
    let default = exchange.gateway.config.limits.page_size;
    let wanted = count.map_or(default, |count| usize::try_from(count).unwrap_or(LARGEST_PAGE));
    let base = exchange.gateway.config.site.base();
    let mark = if query.is_empty() { "" } else { "?" };
    let mut links = vec![("self", format!("{base}/{path}{mark}{query}"))];
    let start = offset.min(total);
    let end = start.saturating_add(wanted.min(LARGEST_PAGE)).min(total);
    if end < total {
        let now = u64::try_from(exchange.account.received.as_second()).unwrap_or_default();
        let sealed = exchange.gateway.seal.seal(&Page { query, offset: end }, path, &exchange.requester, now);
        links.push(("next", format!("{base}/{path}?_page={}", sealed.ok_or(Refusal::PageLink)?)));
    }
    Ok(Cut { links, range: start..end })
}
