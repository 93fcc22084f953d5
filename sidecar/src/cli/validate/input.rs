//! The inputs of `varco validate`: files, folders, standard input; one resource each, or NDJSON.
//!
//! NDJSON is told by its name (`.ndjson`, `.jsonl`) or by its content: a first line that is a whole JSON
//! value, and another line after it. It is read line by line, so that memory is bounded by the longest line
//! and not by the file.

use std::ffi::OsString;
use std::fs::File;
use std::io::{self, BufRead, BufReader, Read};
use std::path::{Path, PathBuf};
use std::sync::Arc;

use anyhow::{Context, Result, bail};
use fhir_models::document::{Limits, Tape};

use super::excerpt::visible;

const BYTE_ORDER_MARK: &[u8] = b"\xEF\xBB\xBF";

/// Deepest folder that is searched.
const DEEPEST: usize = 32;

/// One input.
#[derive(Debug)]
pub(super) struct Input {
    /// `None`: standard input.
    path: Option<PathBuf>,
    name: Arc<str>,
    length: u64,
}

/// What the arguments come to.
#[derive(Debug, Default)]
pub(super) struct Gathered {
    pub inputs: Vec<Input>,
    /// What lies in the folders and can't be read: name and cause.
    pub unreadable: Vec<(Arc<str>, String)>,
}

/// Files that a folder is searched for, by the end of their names.
const SEARCHED: &[&str] = &["json", "ndjson", "jsonl", "xml"];

/// One resource of an input.
#[derive(Debug)]
pub(super) struct Record<'a> {
    pub text: &'a [u8],
    /// Lines of the input before it.
    pub line: usize,
    /// The input is NDJSON.
    pub of_many: bool,
    /// A byte-order mark stood before it.
    pub byte_order_mark: bool,
    /// Bytes taken from the input for it.
    pub read: usize,
}

/// The inputs that the arguments name, folders searched.
pub(super) fn gather(arguments: &[OsString]) -> Result<Gathered> {
    let mut gathered = Gathered::default();
    for argument in arguments {
        if argument == "-" {
            let name = Arc::from("standard input");
            gathered.inputs.push(Input { path: None, name, length: 0 });
            continue;
        }
        let path = Path::new(argument);
        let about = std::fs::metadata(path).with_context(|| format!("{} can't be read", name_of(path)))?;
        if !about.is_dir() {
            gathered.inputs.push(Input::file(path.to_owned(), about.len()));
            continue;
        }
        let before = gathered.inputs.len() + gathered.unreadable.len();
        gathered.search(path, 0);
        if gathered.inputs.len() + gathered.unreadable.len() == before {
            bail!(
                "the folder {} holds no resource: it and its subfolders were searched for .json, .ndjson, \
                 .jsonl and .xml files; a file of another name can be given by itself",
                name_of(path)
            );
        }
    }
    Ok(gathered)
}

/// A path as people are told it.
fn name_of(path: &Path) -> String {
    visible(&path.display().to_string()).into_owned()
}

impl Gathered {
    /// Adds the files of a folder, in the order of their names. What can't be read is noted: the rest still counts.
    fn search(&mut self, folder: &Path, depth: usize) {
        if depth > DEEPEST {
            return self.note(folder, &format!("it lies more than {DEEPEST} folders deep"));
        }
        let entries = match std::fs::read_dir(folder) {
            Ok(entries) => entries,
            Err(cause) => return self.note(folder, &cause.to_string()),
        };
        let mut paths = Vec::new();
        for entry in entries {
            match entry {
                Ok(entry) => paths.push(entry.path()),
                Err(cause) => self.note(folder, &cause.to_string()),
            }
        }
        paths.sort();
        for path in paths {
            // A linked folder could lead round in a circle; a linked file can't.
            let is_folder = std::fs::symlink_metadata(&path).is_ok_and(|about| about.is_dir());
            if is_folder {
                self.search(&path, depth + 1);
            } else if has_extension(&path, SEARCHED) {
                match std::fs::metadata(&path) {
                    Ok(about) if about.is_file() => self.inputs.push(Input::file(path, about.len())),
                    Ok(_) => {}
                    Err(cause) => self.note(&path, &cause.to_string()),
                }
            }
        }
    }

