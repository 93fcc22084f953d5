//! Dates read by a template such as `dd-MM-yyyy HH:mm` (FHIRPath §Date/DateTime String Format Codes).
//!
//! Supported: `yyyy`, `yy` (00–49 is 20xx), `M`, `MM`, `d`, `dd`, `H`, `HH`, `h`, `hh`, `m`, `mm`, `s`, `ss`,
//! `S…`, `a` and `Z`. Names of months and zones depend on a language and are not read. Other characters
//! stand for themselves.

use super::temporal::Temporal;

/// Reads a date, or a date with time, by a template; `None` where they do not fit each other.
pub(super) fn read(text: &str, format: &str) -> Option<Temporal> {
    let mut parts = Parts::default();
    let mut rest = text;
    let mut codes = format;
    while let Some(code) = codes.chars().next() {
        let run = codes.chars().take_while(|it| *it == code).count();
        let used = run * code.len_utf8();
        rest = match code {
            'y' | 'M' | 'd' | 'H' | 'h' | 'm' | 's' | 'S' | 'a' | 'Z' => parts.read(rest, code, run)?,
            literal => (0..run).try_fold(rest, |rest, _| rest.strip_prefix(literal))?,
        };
        codes = codes.get(used..)?;
    }
    if rest.is_empty() { parts.into_temporal() } else { None }
}

#[derive(Default)]
struct Parts<'t> {
    year: Option<u32>,
    month: Option<u32>,
    day: Option<u32>,
    hour: Option<u32>,
    half: Option<bool>,
    minute: Option<u32>,
    second: Option<u32>,
    fraction: Option<&'t str>,
    zone: Option<String>,
}

impl<'t> Parts<'t> {
    fn read(&mut self, text: &'t str, code: char, run: usize) -> Option<&'t str> {
        match code {
            'a' => {
                let letters = text.bytes().take_while(u8::is_ascii_alphabetic).count().min(2);
                let (word, rest) = text.split_at_checked(letters)?;
                self.half = Some(match word.to_ascii_lowercase().as_str() {
                    "a" | "am" => false,
                    "p" | "pm" => true,
                    _ => return None,
                });
                return Some(rest);
            }
            'Z' => return self.zone(text),
            'S' => {
                let (digits, rest) = text.split_at_checked(run)?;
                self.fraction = digits.bytes().all(|byte| byte.is_ascii_digit()).then_some(digits);
                return self.fraction.map(|_| rest);
            }
            _ => {}
        }
        let most = if run == 1 { 2 } else { run };
        let found = text.bytes().take(most).take_while(u8::is_ascii_digit).count();
        if found == 0 || (run > 1 && found < run) {
            return None;
        }
        let (digits, rest) = text.split_at_checked(found)?;
        let value: u32 = digits.parse().ok()?;
        let slot = match (code, run) {
            ('y', 4) => &mut self.year,
            ('y', 2) => {
                self.year = Some(if value < 50 { 2000 + value } else { 1900 + value });
                return Some(rest);
            }
            ('M', 1 | 2) => &mut self.month,
            ('d', 1 | 2) => &mut self.day,
            ('H' | 'h', 1 | 2) => &mut self.hour,
            ('m', 1 | 2) => &mut self.minute,
            ('s', 1 | 2) => &mut self.second,
            _ => return None,
        };
        *slot = Some(value);
        Some(rest)
    }

    fn zone(&mut self, text: &'t str) -> Option<&'t str> {
        if let Some(rest) = text.strip_prefix('Z') {
            self.zone = Some("Z".to_owned());
            return Some(rest);
        }
        let sign = text.get(..1).filter(|it| matches!(*it, "+" | "-"))?;
        let (hours, rest) = text.get(1..)?.split_at_checked(2)?;
        let rest = rest.strip_prefix(':').unwrap_or(rest);
        let (minutes, rest) = rest.split_at_checked(2)?;
        self.zone = Some(format!("{sign}{hours}:{minutes}"));
        Some(rest)
    }

    fn into_temporal(self) -> Option<Temporal> {
        let mut text = format!("{:04}", self.year?);
        for part in [self.month, self.day].into_iter().map_while(|it| it) {
            text.push_str(&format!("-{part:02}"));
        }
        if let Some(hour) = self.hour {
            let hour = match self.half {
                None => hour,
                Some(_) if hour == 0 || hour > 12 => return None,
                Some(afternoon) => hour % 12 + if afternoon { 12 } else { 0 },
            };
            text.push_str(&format!("T{hour:02}"));
            for part in [self.minute, self.second].into_iter().map_while(|it| it) {
                text.push_str(&format!(":{part:02}"));
            }
            if let (Some(fraction), Some(_)) = (self.fraction, self.second) {
                text.push_str(&format!(".{fraction}"));
            }
            text.push_str(self.zone.as_deref().unwrap_or_default());
        }
        Temporal::parse_date_time(&text)
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    fn shown(text: &str, format: &str) -> Option<String> {
        read(text, format).map(|it| it.to_string())
    }

    #[test]
    fn templates_are_followed() {
        assert_eq!(shown("150124", "ddMMyy").as_deref(), Some("2024-01-15"));
        assert_eq!(shown("15-01-2024", "dd-MM-yyyy").as_deref(), Some("2024-01-15"));
        assert_eq!(shown("12-27", "MM-yy").as_deref(), Some("2027-12"));
        assert_eq!(shown("3/4/1999 1:05 pm", "d/M/yyyy h:mm a").as_deref(), Some("1999-04-03T13:05"));
        assert_eq!(
            shown("20240115T233000.250-0500", "yyyyMMddTHHmmss.SSSZ").as_deref(),
            Some("2024-01-15T23:30:00.250-05:00")
        );
        assert_eq!(shown("31-02-2024", "dd-MM-yyyy"), None);
        assert_eq!(shown("15-01-2024x", "dd-MM-yyyy"), None);
        assert_eq!(shown("13:00 am 2024", "hh:mm a yyyy"), None);
    }

    proptest! {
        #[test]
        fn no_template_upsets_the_reader(text in "\\PC{0,20}|[0-9:TZ+-]{0,20}", format in "[yMdHhmsSaZT: -]{0,20}|\\PC{0,10}") {
            let _ = read(&text, &format);
        }
    }
}
