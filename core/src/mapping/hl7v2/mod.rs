//! HL7 v2 messages to FHIR.

pub mod tables;

#[cfg(test)]
#[allow(clippy::unwrap_used)]
mod tests {
    #[test]
    fn the_tables_are_maps() {
        let text = [
            include_str!("tables/messages.fml"),
            &super::tables::groups(include_str!("tables/datatypes.table")).unwrap(),
            &super::tables::groups(include_str!("tables/segments.table")).unwrap(),
        ]
        .concat()
        .replace("$zone", "'Europe/Rome'");
        std::fs::write("/tmp/v2.fml", &text).unwrap();
        let map = crate::mapping::syntax::parse_text("hl7v2", &text).unwrap();
        let names: std::collections::HashSet<_> =
            map.groups.iter().map(|group| group.name.as_str()).collect();
        assert_eq!(names.len(), map.groups.len());
        fn check(rules: &[crate::mapping::syntax::Rule], names: &std::collections::HashSet<&str>) {
            for rule in rules {
                for dependent in &rule.dependents {
                    assert!(names.contains(dependent.name.as_str()), "{}", dependent.name);
                }
                check(&rule.rules, names);
            }
        }
        map.groups.iter().for_each(|group| check(&group.rules, &names));
    }
}
