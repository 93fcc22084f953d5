//! All elements of a logical model: its snapshot, or its differential over the elements of its base
//! (FHIR R4 §5.3.0.5.1).

use fhir_models::definition::{Definitions, ElementDefinition, STRUCTURE_BASE, StructureDefinition};

use super::super::ways;
use super::said::is_in_slice;

/// The elements, the model itself first; or why they can't be told.
pub(super) fn lay_out(
    definitions: &Definitions,
    structure: &StructureDefinition,
    depth: usize,
) -> Result<Vec<ElementDefinition>, String> {
    if !structure.elements.is_empty() {
        return Ok(placed(&structure.elements));
    }
    let depth = depth.checked_sub(1).ok_or("its bases form a circle or too long a chain")?;
    let first = structure.differential.first().ok_or("it has neither snapshot nor differential")?;
    let root = first.path.split('.').next().unwrap_or_default();
    let mut elements = match structure.base_definition.as_deref() {
        None => Vec::new(),
        Some(url) if url.strip_prefix(STRUCTURE_BASE) == Some("Base") => Vec::new(),
        Some(url) => {
            let base = definitions.structure(url).ok_or_else(|| format!("its base {url} is not at hand"))?;
            rebased(lay_out(definitions, &base, depth)?, root)
        }
    };
    for own in placed(&structure.differential) {
        let same = |it: &&mut ElementDefinition| match is_in_slice(&own) {
            true => it.id == own.id,
            false => it.path == own.path && !is_in_slice(it),
        };
        match elements.iter_mut().find(same) {
            Some(below) => *below = over(below, &own),
            None => elements.push(own),
        }
    }
    if elements.iter().all(|it| it.path != root) {
        elements.push(ElementDefinition { path: root.to_owned(), ..ElementDefinition::default() });
    }
    let at = elements.iter().position(|it| it.path == root).unwrap_or(0);
    elements.swap(0, at);
    Ok(elements)
}

/// The elements, with ids that tell which slices they stand in.
fn placed(elements: &[ElementDefinition]) -> Vec<ElementDefinition> {
    let mut all = elements.to_vec();
    if all.iter().any(is_in_slice) {
        for (element, way) in all.iter_mut().zip(ways(elements)) {
            let root = element.path.split('.').next().unwrap_or_default();
            if way.iter().any(|it| it.slice.is_some()) {
                element.id = way.iter().fold(root.to_owned(), |id, it| match &it.slice {
                    Some(slice) => format!("{id}.{}:{slice}", it.name),
                    None => format!("{id}.{}", it.name),
                });
            }
        }
    }
    all
}

/// The elements of a base under another name.
fn rebased(mut elements: Vec<ElementDefinition>, root: &str) -> Vec<ElementDefinition> {
    let renamed = |text: &str| match text.split_once('.') {
        Some((_, rest)) => format!("{root}.{rest}"),
        None => root.to_owned(),
    };
    for element in &mut elements {
        element.path = renamed(&element.path);
        element.id = renamed(&element.id);
        if let Some((_, id)) = element.content_reference.as_deref().and_then(|it| it.split_once('#')) {
            element.content_reference = Some(format!("#{}", renamed(id)));
        }
    }
    elements
}

/// What a differential says, and for the rest what stood before.
fn over(below: &ElementDefinition, own: &ElementDefinition) -> ElementDefinition {
    let mut all = own.clone();
    all.min = own.min.or(below.min);
    all.max = own.max.or(below.max);
    all.base_max = below.base_max.or(below.max);
    all.content_reference = own.content_reference.clone().or_else(|| below.content_reference.clone());
    if own.types.is_empty() {
        all.types.clone_from(&below.types);
    }
    all.slicing = own.slicing.clone().or_else(|| below.slicing.clone());
    all.fixed = own.fixed.clone().or_else(|| below.fixed.clone());
    all.pattern = own.pattern.clone().or_else(|| below.pattern.clone());
    all.min_value = own.min_value.clone().or_else(|| below.min_value.clone());
    all.max_value = own.max_value.clone().or_else(|| below.max_value.clone());
    all.min_length = own.min_length.or(below.min_length);
    all.max_length = own.max_length.or(below.max_length);
    all.binding = own.binding.clone().or_else(|| below.binding.clone());
    let new = |it: &&fhir_models::definition::Constraint| own.constraints.iter().all(|own| own.key != it.key);
    all.constraints.extend(below.constraints.iter().filter(new).cloned());
    all
}
