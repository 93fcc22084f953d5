//! Files that a configuration names: which they are, what they hold, and whether they have changed.
//!
//! A folder gives its own files with the endings that are wanted. What stands in files and counts at once when they change,
//! such as maps and policies, is [`Watched`].

mod watch;

use std::path::{Path, PathBuf};
use std::time::SystemTime;

pub(crate) use watch::{Watched, watch};

/// Most files.
const MOST_FILES: usize = 1_000;
/// Most bytes of all files together.
const MOST_BYTES: u64 = 64 << 20;

/// Which files of a folder are meant, and what they are called.
pub(crate) struct Wanted {
    /// One of them: `map`.
    pub name: &'static str,
    /// Their endings, without the dot.
    pub endings: &'static [&'static str],
}

/// Files as they were seen: name, size, time of the last change.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub(crate) struct Fingerprint(Vec<(PathBuf, u64, Option<SystemTime>)>);

/// One file of a configured path.
pub(crate) struct FileText {
    /// The number of the configured path.
    pub path: usize,
    pub file: PathBuf,
    pub text: Vec<u8>,
}

/// A configured path that can't be read, and why.
pub(crate) type Unreadable = (usize, String);

/// The files as they are now. A path that can't be read counts as having none: reading it says why.
pub(crate) fn fingerprint(wanted: &Wanted, paths: &[PathBuf]) -> Fingerprint {
    let files = paths.iter().filter_map(|path| list(wanted, path).ok()).flatten();
    let seen = files.map(|file| {
        let about = std::fs::metadata(&file).ok();
        let size = about.as_ref().map_or(0, std::fs::Metadata::len);
        (file, size, about.and_then(|about| about.modified().ok()))
    });
    Fingerprint(seen.collect())
}

/// Reads all files, in the order of the paths and of their names.
pub(crate) fn read(wanted: &Wanted, paths: &[PathBuf]) -> Result<Vec<FileText>, Vec<Unreadable>> {
    let (mut texts, mut faults, mut room) = (Vec::new(), Vec::new(), MOST_BYTES);
    for (at, path) in paths.iter().enumerate() {
        let files = match list(wanted, path) {
            Ok(files) if files.is_empty() => {
                let endings = wanted.endings.join(", .");
                let why = format!("the folder {} holds no {} (.{endings})", path.display(), wanted.name);
                faults.push((at, why));
                continue;
            }
            Ok(files) => files,
            Err(why) => {
                faults.push((at, format!("{} can't be read: {why}", path.display())));
                continue;
            }
        };
        for file in files {
            let size = std::fs::metadata(&file).map_or(0, |about| about.len());
            let Some(left) = room.checked_sub(size).filter(|_| texts.len() < MOST_FILES) else {
                let why = format!("there are more than {MOST_FILES} files, or {MOST_BYTES} bytes");
                faults.push((at, why));
                return Err(faults);
            };
            room = left;
            match std::fs::read(&file) {
                Ok(text) => texts.push(FileText { path: at, file, text }),
                Err(error) => faults.push((at, format!("{} can't be read: {error}", file.display()))),
            }
        }
    }
    if faults.is_empty() { Ok(texts) } else { Err(faults) }
}

fn list(wanted: &Wanted, path: &Path) -> std::io::Result<Vec<PathBuf>> {
    if !std::fs::metadata(path)?.is_dir() {
        return Ok(vec![path.to_owned()]);
    }
    let mut files = Vec::new();
    for entry in std::fs::read_dir(path)? {
        let file = entry?.path();
        let ends = |end: &str| file.extension().is_some_and(|own| own.eq_ignore_ascii_case(end));
        if file.is_file() && wanted.endings.iter().any(|end| ends(end)) {
            files.push(file);
        }
    }
    files.sort();
    Ok(files)
}
