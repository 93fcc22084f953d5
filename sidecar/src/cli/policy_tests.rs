//! `varco check --policy-tests`: carries out tests of the policies that a configuration names.

use std::collections::BTreeSet;
use std::path::{Path, PathBuf};
use std::process::ExitCode;

use jiff::tz::TimeZone;
use varco::config::Config;
use varco::policy::{TestBench, TestFile, load};
use varco_core::consent::Reading;

use super::say;

/// Most files of tests.
const MOST_FILES: usize = 1_000;

/// Carries out the tests of a file, or of a folder's files; fails where one does not come out as expected.
pub fn run(config: &Config, path: &Path) -> ExitCode {
    let Some(settings) = &config.policy else {
        return say::failed("the configuration names no policies: add [policy] with `files`");
    };
    let policies = match load(settings) {
        Ok(files) => files.policies,
        Err(error) => return say::failed(error),
    };
    let files = match files(path) {
        Ok(files) => files,
        Err(cause) => return say::failed(cause),
    };
    let reading = Reading {
        zone: TimeZone::get(&config.consent.time_zone).unwrap_or(TimeZone::UTC),
        bases: vec![config.site.base().to_owned(), config.upstream.url.trim_end_matches('/').to_owned()],
    };
    let bench = TestBench::new(policies, &config.site.id, reading);
    let mut heard: BTreeSet<String> = BTreeSet::new();
    let (mut as_expected, mut others, mut faulty) = (0_usize, 0_usize, 0_usize);
    for file in &files {
        let name = file.display();
        match TestFile::read(file).and_then(|tests| tests.run(&bench).map_err(|cause| vec![cause])) {
            Ok(results) => {
                for result in results {
                    heard.extend(result.by);
                    match result.differs {
                        None => as_expected += 1,
                        Some(differs) => {
                            others += 1;
                            say::line(format!("{name}: {}: {differs}", result.name));
                        }
                    }
                }
            }
            Err(faults) => {
                faulty += 1;
                faults.into_iter().for_each(|fault| say::note(format!("{name}: {fault}")));
            }
        }
    }
    let unheard: Vec<&str> = bench
        .policies
        .policies()
        .map(|policy| policy.name.as_str())
        .filter(|name| !heard.contains(*name))
        .collect();
    if !unheard.is_empty() {
        say::line(format!("Policies that decide no test: {}", unheard.join(", ")));
    }
    let total = as_expected + others;
    let unusable = if faulty == 0 { String::new() } else { format!("; {faulty} files can't be used") };
    say::line(format!(
        "{total} tests of policies in {} files: {as_expected} as expected, {others} not{unusable}.",
        files.len()
    ));
    if others == 0 && faulty == 0 && total > 0 { ExitCode::SUCCESS } else { ExitCode::FAILURE }
}

/// The files of tests: one, or those of a folder in YAML or TOML.
fn files(path: &Path) -> Result<Vec<PathBuf>, String> {
    let failed = |error: std::io::Error| format!("{} can't be read: {error}", path.display());
    if !std::fs::metadata(path).map_err(failed)?.is_dir() {
        return Ok(vec![path.to_owned()]);
    }
    let mut files = Vec::new();
    for entry in std::fs::read_dir(path).map_err(failed)? {
        let file = entry.map_err(failed)?.path();
        let ends = file
            .extension()
            .and_then(|end| end.to_str())
            .is_some_and(|end| ["yaml", "yml", "toml"].contains(&end));
        if ends && file.is_file() {
            files.push(file);
        }
    }
    files.sort();
    match files.len() {
        0 => Err(format!("{} holds no tests (.yaml, .yml or .toml)", path.display())),
        count if count > MOST_FILES => Err(format!("{} holds more than {MOST_FILES} files", path.display())),
        _ => Ok(files),
    }
}
