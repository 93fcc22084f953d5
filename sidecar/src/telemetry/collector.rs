//! The operator's collector (OTLP/HTTP, protobuf; OTLP 1.x §OTLP/HTTP): who speaks, and how an answer is understood.
//!
//! Sent by the sidecar's own client to the configured URL; the environment is not read.

use http::{HeaderValue, Method};
use opentelemetry_proto::tonic::common::v1::any_value::Value;
use opentelemetry_proto::tonic::common::v1::{AnyValue, InstrumentationScope, KeyValue};
use opentelemetry_proto::tonic::resource::v1::Resource;
use prost::Message;

use crate::audit::destination::{Destination, DestinationError};
use crate::config::{Otlp, Site};

const PROTOBUF: HeaderValue = HeaderValue::from_static("application/x-protobuf");

/// Why something was not taken.
#[derive(Debug)]
pub(crate) struct Refused {
    /// The answer's status; `None` where there was no answer.
    pub status: Option<u16>,
    /// In words.
    pub cause: String,
}

impl Refused {
    /// True where it may be sent again later: there was no answer, or one that says so (OTLP/HTTP §Retryable Response Codes).
    pub fn is_for_now(&self) -> bool {
        matches!(self.status, None | Some(429 | 502 | 503 | 504))
    }
}

/// The collector.
pub(crate) struct Collector {
    destination: Destination,
    resource: Resource,
}

impl Collector {
    /// The collector of the configuration, told of as the instance of this site.
    pub fn new(config: &Otlp, site: &Site) -> Result<Collector, DestinationError> {
        let attributes = vec![
            text("service.name", "varco"),
            text("service.version", env!("CARGO_PKG_VERSION")),
            text("service.instance.id", &site.id),
        ];
        let resource = Resource { attributes, ..Resource::default() };
        Ok(Collector { destination: Destination::new(&config.collector)?, resource })
    }

    /// Whom it is about.
    pub fn resource(&self) -> Resource {
        self.resource.clone()
    }

    /// Sends a message to a path below the collector's URL.
    pub async fn send(&self, path: &str, message: &impl Message) -> Result<(), Refused> {
        let body = message.encode_to_vec().into();
        match self.destination.send(Method::POST, path, PROTOBUF, body).await {
            Err(cause) => Err(Refused { status: None, cause }),
            Ok(answer) if answer.status.is_success() => Ok(()),
            Ok(answer) => {
                let status = answer.status.as_u16();
                Err(Refused { status: Some(status), cause: format!("it answered with status {status}") })
            }
        }
    }
}

/// The scope of what is sent.
pub(crate) fn scope(name: &str) -> InstrumentationScope {
    InstrumentationScope {
        name: name.to_owned(),
        version: env!("CARGO_PKG_VERSION").to_owned(),
        ..InstrumentationScope::default()
    }
}

/// An attribute.
pub(crate) fn text(key: &str, value: &str) -> KeyValue {
    attribute(key, Value::StringValue(value.to_owned()))
}

/// A number as an attribute.
pub(crate) fn number(key: &str, value: impl TryInto<i64>) -> KeyValue {
    attribute(key, Value::IntValue(value.try_into().unwrap_or(i64::MAX)))
}

fn attribute(key: &str, value: Value) -> KeyValue {
    KeyValue { key: key.to_owned(), value: Some(AnyValue { value: Some(value) }), ..KeyValue::default() }
}
