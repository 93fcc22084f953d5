//! Two worlds, one with and one without what is hidden: what a caller can tell them apart by.

use serde_json::Value;

use super::Reply;

/// What a caller sees, without what differs between any two servers: ports, dates of storing, sealed links.
pub fn seen(reply: &Reply, port: u16) -> String {
    let (status, headers, body) = reply.appearance();
    let headers: Vec<_> =
        headers.into_iter().filter(|(name, _)| name != "last-modified" && name != "content-length").collect();
    let body = String::from_utf8(body.to_vec()).unwrap().replace(&format!("127.0.0.1:{port}"), "HOST");
    let mut body: Value = serde_json::from_str(&body).unwrap_or_default();
    forget_times(&mut body);
    format!("{status} {headers:?} {body}")
}

fn forget_times(value: &mut Value) {
    match value {
        Value::Object(members) => {
            members.remove("lastUpdated");
            members.remove("lastModified");
            if let Some(Value::String(url)) = members.get_mut("url")
                && let Some(at) = url.find("_page=")
            {
                url.truncate(at);
            }
            members.values_mut().for_each(forget_times);
        }
        Value::Array(items) => items.iter_mut().for_each(forget_times),
        _ => {}
    }
}
