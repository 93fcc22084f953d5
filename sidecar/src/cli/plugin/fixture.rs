//! Golden fixtures: a body that a plugin is given, and what it must make of it.
//!
//! `fixtures/NAME.in.json` is the body. `NAME.out.json` is the body that must be left, or `NAME.refused.json` the refusal
//! (`{"status": 422, "code": "...", "diagnostics": "..."}`). `NAME.context.json`, if there is one, says what the gateway
//! knows about the exchange, and settings over those of the manifest. Concept maps lie in `fixtures/concept-maps/`.

use std::fs;
use std::path::{Path, PathBuf};

use anyhow::{Context as _, Result, anyhow, bail};
use serde::{Deserialize, Serialize};
use serde_json::{Map, Value};
use varco_plugin_host::{Context, Hook, Manifest};

use super::layout::laid_out;
use super::stand::json_files;

/// One fixture.
#[derive(Debug)]
pub struct Fixture {
    /// Its name: that of its files up to the first suffix.
    pub name: String,
    /// The hook that is called.
    pub hook: Hook,
    /// What the gateway knows about the exchange.
    pub setting: Setting,
    /// The body.
    pub body: Vec<u8>,
    /// What must come of it. None where no file says so yet.
    pub wanted: Option<Wanted>,
    folder: PathBuf,
}

/// What must come of a body.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Wanted {
    /// This body, laid out.
    Body(String),
    /// This refusal.
    Refused(Refused),
}

/// A refusal, as a fixture states it.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Refused {
    /// The HTTP status.
    pub status: u16,
    /// A code of the FHIR R4 `issue-type` value set.
    pub code: String,
    /// What to change.
    pub diagnostics: String,
}

impl Wanted {
    /// What a reader sees of it, line by line.
    pub fn text(&self) -> String {
        match self {
            Self::Body(body) => body.clone(),
            Self::Refused(refused) => {
                format!("refused with {}, {}: {}\n", refused.status, refused.code, refused.diagnostics)
            }
        }
    }
}

/// `NAME.context.json`.
#[derive(Debug, Clone, Default, Deserialize)]
#[serde(deny_unknown_fields, default)]
pub struct Setting {
    hook: Option<Hook>,
    interaction: Option<String>,
    resource_type: Option<String>,
    route: Option<String>,
    roles: Option<Vec<String>>,
    purposes: Option<Vec<String>>,
    content_type: Option<String>,
    /// Settings over those of the manifest.
    pub settings: Map<String, Value>,
}

impl Setting {
    /// Gives `ask` the context that a gateway would make for a hook.
    pub fn with_context<T>(&self, hook: Hook, ask: impl FnOnce(&Context<'_>) -> T) -> T {
        let words =
            |given: &Option<Vec<String>>, own: &str| given.clone().unwrap_or_else(|| vec![own.to_owned()]);
        let (roles, purposes) = (words(&self.roles, "AAS"), words(&self.purposes, "TREAT"));
        let roles: Vec<&str> = roles.iter().map(String::as_str).collect();
        let purposes: Vec<&str> = purposes.iter().map(String::as_str).collect();
        let interaction = if hook == Hook::Request { "create" } else { "read" };
        ask(&Context {
            interaction: self.interaction.as_deref().unwrap_or(interaction),
            resource_type: self.resource_type.as_deref(),
            route: self.route.as_deref().unwrap_or("test"),
            roles: &roles,
            purposes: &purposes,
            content_type: self.content_type.as_deref().unwrap_or("application/fhir+json"),
            traceparent: None,
        })
    }
}

impl Fixture {
    /// The fixtures of a folder by name; none where the folder isn't there.
    ///
    /// # Errors
    ///
    /// The file that can't be read, or says what it can't mean.
    pub fn read_all(folder: &Path, manifest: &Manifest) -> Result<Vec<Self>> {
        let files = json_files(folder)?;
        let names = files.iter().filter_map(|path| path.file_name()?.to_str()?.strip_suffix(".in.json"));
        names.map(|name| Self::read(folder, name, manifest)).collect()
    }

    fn read(folder: &Path, name: &str, manifest: &Manifest) -> Result<Self> {
        let file = |suffix: &str| folder.join(format!("{name}.{suffix}.json"));
        let text = |suffix: &str| -> Result<Option<String>> {
            let path = file(suffix);
            if !path.is_file() {
                return Ok(None);
            }
            let text =
                fs::read_to_string(&path).with_context(|| format!("{} can't be read", path.display()))?;
            Ok(Some(text))
        };
        let body = fs::read(file("in")).with_context(|| format!("{} can't be read", file("in").display()))?;
        let mut setting: Setting = match text("context")? {
            Some(text) => serde_json::from_str(&text).map_err(|fault| {
                anyhow!("{}: {fault}; see `varco plugin test --help`", file("context").display())
            })?,
            None => Setting::default(),
        };
        let resource_type =
            || serde_json::from_slice::<Value>(&body).ok()?.get("resourceType")?.as_str().map(str::to_owned);
        setting.resource_type = setting.resource_type.or_else(resource_type);
        let hook = match (setting.hook, manifest.hooks()) {
            (Some(hook), own) if own.contains(&hook) => hook,
            (Some(hook), _) => bail!("{}: the manifest has no hook {hook}", file("context").display()),
            (None, [only]) => *only,
            (None, _) => bail!(
                "the plugin has several hooks: say in {} which one the fixture is for, as {{\"hook\": \"request\"}}",
                file("context").display()
            ),
        };
        let wanted = match (text("out")?, text("refused")?) {
            (Some(_), Some(_)) => bail!(
                "{} and {} contradict each other; remove one",
                file("out").display(),
                file("refused").display()
            ),
            (Some(out), None) => Some(Wanted::Body(laid_out(&out))),
            (None, Some(refused)) => Some(Wanted::Refused(
                serde_json::from_str(&refused)
                    .map_err(|fault| anyhow!("{}: {fault}", file("refused").display()))?,
            )),
            (None, None) => None,
        };
        Ok(Self { name: name.to_owned(), hook, setting, body, wanted, folder: folder.to_owned() })
    }

    /// Makes what came the golden result.
    ///
    /// # Errors
    ///
    /// Where the files can't be written.
    pub fn bless(&self, got: &Wanted) -> Result<()> {
        let file = |suffix: &str| self.folder.join(format!("{}.{suffix}.json", self.name));
        let (keep, drop, text) = match got {
            Wanted::Body(body) => (file("out"), file("refused"), body.clone()),
            Wanted::Refused(refused) => {
                (file("refused"), file("out"), format!("{}\n", serde_json::to_string_pretty(refused)?))
            }
        };
        if drop.is_file() {
            fs::remove_file(&drop).with_context(|| format!("{} can't be removed", drop.display()))?;
        }
        fs::write(&keep, text).with_context(|| format!("{} can't be written", keep.display()))
    }
}