    fn note(&mut self, path: &Path, cause: &str) {
        self.unreadable.push((name_of(path).into(), cause.to_owned()));
    }
}

fn has_extension(path: &Path, extensions: &[&str]) -> bool {
    path.extension().is_some_and(|own| extensions.iter().any(|other| own.eq_ignore_ascii_case(other)))
}

impl Input {
    fn file(path: PathBuf, length: u64) -> Input {
        Input { name: name_of(&path).into(), path: Some(path), length }
    }

    /// As people are told it.
    pub fn name(&self) -> &Arc<str> {
        &self.name
    }

    /// Length in bytes where it is known before reading.
    pub fn length(&self) -> u64 {
        self.length
    }

    /// Reads the input and hands over its resources, one after another.
    pub fn read(&self, limits: &Limits, each: &mut dyn FnMut(Record<'_>)) -> Result<()> {
        match &self.path {
            None => read(io::stdin().lock(), false, limits, each),
            Some(path) => {
                let lines = has_extension(path, &["ndjson", "jsonl"]);
                let file = File::open(path).context("the file can't be opened")?;
                read(BufReader::with_capacity(1 << 16, file), lines, limits, each)
            }
        }
    }
}

fn read(
    mut reader: impl BufRead,
    mut lines: bool,
    limits: &Limits,
    each: &mut dyn FnMut(Record<'_>),
) -> Result<()> {
    let mut text = Vec::new();
    let mut read = next_line(&mut reader, limits.bytes, &mut text)?;
    let byte_order_mark = text.starts_with(BYTE_ORDER_MARK);
    if byte_order_mark {
        text.drain(..BYTE_ORDER_MARK.len());
    }
    let mut skipped = 0;
    match text.trim_ascii_start().first() {
        Some(b'<') => lines = false,
        _ if lines => {}
        _ if is_whole(&text, limits) => {
            if let Some(blank) = lines_before_more(&mut reader)? {
                (lines, skipped) = (true, blank);
            }
        }
        _ => {}
    }
    if !lines {
        let room = limits.bytes.saturating_sub(text.len()).saturating_add(1);
        read += reader.take(room as u64).read_to_end(&mut text).context("reading failed")?;
        each(Record { text: without_line_end(&text), line: 0, of_many: false, byte_order_mark, read });
        return Ok(());
    }
    let (mut line, mut byte_order_mark) = (0, byte_order_mark);
    while read > 0 {
        if !text.trim_ascii().is_empty() {
            each(Record { text: without_line_end(&text), line, of_many: true, byte_order_mark, read });
            byte_order_mark = false;
        }
        line += 1 + std::mem::take(&mut skipped);
        text.clear();
        read = next_line(&mut reader, limits.bytes, &mut text)?;
    }
    Ok(())
}

/// What ends too early ends on its own last line, not on an empty one after it.
fn without_line_end(mut text: &[u8]) -> &[u8] {
    while let [rest @ .., b'\n' | b'\r'] = text {
        text = rest;
    }
    text
}

/// True where a text is a JSON document of its own.
fn is_whole(text: &[u8], limits: &Limits) -> bool {
    Tape::new().parse_json(text, limits).is_ok()
}

/// Skips white space. The number of lines skipped, or `None` where nothing else follows.
fn lines_before_more(reader: &mut impl BufRead) -> Result<Option<usize>> {
    let mut lines = 0;
    loop {
        let seen = reader.fill_buf().context("reading failed")?;
        if seen.is_empty() {
            return Ok(None);
        }
        let blank = seen.iter().take_while(|byte| byte.is_ascii_whitespace()).count();
        lines += seen.iter().take(blank).filter(|&&byte| byte == b'\n').count();
        let more = blank < seen.len();
        reader.consume(blank);
        if more {
            return Ok(Some(lines));
        }
    }
}

/// Appends the next line, its end included, and gives the number of bytes taken; 0 at the end of the input.
/// Of a line longer than `longest`, no more than that and one byte is kept, so that parsing it says so.
fn next_line(reader: &mut impl BufRead, longest: usize, text: &mut Vec<u8>) -> Result<usize> {
    let mut taken = 0;
    loop {
        let seen = reader.fill_buf().context("reading failed")?;
        if seen.is_empty() {
            return Ok(taken);
        }
        let end = seen.iter().position(|&byte| byte == b'\n');
        let used = end.map_or(seen.len(), |at| at + 1);
        let room = longest.saturating_add(1).saturating_sub(text.len());
        text.extend(seen.iter().take(used.min(room)));
        reader.consume(used);
        taken += used;
        if end.is_some() {
            return Ok(taken);
        }
    }
}

#[cfg(test)]
#[allow(clippy::unwrap_used)]
mod tests {
    use super::*;

    fn records(text: &str, lines: bool) -> Vec<(String, usize, bool)> {
        let mut found = Vec::new();
        read(text.as_bytes(), lines, &Limits::default(), &mut |record| {
            found.push((
                String::from_utf8(record.text.to_vec()).unwrap().trim().to_owned(),
                record.line,
                record.byte_order_mark,
            ));
        })
        .unwrap();
        found
    }

    fn record(text: &str, line: usize) -> (String, usize, bool) {
        (text.to_owned(), line, false)
    }

    #[test]
    fn one_document_stays_one() {
        assert_eq!(records("{}\r\n\r\n", false), [record("{}", 0)]);
        assert_eq!(records("{\n\"a\":1}\n", false), [record("{\n\"a\":1}", 0)]);
        assert_eq!(records("", false), [record("", 0)]);
    }

    #[test]
    fn lines_of_documents_are_told_by_their_content() {
        assert_eq!(
            records("{}\n\n \n{\"a\":1}\r\n\n{}", false),
            [record("{}", 0), record("{\"a\":1}", 3), record("{}", 5)]
        );
        assert_eq!(records("{broken\n{}", true), [record("{broken", 0), record("{}", 1)]);
    }

    #[test]
    fn a_byte_order_mark_is_noted_once() {
        assert_eq!(records("\u{feff}{}\n{}\n", false), [("{}".to_owned(), 0, true), record("{}", 1)]);
    }

    #[test]
    fn a_folder_gives_its_resources_and_what_can_not_be_read() {
        let folder = tempfile::tempdir().unwrap();
        let path = folder.path();
        std::fs::create_dir(path.join("città")).unwrap();
        for name in ["b.JSON", "a.ndjson", "città/perché.xml", "città/note.txt", "readme.md"] {
            std::fs::write(path.join(name), "{}").unwrap();
        }
        let gathered = gather(&[path.as_os_str().to_owned()]).unwrap();
        let own = format!("{}/", path.display());
        let names: Vec<_> = gathered.inputs.iter().map(|it| it.name().strip_prefix(&own).unwrap()).collect();
        assert_eq!(names, ["a.ndjson", "b.JSON", "città/perché.xml"]);
        #[cfg(unix)]
        {
            std::os::unix::fs::symlink(path.join("gone.json"), path.join("z.json")).unwrap();
            std::os::unix::fs::symlink(path, path.join("città/round")).unwrap();
            let gathered = gather(&[path.as_os_str().to_owned()]).unwrap();
            assert_eq!((gathered.inputs.len(), gathered.unreadable.len()), (3, 1));
        }
        let empty = tempfile::tempdir().unwrap();
        let error = gather(&[empty.path().as_os_str().to_owned()]).unwrap_err().to_string();
        assert!(error.contains("holds no resource"), "{error}");
    }

    #[test]
    fn xml_is_one_document() {
        assert_eq!(records("  <Patient>\n</Patient>", false), [record("<Patient>\n</Patient>", 0)]);
    }

    #[test]
    fn a_line_beyond_the_limit_is_cut_and_the_next_one_whole() {
        let limits = Limits { bytes: 8, ..Limits::default() };
        let mut lengths = Vec::new();
        let text = "[1,2,3,4,5,6,7,8,9,10]\n[1]\n";
        read(text.as_bytes(), true, &limits, &mut |record| lengths.push((record.text.len(), record.read)))
            .unwrap();
        assert_eq!(lengths, [(9, 23), (3, 4)]);
    }
}
