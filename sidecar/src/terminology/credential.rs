//! The bearer token for a server that is asked or sent to: from a file or an environment variable, never shown.

use std::fmt;
use std::path::{Path, PathBuf};

use http::HeaderValue;

use crate::config;

/// Longest token that is read, in bytes.
const LONGEST: usize = 16 * 1024;

/// A credential that can't be used.
#[derive(Debug, thiserror::Error)]
pub enum CredentialError {
    /// Two places.
    #[error("both token_file and token_env are set")]
    Both,
    /// No such variable, or an empty one.
    #[error("the environment variable {0} holds no token")]
    Variable(String),
    /// The file.
    #[error("the token file {} can't be read: {cause}", path.display())]
    File {
        /// The file.
        path: PathBuf,
        /// The system's words.
        cause: std::io::Error,
    },
    /// Not a token.
    #[error("{0} holds no bearer token: one line of printable characters, at most 16 KiB")]
    Form(String),
    /// It would be readable on its way.
    #[error("a token would go to {0} in the clear; use https")]
    Clear(String),
}

/// A credential; shown nowhere.
#[derive(Clone, Default)]
pub struct Credential(Option<HeaderValue>);

impl fmt::Debug for Credential {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(if self.0.is_some() { "Credential(hidden)" } else { "Credential(none)" })
    }
}

impl Credential {
    /// The credential that a configuration names, or none.
    pub fn of(config: &config::Destination) -> Result<Credential, CredentialError> {
        Credential::read(&config.url, config.token_file.as_deref(), config.token_env.as_deref())
    }

    /// The credential for the server at `url`, from a file or from a variable, or none.
    pub fn read(
        url: &str,
        token_file: Option<&Path>,
        token_env: Option<&str>,
    ) -> Result<Credential, CredentialError> {
        let (text, place) = match (token_file, token_env) {
            (None, None) => return Ok(Credential::default()),
            (Some(_), Some(_)) => return Err(CredentialError::Both),
            (Some(path), None) => {
                let read = std::fs::read_to_string(path);
                let text = read.map_err(|cause| CredentialError::File { path: path.to_owned(), cause })?;
                (text, path.display().to_string())
            }
            (None, Some(name)) => {
                let text = std::env::var(name).ok().filter(|text| !text.trim().is_empty());
                (text.ok_or_else(|| CredentialError::Variable(name.to_owned()))?, name.to_owned())
            }
        };
        if url.starts_with("http:") && !is_loopback(url) {
            return Err(CredentialError::Clear(url.to_owned()));
        }
        let token = text.trim();
        let fits =
            !token.is_empty() && token.len() <= LONGEST && token.bytes().all(|byte| byte.is_ascii_graphic());
        let value = fits.then(|| HeaderValue::from_str(&format!("Bearer {token}")).ok()).flatten();
        let mut value = value.ok_or(CredentialError::Form(place))?;
        value.set_sensitive(true);
        Ok(Credential(Some(value)))
    }

    /// The `Authorization` header, where there is one.
    pub(crate) fn header(&self) -> Option<HeaderValue> {
        self.0.clone()
    }
}

fn is_loopback(url: &str) -> bool {
    let host =
        url.parse::<http::Uri>().ok().and_then(|uri| uri.host().map(str::to_owned)).unwrap_or_default();
    let address = host.trim_start_matches('[').trim_end_matches(']').parse::<std::net::IpAddr>();
    host == "localhost" || address.is_ok_and(|address| address.is_loopback())
}

#[cfg(test)]
#[allow(clippy::unwrap_used)]
mod tests {
    use super::*;

    fn with(url: &str, token: &str) -> Result<Credential, CredentialError> {
        let file = tempfile::NamedTempFile::new().unwrap();
        std::fs::write(file.path(), token).unwrap();
        let token_file = Some(file.path().to_owned());
        Credential::of(&config::Destination { token_file, ..config::Destination::at(url) })
    }

    #[test]
    fn a_token_is_read_and_never_shown() {
        let credential = with("https://tx.example.org/r4", "s3cret-t0ken\n").unwrap();
        assert_eq!(credential.header().unwrap(), "Bearer s3cret-t0ken");
        assert!(!format!("{credential:?} {:?}", credential.header()).contains("s3cret"));
        assert!(
            Credential::of(&config::Destination::at("https://tx.example.org")).unwrap().header().is_none()
        );
    }

    #[test]
    fn what_is_no_token_or_would_be_overheard_is_refused() {
        for (url, token) in [
            ("https://tx.example.org", ""),
            ("https://tx.example.org", "two words"),
            ("https://tx.example.org", "a\nb"),
            ("http://tx.example.org", "s3cret"),
        ] {
            let error = with(url, token).unwrap_err().to_string();
            let told = token.lines().any(|line| line.len() > 3 && error.contains(line));
            assert!(!told, "{error}");
        }
        assert!(with("http://127.0.0.1:8080/r4", "token").is_ok());
        assert!(with("http://[::1]:8080/r4", "token").is_ok());
    }

    #[test]
    fn a_variable_must_be_there_and_alone() {
        let named = |token_env: &str, token_file| {
            let token_env = Some(token_env.to_owned());
            Credential::of(&config::Destination {
                token_env,
                token_file,
                ..config::Destination::at("https://x")
            })
        };
        assert!(matches!(named("VARCO_TEST_NO_SUCH_TOKEN", None), Err(CredentialError::Variable(_))));
        assert!(matches!(named("A", Some("b".into())), Err(CredentialError::Both)));
    }
}
