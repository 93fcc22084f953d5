//! What R4 published by mistake and its corrected edition R4B (FHIR 4.3.0) takes back.

use std::borrow::Cow;

use fhir_models::definition::{Binding, BindingStrength};

/// The binding as it was meant: the units of a vital sign's components are those of the value set where one
/// fits, so that a flow in `L/min` may stand beside an oxygen saturation.
pub(super) fn binding<'b>(path: &str, binding: &'b Binding) -> Cow<'b, Binding> {
    const UNITS: &str = "http://hl7.org/fhir/ValueSet/ucum-vitals-common|4.0.1";
    if path == "Observation.component.value[x]" && binding.value_set.as_deref() == Some(UNITS) {
        return Cow::Owned(Binding { strength: BindingStrength::Extensible, ..binding.clone() });
    }
    Cow::Borrowed(binding)
}
