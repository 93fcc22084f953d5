//! The files that hold a site's maps: which they are, what they hold, and whether they have changed.
//!
//! A folder gives its own files that end in `.fml`, `.map`, `.json` or `.xml`. Text is a map of the Mapping Language; JSON
//! and XML hold a `StructureMap`, or a definition that maps need, such as a `ConceptMap` or a logical model.

use std::path::{Path, PathBuf};
use std::time::SystemTime;

/// Most files.
const MOST_FILES: usize = 1_000;
/// Most bytes of all files together.
const MOST_BYTES: u64 = 64 << 20;

/// Files as they were seen: name, size, time of the last change.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub(super) struct Fingerprint(Vec<(PathBuf, u64, Option<SystemTime>)>);

/// One file of a configured path.
pub(super) struct MapText {
    /// The number of the configured path.
    pub path: usize,
    pub file: PathBuf,
    pub text: Vec<u8>,
}

/// A configured path that can't be read, and why.
pub(super) type Unreadable = (usize, String);

/// The files as they are now. A path that can't be read counts as having none: reading it says why.
pub(super) fn fingerprint(paths: &[PathBuf]) -> Fingerprint {
    let files = paths.iter().filter_map(|path| list(path).ok()).flatten();
    let seen = files.map(|file| {
        let about = std::fs::metadata(&file).ok();
        let size = about.as_ref().map_or(0, std::fs::Metadata::len);
        (file, size, about.and_then(|about| about.modified().ok()))
    });
    Fingerprint(seen.collect())
}

/// Reads all files, in the order of the paths and of their names.
pub(super) fn read(paths: &[PathBuf]) -> Result<Vec<MapText>, Vec<Unreadable>> {
    let (mut texts, mut faults, mut room) = (Vec::new(), Vec::new(), MOST_BYTES);
    for (at, path) in paths.iter().enumerate() {
        let files = match list(path) {
            Ok(files) if files.is_empty() => {
                let why = format!("the folder {} holds no map (.fml, .map, .json or .xml)", path.display());
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
                let why = format!("there are more than {MOST_FILES} files of maps, or {MOST_BYTES} bytes");
                faults.push((at, why));
                return Err(faults);
            };
            room = left;
            match std::fs::read(&file) {
                Ok(text) => texts.push(MapText { path: at, file, text }),
                Err(error) => faults.push((at, format!("{} can't be read: {error}", file.display()))),
            }
        }
    }
    if faults.is_empty() { Ok(texts) } else { Err(faults) }
}

fn list(path: &Path) -> std::io::Result<Vec<PathBuf>> {
    if !std::fs::metadata(path)?.is_dir() {
        return Ok(vec![path.to_owned()]);
    }
    let mut files = Vec::new();
    for entry in std::fs::read_dir(path)? {
        let file = entry?.path();
        let ends = |end: &str| file.extension().is_some_and(|own| own.eq_ignore_ascii_case(end));
        if file.is_file() && ["fml", "map", "json", "xml"].into_iter().any(ends) {
            files.push(file);
        }
    }
    files.sort();
    Ok(files)
}
