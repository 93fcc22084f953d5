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
}

/// Reads `id,level,text,source` rows below a header row. The error names a line.
pub(super) fn parse(text: &str) -> Result<Vec<Requirement>, (u64, String)> {
    let mut found: Vec<Requirement> = Vec::new();
    for (number, (line, row)) in rows(text)?.into_iter().enumerate() {
        let [id, level, text, source] = row.as_slice() else {
            return Err((line, "a row has four fields: id, level, text, source".to_owned()));
        };
        if number == 0 {
            if [id, level, text, source] != ["id", "level", "text", "source"] {
                return Err((line, "the first row is id,level,text,source".to_owned()));
            }
            continue;
        }
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
        found.push(Requirement { id: id.clone(), level, text: text.clone(), source: source.clone() });
    }
    Ok(found)
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

    proptest! {
        #[test]
        fn any_text_is_read_or_refused(text in "[a,\"\\r\\n]{0,30}") {
            let _ = parse(&text);
        }
    }
}
