//! Several certificates on one port: the name that a client asks for (SNI, RFC 6066 §3) picks its certificate.
//!
//! A certificate serves the DNS names that it holds; `*.hospital.example` serves one label below. A client that asks for a name
//! which none of them holds gets the first certificate, or no connection at all, as the configuration says.

use std::collections::HashMap;
use std::path::Path;
use std::sync::Arc;

use rustls::server::{ClientHello, ResolvesServerCert};
use rustls::sign::CertifiedKey;
use x509_parser::extensions::GeneralName;
use x509_parser::prelude::{FromDer, X509Certificate};

/// Certificates by name.
#[derive(Debug)]
pub struct Names {
    first: Arc<CertifiedKey>,
    by_name: HashMap<String, Arc<CertifiedKey>>,
    refuse_unknown: bool,
}

impl Names {
    /// The first certificate; it serves whoever asks for no name.
    pub fn new(first: CertifiedKey, refuse_unknown: bool) -> Names {
        let mut names = Names { first: Arc::new(first), by_name: HashMap::new(), refuse_unknown };
        let first = names.first.clone();
        for name in names_in(&first) {
            names.by_name.insert(name, first.clone());
        }
        names
    }

    /// One more certificate. What an earlier one serves stays with that one.
    ///
    /// # Errors
    /// A certificate without a DNS name: nobody would ever get it.
    pub fn add(&mut self, key: CertifiedKey, path: &Path) -> Result<(), String> {
        let key = Arc::new(key);
        let names = names_in(&key);
        if names.is_empty() {
            return Err(format!(
                "the certificate in {} holds no DNS name to be asked for by",
                path.display()
            ));
        }
        for name in names {
            self.by_name.entry(name).or_insert_with(|| key.clone());
        }
        Ok(())
    }

    fn pick(&self, asked: Option<&str>) -> Option<&Arc<CertifiedKey>> {
        let Some(asked) = asked else { return Some(&self.first) };
        let asked = asked.trim_end_matches('.').to_ascii_lowercase();
        let below = || asked.split_once('.').map(|(_, rest)| format!("*.{rest}"));
        let found = self.by_name.get(&asked).or_else(|| self.by_name.get(&below()?));
        found.or_else(|| (!self.refuse_unknown).then_some(&self.first))
    }
}

impl ResolvesServerCert for Names {
    fn resolve(&self, hello: ClientHello<'_>) -> Option<Arc<CertifiedKey>> {
        self.pick(hello.server_name()).cloned()
    }
}

/// The DNS names of a certificate, in small letters.
fn names_in(key: &CertifiedKey) -> Vec<String> {
    let Some(Ok((_, parsed))) = key.cert.first().map(|der| X509Certificate::from_der(der)) else {
        return Vec::new();
    };
    let Ok(Some(held)) = parsed.subject_alternative_name() else { return Vec::new() };
    let names = held.value.general_names.iter().filter_map(|name| match name {
        GeneralName::DNSName(name) => Some(name.to_ascii_lowercase()),
        _ => None,
    });
    names.collect()
}

#[cfg(test)]
#[allow(clippy::unwrap_used)]
mod tests {
    use rcgen::{CertificateParams, KeyPair};
    use rustls::crypto::aws_lc_rs;
    use rustls::pki_types::PrivateKeyDer;

    use super::*;

    fn certified(names: &[&str]) -> CertifiedKey {
        let key = KeyPair::generate().unwrap();
        let params =
            CertificateParams::new(names.iter().map(|name| (*name).to_owned()).collect::<Vec<_>>()).unwrap();
        let certificate = params.self_signed(&key).unwrap();
        let key = PrivateKeyDer::try_from(key.serialize_der()).unwrap();
        CertifiedKey::from_der(vec![certificate.der().clone()], key, &aws_lc_rs::default_provider()).unwrap()
    }

    fn names(refuse_unknown: bool) -> Names {
        let mut names = Names::new(certified(&["fhir.niguarda.example"]), refuse_unknown);
        names.add(certified(&["fhir.gemelli.example", "*.reg.example"]), Path::new("b.pem")).unwrap();
        names
    }

    fn picked(names: &Names, asked: Option<&str>) -> Option<Vec<String>> {
        names.pick(asked).map(|key| names_in(key))
    }

    #[test]
    fn a_name_picks_its_certificate_and_a_wildcard_one_label() {
        let names = names(false);
        let (own, other) =
            (Some(vec!["fhir.niguarda.example".to_owned()]), "fhir.gemelli.example".to_owned());
        for asked in [None, Some("fhir.niguarda.example"), Some("elsewhere.example"), Some("a.b.reg.example")]
        {
            assert_eq!(picked(&names, asked), own, "{asked:?}");
        }
        for asked in ["fhir.gemelli.example", "FHIR.Gemelli.Example", "x.reg.example"] {
            assert_eq!(picked(&names, Some(asked)).unwrap()[0], other, "{asked}");
        }
    }

    #[test]
    fn an_unknown_name_is_refused_where_that_is_set() {
        let names = names(true);
        assert!(picked(&names, Some("elsewhere.example")).is_none() && picked(&names, None).is_some());
        assert!(picked(&names, Some("x.reg.example")).is_some());
    }

    #[test]
    fn a_certificate_without_a_name_is_of_no_use_beside_others() {
        let mut names = names(false);
        let error = names.add(certified(&["127.0.0.1"]), Path::new("c.pem")).unwrap_err();
        assert!(error.contains("c.pem"), "{error}");
    }
}
