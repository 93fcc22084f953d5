//! Who asks, as a key: two callers share it only where every decision about them is the same.
//!
//! Every field of a [`Requester`] stands here or is left out by name; a new one does not compile until somebody decides.

use sha2::{Digest, Sha256};
use varco_core::requester::Requester;

/// A digest of what decisions know of a caller.
pub(super) fn digest(requester: &Requester) -> [u8; 32] {
    let Requester {
        client_id,
        subject,
        roles,
        organizations,
        home_community,
        purposes,
        patient,
        person,
        fse,
        grants,
        scopes,
        certificate,
        reason,
        // Of the token and of records: no decision about a resource differs by them.
        subject_name: _,
        organization_names: _,
        token_id: _,
        issued: _,
    } = requester;
    // A list's form is its own: each text is quoted, so that no two callers write the same.
    let told = format!(
        "{client_id:?}{subject:?}{roles:?}{organizations:?}{home_community:?}{purposes:?}{patient:?}{person:?}{fse:?}\
         {grants:?}{scopes:?}{certificate:?}{reason:?}"
    );
    Sha256::digest(told.as_bytes()).into()
}

#[cfg(test)]
mod tests {
    use varco_core::interaction::Id;
    use varco_core::requester::{BusinessIdentifier, Code, Grants};

    use super::*;

    #[test]
    fn whoever_may_be_decided_about_otherwise_has_another_key() {
        let one = Requester { client_id: "ward".to_owned(), ..Requester::default() };
        let code = Code::new("urn:s", "c");
        let person = BusinessIdentifier::new("urn:s", "p");
        let others = [
            Requester { client_id: "lab".to_owned(), ..one.clone() },
            Requester { subject: Some(person.clone()), ..one.clone() },
            Requester { roles: vec![code.clone()], ..one.clone() },
            Requester { purposes: vec![code], ..one.clone() },
            Requester { organizations: vec![person.clone()], ..one.clone() },
            Requester { home_community: Some("urn:oid:1".to_owned()), ..one.clone() },
            Requester { patient: Id::parse("anna"), ..one.clone() },
            Requester { person: Some(person), ..one.clone() },
            Requester { grants: Grants { self_certifications: 1, ..Grants::default() }, ..one.clone() },
            Requester { scopes: vec!["system/*.rs".to_owned()], ..one.clone() },
            Requester { certificate: Some("00".to_owned()), ..one.clone() },
            Requester { reason: Some("x".to_owned()), ..one.clone() },
        ];
        let mut keys: Vec<[u8; 32]> = others.iter().chain([&one]).map(digest).collect();
        keys.sort_unstable();
        keys.dedup();
        assert_eq!(keys.len(), others.len() + 1);
        let again = Requester { token_id: Some("another token".to_owned()), ..one.clone() };
        assert_eq!(digest(&again), digest(&one));
    }
}
