//! The order in which a pack holds its definitions.
//!
//! Definitions that are read together stand together: the datatypes, then every resource with the value
//! sets that bind it and their code systems, so that one validation inflates few blocks.

use std::collections::{BTreeMap, BTreeSet, HashMap};

use super::pack_definition::{Definition, SortKey};
use super::pack_format::{FLAG_ABSTRACT, FLAG_KIND_SHIFT};

/// The definitions in the order in which programs read them, with the number of their group.
pub(super) fn reading_order(found: &BTreeMap<SortKey, Definition>) -> Vec<(u8, &SortKey)> {
    let mut order = Order { found, by_url: HashMap::new(), placed: BTreeSet::new(), list: Vec::new() };
    for key in found.keys() {
        order.by_url.entry(key.url()).or_default().push(key);
    }
    let types = |wanted: fn(&Definition) -> bool| {
        found.iter().filter(move |(_, it)| it.is_type() && wanted(it)).map(|(key, _)| key)
    };
    let is_resource = |it: &Definition| it.flags >> FLAG_KIND_SHIFT == 2;
    let common: Vec<_> =
        types(|it| it.flags >> FLAG_KIND_SHIFT != 2 || it.flags & FLAG_ABSTRACT != 0).collect();
    for key in &common {
        order.place(0, key);
    }
    for key in &common {
        order.place_needs(1, key);
    }
    for key in types(|_| true) {
        if found.get(key).is_some_and(is_resource) {
            order.place(2, key);
            order.place_needs(2, key);
        }
    }
    let of_type = |wanted: &'static str| found.keys().filter(move |key| key.resource_type == wanted);
    for key in of_type("StructureDefinition") {
        order.place(3, key);
    }
    for key in of_type("ValueSet") {
        order.place(4, key);
        order.place_needs(4, key);
    }
    for key in of_type("CodeSystem") {
        order.place(4, key);
    }
    let mut parameters: Vec<_> = of_type("SearchParameter").collect();
    parameters.sort_by_key(|key| found.get(key).map(|it| (it.facets.first(), *key)));
    for key in parameters {
        order.place(5, key);
    }
    for key in found.keys() {
        order.place(6, key);
    }
    order.list
}

struct Order<'b> {
    found: &'b BTreeMap<SortKey, Definition>,
    by_url: HashMap<String, Vec<&'b SortKey>>,
    placed: BTreeSet<&'b SortKey>,
    list: Vec<(u8, &'b SortKey)>,
}

impl<'b> Order<'b> {
    fn place(&mut self, rank: u8, key: &'b SortKey) -> bool {
        let fresh = self.placed.insert(key);
        if fresh {
            self.list.push((rank, key));
        }
        fresh
    }

    /// Places what a definition needs, and what that needs.
    fn place_needs(&mut self, rank: u8, key: &'b SortKey) {
        let mut waiting = vec![key];
        while let Some(key) = waiting.pop() {
            let Some(definition) = self.found.get(key) else { continue };
            for need in &definition.needs {
                let url = need.split('|').next().unwrap_or_default();
                for needed in self.by_url.get(url).cloned().unwrap_or_default() {
                    if self.place(rank, needed) {
                        waiting.push(needed);
                    }
                }
            }
        }
    }
}
