//! Below an element whose type has a profile, a differential speaks of what that profile names: its slices
//! above all (FHIR R4 §5.1.0.15). They are copied under the element.
//!
//! Invariant: only what tells elements apart is copied. How often they stand and what they must obey is
//! checked once, by the type's profile itself.

use super::{Child, Node, NodeNumber, Profile, Slice};

/// Copies what lies below the root of `profile` under the node `at`.
pub(super) fn graft(
    nodes: &mut Vec<Node>,
    at: NodeNumber,
    profile: &Profile,
    most: usize,
) -> Result<(), String> {
    let mut open = vec![(at, 0)];
    while let Some((to, from)) = open.pop() {
        let Some(source) = profile.node(from) else { continue };
        let (children, slices) = (source.children.clone(), source.slices.clone());
        for child in children {
            let known = nodes
                .get(to as usize)
                .and_then(|node| node.children.iter().find(|it| it.name == child.name).map(|it| it.node));
            let number = match known {
                Some(number) => number,
                None => {
                    let choice = if child.choice { "[x]" } else { "" };
                    let number =
                        copy(nodes, to, &format!(".{}{choice}", child.name), profile, child.node, most)?;
                    if let Some(node) = nodes.get_mut(to as usize) {
                        node.children.push(Child { node: number, ..child.clone() });
                    }
                    number
                }
            };
            open.push((number, child.node));
        }
        for slice in slices {
            if nodes.get(to as usize).is_some_and(|node| node.slices.iter().any(|it| it.name == slice.name)) {
                continue;
            }
            let number = copy(nodes, to, &format!(":{}", slice.name), profile, slice.node, most)?;
            if let Some(node) = nodes.get_mut(to as usize) {
                node.slices.push(Slice { name: slice.name.clone(), node: number });
            }
            open.push((number, slice.node));
        }
    }
    Ok(())
}

/// A copy of a node with a place of its own.
fn copy(
    nodes: &mut Vec<Node>,
    parent: NodeNumber,
    step: &str,
    profile: &Profile,
    from: NodeNumber,
    most: usize,
) -> Result<NodeNumber, String> {
    let number = NodeNumber::try_from(nodes.len()).ok().filter(|_| nodes.len() < most);
    let number = number.ok_or_else(|| format!("it has more than {most} elements"))?;
    let above = nodes.get(parent as usize).map(|node| node.id.to_string()).unwrap_or_default();
    let Some(source) = profile.node(from) else { return Err("a node is lost".to_owned()) };
    nodes.push(Node {
        id: [&above, step].concat().into(),
        types: source.types.clone(),
        fixed: source.fixed.clone(),
        pattern: source.pattern.clone(),
        slicing: source.slicing.clone(),
        ..Node::default()
    });
    Ok(number)
}
