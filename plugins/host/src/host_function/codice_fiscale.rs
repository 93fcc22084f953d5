//! `codice-fiscale`: whether a text is an Italian tax code (D.M. 23 December 1976).

use varco_core::identity::TaxCode;
use wasmtime::{
    StoreContextMut,
    component::{ComponentType, Lower, WasmStr},
};

use crate::call::CallState;

#[derive(Debug, Clone, Copy, PartialEq, Eq, ComponentType, Lower)]
#[component(enum)]
#[repr(u8)]
pub enum Finding {
    #[component(name = "not-a-code")]
    NotACode,
    #[component(name = "wrong-check-letter")]
    WrongCheckLetter,
    #[component(name = "valid")]
    Valid,
    #[component(name = "valid-omocodia")]
    ValidOmocodia,
    #[component(name = "provisional")]
    Provisional,
}

pub fn check(store: StoreContextMut<'_, CallState>, (text,): (WasmStr,)) -> wasmtime::Result<(Finding,)> {
    Ok((finding(&text.to_str(&store)?),))
}

fn finding(text: &str) -> Finding {
    match TaxCode::parse(text) {
        Err(_) => Finding::NotACode,
        Ok(TaxCode::Provisional(_)) => Finding::Provisional,
        Ok(TaxCode::Person(code)) if !code.check_letter_holds() => Finding::WrongCheckLetter,
        Ok(TaxCode::Person(code)) if code.is_omocodia() => Finding::ValidOmocodia,
        Ok(TaxCode::Person(_)) => Finding::Valid,
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn each_kind_of_code_is_told_apart() {
        for (text, expected) in [
            ("RSSMRA71E01F205E", Finding::Valid),
            ("VRDMRC67T20I257E", Finding::WrongCheckLetter),
            ("rssmra71e01f205e", Finding::NotACode),
            ("", Finding::NotACode),
        ] {
            assert_eq!(finding(text), expected, "{text}");
        }
    }
}
