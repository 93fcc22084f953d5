//! Bodies that a plugin must survive: whatever it is given, it gives a verdict within its limits.

use varco_plugin_host::Limits;

/// One hostile body.
#[derive(Debug)]
pub struct HostileInput {
    /// What is wrong with it.
    pub name: &'static str,
    /// The body.
    pub body: Vec<u8>,
}

/// The bodies, none above the plugin's input limit. `example` is a body that the plugin is made for, if there is one.
pub fn hostile_inputs(limits: Limits, example: Option<&[u8]>) -> Vec<HostileInput> {
    let limit = limits.input_bytes();
    // What fits between opening and closing text.
    let repeated = |open: &str, part: &str, close: &str| {
        let room = limit.saturating_sub(open.len()).saturating_sub(close.len());
        format!("{open}{}{close}", part.repeat(room.checked_div(part.len()).unwrap_or(0))).into_bytes()
    };
    let nested = |open: &str, inner: &str, close: &str, levels: usize| {
        let fit = limit
            .saturating_sub(inner.len())
            .checked_div(open.len().saturating_add(close.len()))
            .unwrap_or(0);
        let levels = levels.min(fit);
        format!("{}{inner}{}", open.repeat(levels), close.repeat(levels)).into_bytes()
    };
    let text = |text: &str| text.as_bytes().to_vec();
    let mut inputs = vec![
        ("empty", Vec::new()),
        ("one space", text(" ")),
        ("a zero byte", vec![0]),
        ("not JSON", text("<Patient xmlns=\"http://hl7.org/fhir\"/>")),
        ("not UTF-8", b"{\"resourceType\":\"Patient\",\"id\":\"\xff\xfe\"}".to_vec()),
        ("an array", text("[]")),
        ("null", text("null")),
        ("a number", text("-0")),
        ("a string", text("\"Patient\"")),
        ("no resourceType", text("{}")),
        ("a resourceType that is an object", text("{\"resourceType\":{\"resourceType\":[]}}")),
        (
            "members named twice",
            text("{\"resourceType\":\"Patient\",\"id\":\"a\",\"id\":\"b\",\"resourceType\":\"x\"}"),
        ),
        ("an empty name", text("{\"\":{\"\":[{\"\":\"\"}]}}")),
        ("half a surrogate pair", text("{\"resourceType\":\"Patient\",\"id\":\"\\ud800\\ud800\"}")),
        ("an escape that ends", text("{\"resourceType\":\"Patient\",\"id\":\"\\u00")),
        ("a string that ends", text("{\"resourceType\":\"Patient\",\"id\":\"")),
        ("a bracket too many", text("{\"resourceType\":\"Patient\"}}")),
        ("brackets that don't fit", text("{\"resourceType\":[}]")),
        (
            "numbers beyond all bounds",
            text("{\"resourceType\":\"Observation\",\"valueQuantity\":{\"value\":1e999999999}}"),
        ),
        (
            "a number of many digits",
            repeated("{\"resourceType\":\"Observation\",\"valueInteger\":", "9", "}"),
        ),
        (
            "elements of other types",
            text(
                "{\"resourceType\":\"Observation\",\"code\":[1],\"subject\":\"x\",\"identifier\":{},\"name\":3,\"coding\":null}",
            ),
        ),
        (
            "nulls everywhere",
            text("{\"resourceType\":\"Patient\",\"identifier\":[null,{\"value\":null}],\"name\":null}"),
        ),
        ("deep arrays", nested("[", "", "]", 100_000)),
        ("deep objects", nested("{\"a\":", "1", "}", 50_000)),
        ("deep and open", nested("{\"extension\":[", "", "", 50_000)),
        ("a huge string", repeated("{\"resourceType\":\"Patient\",\"id\":\"", "a", "\"}")),
        ("a huge escaped string", repeated("{\"resourceType\":\"Patient\",\"id\":\"", "\\u0041", "\"}")),
        (
            "many members",
            repeated("{\"resourceType\":\"Patient\"", ",\"identifier\":[{\"value\":\"x\"}]", "}"),
        ),
        (
            "many items",
            repeated(
                "{\"resourceType\":\"Patient\",\"identifier\":[{}",
                ",{\"system\":\"s\",\"value\":\"x\"}",
                "]}",
            ),
        ),
        ("white space alone", vec![b' '; limit]),
        ("zero bytes alone", vec![0; limit]),
    ];
    if let Some(example) = example {
        let half = example.len().checked_div(2).unwrap_or(0);
        inputs.push(("half of a fixture", example.get(..half).unwrap_or_default().to_vec()));
        inputs.push(("a fixture and more", [example, b"{"].concat()));
    }
    inputs
        .into_iter()
        .filter(|(_, body)| body.len() <= limit)
        .map(|(name, body)| HostileInput { name, body })
        .collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_large_bodies_reach_the_limit_and_none_exceeds_it() {
        let limits = Limits::default();
        let inputs = hostile_inputs(limits, Some(b"{\"resourceType\":\"Patient\"}"));
        assert_eq!(inputs.len(), 33);
        let near = inputs.iter().filter(|input| input.body.len() > limits.input_bytes() - 64);
        assert!(near.count() >= 6);
        assert!(inputs.iter().all(|input| input.body.len() <= limits.input_bytes()));
    }
}
