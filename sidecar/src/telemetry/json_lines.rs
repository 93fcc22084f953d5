//! Log lines as JSON: `{"timestamp","level","message", … ,"target"}`, one for each event, made in one pass.
//!
//! There is a line for each request: what it takes is one piece of memory, and what is text already is copied once.

use std::error::Error;
use std::fmt;
use std::io::Write as _;

use fhir_models::document::JsonWriter;
use jiff::Timestamp;
use tracing::field::{Field, Visit};
use tracing::{Event, Level, Subscriber};
use tracing_subscriber::Layer;
use tracing_subscriber::layer::Context;

use super::lines::Lines;

/// Bytes of the line about an ordinary request.
const ORDINARY: usize = 512;

/// Makes the lines; without [`Lines`] each goes to standard output by itself.
pub(super) struct JsonLines(pub Option<Lines>);

impl<S: Subscriber> Layer<S> for JsonLines {
    fn on_event(&self, event: &Event<'_>, _: Context<'_, S>) {
        let line = line(event, Timestamp::now());
        match &self.0 {
            Some(lines) => lines.take(&line, *event.metadata().level() <= Level::WARN),
            // Where standard output is gone there is nobody to tell.
            None => drop(std::io::stdout().lock().write_all(&line)),
        }
    }
}

fn line(event: &Event<'_>, at: Timestamp) -> Vec<u8> {
    let mut json = JsonWriter::with_capacity(ORDINARY);
    json.begin_object().key("timestamp").shown(format_args!("{at:.6}"));
    json.member("level", event.metadata().level().as_str());
    event.record(&mut Fields(&mut json));
    json.member("target", event.metadata().target()).end_object();
    let mut line = json.into_bytes();
    line.push(b'\n');
    line
}

struct Fields<'j>(&'j mut JsonWriter);

impl Visit for Fields<'_> {
    fn record_str(&mut self, field: &Field, value: &str) {
        self.0.member(field.name(), value);
    }

    fn record_i64(&mut self, field: &Field, value: i64) {
        self.0.key(field.name()).integer(value);
    }

    fn record_u64(&mut self, field: &Field, value: u64) {
        match i64::try_from(value) {
            Ok(value) => self.record_i64(field, value),
            Err(_) => drop(self.0.key(field.name()).raw(value.to_string().as_bytes())),
        }
    }

    fn record_f64(&mut self, field: &Field, value: f64) {
        let text = if value.is_finite() { format!("{value:?}") } else { "null".to_owned() };
        self.0.key(field.name()).raw(text.as_bytes());
    }

    fn record_bool(&mut self, field: &Field, value: bool) {
        self.0.key(field.name()).boolean(value);
    }

    fn record_error(&mut self, field: &Field, value: &(dyn Error + 'static)) {
        self.0.key(field.name()).shown(value);
    }

    fn record_debug(&mut self, field: &Field, value: &dyn fmt::Debug) {
        self.0.key(field.name()).shown(format_args!("{value:?}"));
    }
}

#[cfg(test)]
#[allow(clippy::unwrap_used)]
mod tests {
    use std::sync::{Arc, Mutex};

    use tracing_subscriber::layer::SubscriberExt;

    use super::*;

    struct Kept(Arc<Mutex<Vec<String>>>);

    impl<S: Subscriber> Layer<S> for Kept {
        fn on_event(&self, event: &Event<'_>, _: Context<'_, S>) {
            let at = "2026-11-22T18:00:00.1Z".parse().unwrap();
            self.0.lock().unwrap().push(String::from_utf8(line(event, at)).unwrap());
        }
    }

    #[test]
    fn a_line_is_one_object_with_its_message_its_fields_and_where_it_comes_from() {
        let kept = Arc::new(Mutex::new(Vec::new()));
        let subscriber = tracing_subscriber::registry().with(Kept(kept.clone()));
        tracing::subscriber::with_default(subscriber, || {
            let cause = std::io::Error::other("no \"place\"\nleft");
            tracing::info!(client = "app", status = 200_u16, below = -3, share = 1.0, on = true, "answered");
            tracing::warn!(cause = %cause, most = u64::MAX, list = ?["a"], nothing = f64::NAN, "failed: {}", "disk");
        });
        let told = kept.lock().unwrap().concat();
        assert_eq!(
            told,
            concat!(
                r#"{"timestamp":"2026-11-22T18:00:00.100000Z","level":"INFO","message":"answered","client":"app","#,
                r#""status":200,"below":-3,"share":1.0,"on":true,"target":"varco::telemetry::json_lines::tests"}"#,
                "\n",
                r#"{"timestamp":"2026-11-22T18:00:00.100000Z","level":"WARN","message":"failed: disk","#,
                r#""cause":"no \"place\"\nleft","most":18446744073709551615,"list":"[\"a\"]","nothing":null,"#,
                r#""target":"varco::telemetry::json_lines::tests"}"#,
                "\n"
            )
        );
    }
}
