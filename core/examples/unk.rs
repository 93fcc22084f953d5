#![allow(clippy::print_stdout, clippy::unwrap_used, missing_docs)]
use fhir_models::definition::*;
fn main() {
    let d = Definitions::r4();
    let mut n = std::collections::BTreeMap::new();
    for t in d.type_names() {
        let Some(s) = d.structure(t) else { println!("no {t}"); continue };
        for e in &s.elements {
            if let Some(b) = &e.binding && b.strength == BindingStrength::Required {
                let vs = b.value_set.clone().unwrap_or_default();
                let kind = match d.try_value_set(&vs) { Ok(None) => "absent".into(), Err(e) => format!("ERR {e}"), Ok(Some(v)) => format!("enumerable {} unbounded {} systems {:?}", v.is_enumerable(), v.is_unbounded(), v.systems().collect::<Vec<_>>()) };
                if !kind.starts_with("enumerable true") { n.entry((vs, kind)).or_insert_with(Vec::new).push(e.id.clone()); }
            }
        }
    }
    for (k, v) in n { println!("{k:?} {v:?}"); }
}
