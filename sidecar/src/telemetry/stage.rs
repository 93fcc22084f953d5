//! The stages of a request that an operator may see: in `/tasks` while it is under way, in its trace afterwards.

/// Where a request stands.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
#[repr(u8)]
pub enum Stage {
    /// It has arrived, and nothing in particular is being done.
    Arrived,
    /// Who asks: the token.
    Identify,
    /// Its body is being received.
    Body,
    /// What may be shown or written.
    Decide,
    /// The hospital's server is asked.
    Upstream,
    /// Plugins.
    Plugin,
    /// A map.
    Map,
    /// Validation.
    Validate,
    /// The audit record, until it is on disk.
    Audit,
    /// One entry of a batch.
    Entry,
    /// A sender's message is held back until it may be worked on.
    Held,
    /// The terminology server is asked.
    Terminology,
}

impl Stage {
    const ALL: [Stage; 12] = [
        Stage::Arrived,
        Stage::Identify,
        Stage::Body,
        Stage::Decide,
        Stage::Upstream,
        Stage::Plugin,
        Stage::Map,
        Stage::Validate,
        Stage::Audit,
        Stage::Entry,
        Stage::Held,
        Stage::Terminology,
    ];

    /// As spans and `/tasks` call it.
    pub fn name(self) -> &'static str {
        match self {
            Stage::Arrived => "arrived",
            Stage::Identify => "identify",
            Stage::Body => "body",
            Stage::Decide => "decide",
            Stage::Upstream => "upstream",
            Stage::Plugin => "plugin",
            Stage::Map => "map",
            Stage::Validate => "validate",
            Stage::Audit => "audit",
            Stage::Entry => "entry",
            Stage::Held => "held",
            Stage::Terminology => "terminology",
        }
    }

    /// The stage of this number; [`Stage::Arrived`] for a number without one.
    pub fn of_number(number: u8) -> Stage {
        Stage::ALL.get(usize::from(number)).copied().unwrap_or(Stage::Arrived)
    }

    /// Its number.
    pub fn number(self) -> u8 {
        self as u8
    }

    /// True where several in a row are told as one, with their count: a page's resources are decided about one by one.
    pub fn gathers(self) -> bool {
        matches!(self, Stage::Decide | Stage::Map | Stage::Plugin | Stage::Validate)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn numbers_lead_back_to_their_stages() {
        for stage in Stage::ALL {
            assert_eq!(Stage::of_number(stage.number()), stage);
        }
        assert_eq!(Stage::of_number(200), Stage::Arrived);
    }
}
