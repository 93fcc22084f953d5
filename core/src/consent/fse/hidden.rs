//! Why a document is hidden: one rule each, with a name for the log and a sentence for the operator.

/// The rule of FSE 2.0 that hides a document.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub enum Hidden {
    /// The caller states no role that FSE knows.
    UnknownRole,
    /// `P99`.
    Masked,
    /// A masking code that FSE does not know.
    UnknownMask,
    /// `V` without `P00`.
    GreaterProtection,
    /// A document with the same prescription number is masked.
    MaskedChain,
    /// Whether one is could not be told.
    UnknownChain,
    /// `P98`.
    FromPatient,
    /// `P97`.
    FromParent,
    /// A delegate without the delegation to consult.
    NotDelegated,
    /// `V`, to a delegate.
    NeverToDelegates,
    /// A prescription, to administrative staff.
    Prescription,
    /// An emergency without self-certification.
    NotCertified,
    /// An emergency with one self-certification, which opens the summary alone.
    NotTheSummary,
}

impl Hidden {
    /// A short name for it.
    pub fn code(self) -> &'static str {
        match self {
            Hidden::UnknownRole => "unknown-role",
            Hidden::Masked => "masked",
            Hidden::UnknownMask => "unknown-mask",
            Hidden::GreaterProtection => "greater-protection",
            Hidden::MaskedChain => "masked-chain",
            Hidden::UnknownChain => "unknown-chain",
            Hidden::FromPatient => "hidden-from-patient",
            Hidden::FromParent => "hidden-from-parent",
            Hidden::NotDelegated => "not-delegated",
            Hidden::NeverToDelegates => "never-to-delegates",
            Hidden::Prescription => "prescription",
            Hidden::NotCertified => "not-certified",
            Hidden::NotTheSummary => "not-the-summary",
        }
    }

    /// A sentence for the operator. It names rules, never a person or a document.
    pub fn text(self) -> &'static str {
        match self {
            Hidden::UnknownRole => "the caller states no role that FSE knows, and so sees nothing",
            Hidden::Masked => "the document is masked (P99)",
            Hidden::UnknownMask => "the document carries a masking code that is not known, which masks it",
            Hidden::GreaterProtection => {
                "the document has greater protection (V) and the patient has not unmasked it (P00)"
            }
            Hidden::MaskedChain => {
                "a document with the same prescription number is masked, and so this one is"
            }
            Hidden::UnknownChain => {
                "whether a document with the same prescription number is masked can't be told, which masks it"
            }
            Hidden::FromPatient => "the document is hidden from the patient (P98)",
            Hidden::FromParent => "the document is hidden from parents and guardians (P97)",
            Hidden::NotDelegated => {
                "the caller is a delegate and has not been given the delegation to consult"
            }
            Hidden::NeverToDelegates => "the document has greater protection (V), which delegates never see",
            Hidden::Prescription => "the document is a prescription, which administrative staff does not see",
            Hidden::NotCertified => "an emergency takes a self-certification, and the caller has given none",
            Hidden::NotTheSummary => {
                "one self-certification opens the patient summary alone; the rest takes a second one"
            }
        }
    }
}
