//! Requirements: the sentences of a specification that tests verify, kept in a CSV file (RFC 4180).

/// How strongly a specification demands something (RFC 2119).
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Level {
    /// SHALL or MUST.
    Shall,
    /// SHOULD.
    Should,
}

impl Level {
    /// The word.
    pub fn word(self) -> &'static str {
        match self {
            Level::Shall => "SHALL",
            Level::Should => "SHOULD",
        }
    }
}

/// How far a suite can show a requirement.
#[derive(Debug, Clone, Copy, PartialEq, Eq, serde::Serialize)]
#[serde(rename_all = "kebab-case")]
pub enum Extent {
    /// Whole.
    Tested,
    /// In part; the note says what is left.
    Partly,
    /// Not at all as yet; the note says why.
    NotTestable,
}

impl Extent {
    /// The word, as it stands in a CSV file.
    pub fn word(self) -> &'static str {
        match self {
            Extent::Tested => "tested",
            Extent::Partly => "partly",
            Extent::NotTestable => "not-testable",
        }
    }
}

/// One requirement.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Requirement {
    /// Its id.
    pub id: String,
    /// How strongly it is demanded.
    pub level: Level,
    /// What is demanded, in our words.
    pub text: String,
    /// The section of the specification.
    pub source: String,
    /// How far it is shown.
    pub extent: Extent,
    /// The tests that show it, where the file names them: ids of the suite's tests, and `file::function` of others.
    pub tests: Vec<String>,
    /// What is not shown, and why; empty where all is.
    pub note: String,
}

impl Requirement {
    /// The tests outside the suite that show it.
    pub fn elsewhere(&self) -> impl Iterator<Item = &str> {
        self.tests.iter().map(String::as_str).filter(|test| test.contains("::"))
    }
}

const COLUMNS: [&str; 7] = ["id", "level", "text", "source", "extent", "tests", "note"];

/// Reads `id,level,text,source` rows below a header row, with `extent,tests,note` after them where the header has
/// these too. The error names a line.
pub(super) fn parse(text: &str) -> Result<Vec<Requirement>, (u64, String)> {
    let mut found: Vec<Requirement> = Vec::new();
    let mut columns = 4;
    for (number, (line, row)) in rows(text)?.into_iter().enumerate() {
        if number == 0 {
            columns = row.len();
            if !matches!(columns, 4 | 7) || row.iter().zip(COLUMNS).any(|(own, name)| own != name) {
                let text = "the first row is id,level,text,source, or that and extent,tests,note";
                return Err((line, text.to_owned()));
            }
            continue;
        }
        let (true, [id, level, text, source, rest @ ..]) = (row.len() == columns, row.as_slice()) else {
            return Err((line, format!("a row has {columns} fields, as the first row has")));
        };
        let level = match level.as_str() {
            "SHALL" => Level::Shall,
            "SHOULD" => Level::Should,
            _ => return Err((line, "the level is SHALL or SHOULD".to_owned())),
        };
        if id.is_empty() || text.is_empty() || source.is_empty() {
            return Err((line, "no field may be empty".to_owned()));
        }
        if found.iter().any(|other| other.id == *id) {
            return Err((line, format!("the requirement {id} stands in the file twice")));
        }
        let (extent, tests, note) = shown(rest).map_err(|fault| (line, fault))?;
        let (id, text, source) = (id.clone(), text.clone(), source.clone());
        found.push(Requirement { id, level, text, source, extent, tests, note });
    }
    Ok(found)
}

/// Extent, tests and note of a row; a row without them is tested whole.
fn shown(fields: &[String]) -> Result<(Extent, Vec<String>, String), String> {
    let [extent, tests, note] = fields else { return Ok((Extent::Tested, Vec::new(), String::new())) };
    let extent = [Extent::Tested, Extent::Partly, Extent::NotTestable]
        .into_iter()
        .find(|own| own.word() == extent)
        .ok_or("the extent is tested, partly or not-testable")?;
    let tests: Vec<String> = tests.split_whitespace().map(str::to_owned).collect();
    if (extent == Extent::NotTestable) != tests.is_empty() {
        return Err("a requirement names its tests, or is not-testable and names none".to_owned());
    }
    if (extent == Extent::Tested) != note.is_empty() {
        return Err(
            "a note says what is not tested and why, and stands only where something is not".to_owned()
        );
    }
    Ok((extent, tests, note.clone()))
}

