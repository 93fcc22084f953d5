//! Towns, countries of birth and hospitals: public codes.

/// A town, or a country for those born abroad.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Place {
    /// The cadastral code that stands in a codice fiscale (four characters).
    pub cadastral: &'static str,
    /// Its name.
    pub name: &'static str,
    /// The province's letters; `EE` abroad.
    pub province: &'static str,
    /// A postal code of the town; empty abroad.
    pub postal_code: &'static str,
}

const fn town(
    cadastral: &'static str,
    name: &'static str,
    province: &'static str,
    postal_code: &'static str,
) -> Place {
    Place { cadastral, name, province, postal_code }
}

/// Milan, the first of [`TOWNS`].
pub(super) const MILANO: Place = town("F205", "Milano", "MI", "20121");

/// Towns of Lombardy.
pub const TOWNS: &[Place] = &[
    MILANO,
    town("A794", "Bergamo", "BG", "24121"),
    town("B157", "Brescia", "BS", "25121"),
    town("B300", "Busto Arsizio", "VA", "21052"),
    town("B639", "Cantù", "CO", "22063"),
    town("C707", "Cinisello Balsamo", "MI", "20092"),
    town("C933", "Como", "CO", "22100"),
    town("D142", "Crema", "CR", "26013"),
    town("D150", "Cremona", "CR", "26100"),
    town("D869", "Gallarate", "VA", "21013"),
    town("E507", "Lecco", "LC", "23900"),
    town("E514", "Legnano", "MI", "20025"),
    town("E648", "Lodi", "LO", "26900"),
    town("E897", "Mantova", "MN", "46100"),
    town("F704", "Monza", "MB", "20900"),
    town("G388", "Pavia", "PV", "27100"),
    town("H264", "Rho", "MI", "20017"),
    town("H717", "Salò", "BS", "25087"),
    town("I441", "Saronno", "VA", "21047"),
    town("I690", "Sesto San Giovanni", "MI", "20099"),
    town("I829", "Sondrio", "SO", "23100"),
    town("L400", "Treviglio", "BG", "24047"),
    town("L682", "Varese", "VA", "21100"),
    town("L872", "Vigevano", "PV", "27029"),
];

/// Where some of Lombardy's people were born: another region, another country.
pub(super) const ELSEWHERE: &[Place] = &[
    town("D704", "Forlì", "FC", "47121"),
    town("Z100", "Albania", "EE", ""),
    town("Z110", "Francia", "EE", ""),
    town("Z112", "Germania", "EE", ""),
    town("Z129", "Romania", "EE", ""),
    town("Z330", "Marocco", "EE", ""),
];

/// A hospital: its public code and name.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct HospitalCode {
    /// The code in Lombardy's public list (HSP), six digits, region first.
    pub code: &'static str,
    /// Its name.
    pub name: &'static str,
}

impl HospitalCode {
    /// The system of hospital codes as an OID (HSP).
    pub const SYSTEM: &'static str = "urn:oid:2.16.840.1.113883.2.9.4.1.2";
}

/// Niguarda, the first of [`HOSPITALS`].
pub const NIGUARDA: HospitalCode = HospitalCode { code: "030913", name: "Ospedale Niguarda" };

/// Hospitals of Lombardy with their public codes. What is said to happen in them here is made up.
pub const HOSPITALS: &[HospitalCode] = &[
    NIGUARDA,
    HospitalCode { code: "030943", name: "Istituto Clinico Humanitas" },
    HospitalCode { code: "030941", name: "Istituto Europeo di Oncologia" },
    HospitalCode { code: "030937", name: "Fondazione Don Gnocchi" },
    HospitalCode { code: "030947", name: "Policlinico San Donato" },
    HospitalCode { code: "030924", name: "Fondazione Policlinico San Matteo" },
    HospitalCode { code: "030417", name: "Istituti Clinici Scientifici Maugeri" },
];
