#![allow(clippy::unwrap_used)]

use super::*;
use crate::document::{Limits, OwnedDocument, name};
use proptest::prelude::*;

/// Values that are good and bad for one type.
fn judge(primitive: Primitive, good: &[&str], bad: &[&str]) {
    for text in good {
        assert_eq!(primitive.check(primitive.json_kind(), text), Ok(()), "{primitive} {text:?}");
    }
    for text in bad {
        assert!(!primitive.is_valid(text), "{primitive} {text:?}");
    }
}

#[test]
fn type_names_lead_back_to_their_primitive() {
    for &primitive in Primitive::ALL {
        assert_eq!(Primitive::of_type(primitive.type_name()), Some(primitive));
    }
    assert_eq!(Primitive::of_type("Quantity"), None);
    assert_eq!(Primitive::ALL.len(), 20);
}

#[test]
fn whole_numbers_keep_to_32_bits() {
    judge(
        Primitive::Integer,
        &["0", "-1", "2147483647", "-2147483648"],
        &["", "-", "-0", "01", "1.0", "1e2", "2147483648", "-2147483649", "99999999999999999999999", "١"],
    );
    judge(Primitive::UnsignedInt, &["0", "12"], &["-1", "2147483648", "00"]);
    judge(Primitive::PositiveInt, &["1", "2147483647"], &["0", "-3"]);
    assert_eq!(
        Primitive::PositiveInt.check(Kind::Number, "0").unwrap_err().to_string(),
        "a positiveInt must lie in 1 to 2147483647"
    );
}

#[test]
fn decimals_keep_their_digits() {
    judge(
        Primitive::Decimal,
        &["0", "-0.10", "1.50", "1e3", "6.02E+23", "0.000"],
        &["", ".5", "5.", "01", "+1", "1e", "1e+", "NaN", "1,5"],
    );
    let parts = decimal_parts("-12.340e-5").unwrap();
    assert_eq!((parts.negative, parts.whole, parts.fraction, parts.exponent), (true, "12", "340", "-5"));
}

#[test]
fn strings_hold_text_but_no_controls() {
    judge(
        Primitive::String,
        &["Niccolò", " padded ", "two\nlines\tand a tab\r\n"],
        &["", "a\u{0}b", "\u{8}"],
    );
    assert_eq!(Primitive::String.check(Kind::String, "bell \u{7}"), Err(PrimitiveError::ControlCharacter));
    let long = "x".repeat(LONGEST_STRING);
    assert!(Primitive::Markdown.is_valid(&long));
    assert_eq!(Primitive::Markdown.check(Kind::String, &(long.clone() + "x")), Err(PrimitiveError::TooLong));
    assert!(Primitive::Xhtml.is_valid(&(long + "x")), "narrative has no such limit");
}

#[test]
fn codes_have_single_spaces_only() {
    judge(
        Primitive::Code,
        &["final", "two words", "città", "<="],
        &["", " lead", "trail ", "two  spaces", "a\tb", "a\u{a0}b", "a\u{1}b", " "],
    );
}

#[test]
fn ids_and_uris() {
    let longest = "a".repeat(64);
    judge(Primitive::Id, &["p1", "A-1.b", &longest], &["", "a_b", "a b", "è", &"a".repeat(65)]);
    judge(
        Primitive::Uri,
        &["http://hl7.it/sid/codiceFiscale", "urn:oid:2.16.840", "#p1", "Patient/è"],
        &["", "http://a b", "a\n", "a\u{2003}b", "a\u{7}"],
    );
    judge(
        Primitive::Oid,
        &["urn:oid:2.16.840.1.113883.2.9.4.3.2", "urn:oid:1.0"],
        &["", "2.16.840", "urn:oid:3.1", "urn:oid:2", "urn:oid:2.", "urn:oid:2.01", "urn:oid:2..1"],
    );
    judge(
        Primitive::Uuid,
        &["urn:uuid:c757873d-ec9a-4326-a141-556f43239520"],
        &[
            "",
            "c757873d-ec9a-4326-a141-556f43239520",
            "urn:uuid:C757873D-ec9a-4326-a141-556f43239520",
            "urn:uuid:c757873dec9a-4326-a141-556f43239520-",
        ],
    );
}

#[test]
fn base64_comes_in_padded_groups() {
    judge(
        Primitive::Base64Binary,
        &["AQID", "AQI=", "AQ==", "AQID\r\nAQ==\n", " AQID AQID ", "+/+/"],
        &["", "  ", "A", "AQI", "AQ=", "A===", "====", "AQ==AQID", "AQI-", "AQ ID", "AQ=D"],
    );
}

#[test]
fn dates_follow_the_calendar() {
    judge(
        Primitive::Date,
        &["2026", "1900-02-28", "2000-02-29", "2024-02-29", "0001-01"],
        &[
            "",
            "26",
            "0000",
            "1900-02-29",
            "2023-02-29",
            "2026-13",
            "2026-00",
            "2026-04-31",
            "2026-1-1",
            "2026-01-01T00:00:00Z",
            "2026-01-",
            "2026/01/01",
            "20260101",
        ],
    );
    assert_eq!(Primitive::Date.check(Kind::String, "2026-02-30"), Err(PrimitiveError::NoSuchDay));
}