/// The rows with the line each begins on.
#[allow(clippy::type_complexity)]
fn rows(text: &str) -> Result<Vec<(u64, Vec<String>)>, (u64, String)> {
    let (mut rows, mut row, mut field) = (Vec::new(), Vec::new(), String::new());
    let (mut line, mut begun, mut quoted, mut closed) = (1, 1, false, false);
    let mut letters = text.chars().peekable();
    while let Some(letter) = letters.next() {
        match letter {
            '"' if quoted && letters.peek() == Some(&'"') => {
                letters.next();
                field.push('"');
            }
            '"' if quoted => (quoted, closed) = (false, true),
            '"' if field.is_empty() && !closed => quoted = true,
            '\n' | '\r' | ',' if quoted => field.push(letter),
            ',' => {
                row.push(std::mem::take(&mut field));
                closed = false;
            }
            '\r' => {}
            '\n' => {
                row.push(std::mem::take(&mut field));
                closed = false;
                let finished = std::mem::take(&mut row);
                if finished.len() > 1 || finished.first().is_some_and(|only| !only.is_empty()) {
                    rows.push((begun, finished));
                }
                begun = line + 1;
            }
            _ if closed => return Err((line, "text follows a closing quote".to_owned())),
            _ => field.push(letter),
        }
        if letter == '\n' {
            line += 1;
        }
    }
    if quoted {
        return Err((begun, "a quote is not closed".to_owned()));
    }
    if !field.is_empty() || !row.is_empty() {
        row.push(field);
        rows.push((begun, row));
    }
    Ok(rows)
}

#[cfg(test)]
#[allow(clippy::unwrap_used)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    #[test]
    fn rows_may_be_quoted() {
        let text =
            "id,level,text,source\r\nR1,SHALL,\"Return \"\"200\"\", or\nelse\",§1\n\nR2,SHOULD,Be kind,§2";
        let found = parse(text).unwrap();
        assert_eq!(found.len(), 2);
        assert_eq!(found[0].text, "Return \"200\", or\nelse");
        assert_eq!((found[1].level, found[1].source.as_str()), (Level::Should, "§2"));
    }

    #[test]
    fn faults_name_their_line() {
        let head = "id,level,text,source\n";
        for (rows, line) in [
            ("R1,SHALL,x\n", 2),
            ("R1,MAY,x,y", 2),
            ("R1,SHALL,x,y\nR1,SHALL,x,y", 3),
            ("R1,SHALL,\"x,y", 2),
            ("R1,SHALL,,y", 2),
        ] {
            assert_eq!(parse(&format!("{head}{rows}")).unwrap_err().0, line, "{rows}");
        }
        assert_eq!(parse("R1,SHALL,x,y").unwrap_err().0, 1);
    }

    #[test]
    fn a_row_says_how_far_it_is_shown() {
        let head = "id,level,text,source,extent,tests,note\n";
        let found = parse(&format!(
            "{head}R1,SHALL,x,y,partly,one tests/a.rs::two,no peer\nR2,SHALL,x,y,not-testable,,not built\n"
        ));
        let found = found.unwrap();
        assert_eq!(
            (found[0].extent, found[0].elsewhere().collect::<Vec<_>>()),
            (Extent::Partly, vec!["tests/a.rs::two"])
        );
        assert_eq!((found[1].extent, found[1].note.as_str()), (Extent::NotTestable, "not built"));
        for row in [
            "R1,SHALL,x,y",
            "R1,SHALL,x,y,passed,one,",
            "R1,SHALL,x,y,tested,,",
            "R1,SHALL,x,y,tested,one,but",
            "R1,SHALL,x,y,partly,one,",
            "R1,SHALL,x,y,not-testable,one,why",
            "R1,SHALL,x,y,not-testable,,",
        ] {
            assert_eq!(parse(&format!("{head}{row}\n")).unwrap_err().0, 2, "{row}");
        }
    }

    proptest! {
        #[test]
        fn any_text_is_read_or_refused(text in "[a,\"\\r\\n]{0,30}") {
            let _ = parse(&text);
        }
    }
}