#[test]
fn date_times_need_seconds_and_a_zone() {
    judge(
        Primitive::DateTime,
        &[
            "2026",
            "2026-03",
            "2026-03-29",
            "2026-03-29T02:30:00Z",
            "2016-12-31T23:59:60Z",
            "2026-03-29T02:30:00.123456789012+14:00",
            "2026-03-29T00:00:00-14:00",
        ],
        &[
            "2026-03-29T24:00:00Z",
            "2026-03-29T02:30Z",
            "2026-03-29T02:30:00",
            "2026-03-29T02:30:61Z",
            "2026-03-29T02:30:00.Z",
            "2026-03-29T02:30:00+14:01",
            "2026-03-29T02:30:00+0100",
            "2026-03-29 02:30:00Z",
            "2026-03-29t02:30:00z",
        ],
    );
    assert_eq!(
        Primitive::DateTime.check(Kind::String, "2026-03-29T02:30:00"),
        Err(PrimitiveError::NoTimeZone)
    );
    judge(Primitive::Instant, &["2026-03-29T02:30:00+02:00"], &["2026", "2026-03", "2026-03-29"]);
    judge(Primitive::Time, &["00:00:00", "23:59:60", "12:30:00.5"], &["24:00:00", "12:30", "12:30:00Z", ""]);
}

#[test]
fn precision_is_what_was_written() {
    use DateTimePrecision::*;
    let precision = |text| PartialDateTime::parse(text).unwrap().precision();
    assert_eq!(precision("2026"), Year);
    assert_eq!(precision("2026-03"), Month);
    assert_eq!(precision("2026-03-29"), Day);
    assert_eq!(precision("2026-03-29T02:30:00Z"), Second);
    assert_eq!(precision("2026-03-29T02:30:00.0Z"), Fraction);
    let time = TimeOfDay::parse("12:30:00.050").unwrap();
    assert_eq!((time.nanosecond, time.fraction_digits), (50_000_000, 3));
}

#[test]
fn kinds_are_checked_before_texts() {
    let wrong = Primitive::Boolean.check(Kind::String, "true").unwrap_err();
    assert_eq!(wrong.to_string(), "a boolean is written as a JSON true or false, without quotes");
    assert!(Primitive::Decimal.check(Kind::String, "1.5").is_err());
    assert!(Primitive::Date.check(Kind::Number, "2026").is_err());
    let text = r#"{"active":"true","birthDate":"2026\u002d02\u002d28","deceased":null}"#;
    let doc = OwnedDocument::parse_json(text, &Limits::default()).unwrap();
    let birth = doc.root().get(name::BIRTH_DATE).unwrap();
    assert_eq!(Primitive::Date.check_value(birth), Ok(()), "escapes are undone before the check");
    assert!(Primitive::Boolean.check_value(doc.root().get_key("active").unwrap()).is_err());
    assert!(Primitive::Boolean.check_value(doc.root().get_key("deceased").unwrap()).is_err());
}

proptest! {
    #[test]
    fn no_text_upsets_a_scanner(text in "\\PC*|[0-9TZ:+. -]{0,40}|[A-Za-z0-9+/= \n]{0,40}|(urn:(oid|uuid):)?[0-9a-f.-]{0,40}") {
        for &primitive in Primitive::ALL {
            let explained = primitive.check(primitive.json_kind(), &text);
            prop_assert_eq!(explained.is_ok(), primitive.is_valid(&text));
            if let Err(error) = explained {
                prop_assert!(!error.to_string().is_empty());
            }
        }
    }

    #[test]
    fn dates_come_back_as_they_were_written(
        text in "[12][0-9]{3}(-(0[1-9]|1[0-2])(-(0[1-9]|1[0-9]|2[0-8])(T([01][0-9]|2[0-3]):[0-5][0-9]:[0-5][0-9](\\.[0-9]{1,9})?(Z|\\+(0[0-9]|1[0-3]):[0-5][0-9]|-(0[1-9]|1[0-3]):[0-5][0-9]))?)?)?"
    ) {
        let parsed = PartialDateTime::parse(&text);
        prop_assert!(parsed.is_ok(), "{}", text);
        prop_assert_eq!(parsed.unwrap().to_string(), text);
    }

    #[test]
    fn every_calendar_day_agrees_with_the_month_lengths(year in 1u16..=9999, month in 1u8..=12, day in 0u8..=32) {
        let text = format!("{year:04}-{month:02}-{day:02}");
        let days = [31, 28, 31, 30, 31, 30, 31, 31, 30, 31, 30, 31];
        let leap = (year % 4 == 0 && year % 100 != 0) || year % 400 == 0;
        let last = if month == 2 && leap { 29 } else { days[usize::from(month) - 1] };
        prop_assert_eq!(Primitive::Date.is_valid(&text), (1..=last).contains(&day));
    }

    #[test]
    fn decimal_parts_hold_every_digit(text in "-?(0|[1-9][0-9]{0,20})(\\.[0-9]{1,20})?([eE][+-]?[0-9]{1,3})?") {
        let parts = decimal_parts(&text);
        prop_assert!(parts.is_some());
        let parts = parts.unwrap();
        let mut joined = String::new();
        if parts.negative { joined.push('-'); }
        joined.push_str(parts.whole);
        if !parts.fraction.is_empty() { joined.push('.'); joined.push_str(parts.fraction); }
        if !parts.exponent.is_empty() { joined.push('e'); joined.push_str(parts.exponent); }
        prop_assert_eq!(joined, text.replace('E', "e"));
    }

    #[test]
    fn base64_agrees_with_its_grammar(text in "[A-Za-z0-9+/=]{0,13}") {
        let body = text.trim_end_matches('=');
        let pads = text.len() - body.len();
        let right = !text.is_empty() && text.len().is_multiple_of(4) && pads <= 2 && !body.contains('=');
        prop_assert_eq!(Primitive::Base64Binary.is_valid(&text), right);
    }
}
