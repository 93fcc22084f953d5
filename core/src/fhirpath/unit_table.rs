//! The units this engine can convert: those that health records use.
//!
//! Codes are UCUM's (case-sensitive), sizes are the definitions of the units themselves (SI Brochure 2019,
//! international yard and pound, conventional millimetre of mercury). A code that is not here is still a
//! unit: it equals itself and converts to nothing.

/// What a unit is made of.
#[derive(Debug, Clone, Copy)]
pub(super) enum Size {
    /// One of the seven base units.
    Base,
    /// So many of the unit that an expression names.
    Of(&'static str, &'static str),
    /// A multiple that has no end in decimals: compared approximately.
    About(f64, &'static str),
    /// Defined by a procedure: only comparable with itself.
    Arbitrary,
    /// On a scale that is not a ratio: only comparable with itself.
    Special,
}

/// One unit.
#[derive(Debug)]
pub(super) struct Unit {
    pub code: &'static str,
    /// Prefixes such as `m` and `k` may stand before it.
    pub metric: bool,
    pub size: Size,
}

const fn metric(code: &'static str, size: Size) -> Unit {
    Unit { code, metric: true, size }
}

const fn plain(code: &'static str, size: Size) -> Unit {
    Unit { code, metric: false, size }
}

/// Prefixes and the power of ten that each stands for.
pub(super) const PREFIXES: &[(&str, i32)] = &[
    ("da", 1),
    ("Y", 24),
    ("Z", 21),
    ("E", 18),
    ("P", 15),
    ("T", 12),
    ("G", 9),
    ("M", 6),
    ("k", 3),
    ("h", 2),
    ("d", -1),
    ("c", -2),
    ("m", -3),
    ("u", -6),
    ("n", -9),
    ("p", -12),
    ("f", -15),
    ("a", -18),
    ("z", -21),
    ("y", -24),
];

use Size::{About, Arbitrary, Base, Of, Special};

/// Every unit that can be converted, and some that are known not to be.
pub(super) const UNITS: &[Unit] = &[
    // Base units.
    metric("m", Base),
    metric("s", Base),
    metric("g", Base),
    metric("rad", Base),
    metric("K", Base),
    metric("C", Base),
    metric("cd", Base),
    // Numbers.
    plain("10*", Of("10", "1")),
    plain("10^", Of("10", "1")),
    plain("%", Of("0.01", "1")),
    plain("[ppth]", Of("0.001", "1")),
    plain("[ppm]", Of("0.000001", "1")),
    plain("[ppb]", Of("0.000000001", "1")),
    plain("[pptr]", Of("0.000000000001", "1")),
    plain("[HPF]", Of("1", "1")),
    plain("[LPF]", Of("100", "1")),
    plain("[NTU]", Of("1", "1")),
    plain("[FNU]", Of("1", "1")),
    plain("[pi]", About(std::f64::consts::PI, "1")),
    // Amount of substance and what is measured in it.
    metric("mol", Of("602214076000000000000000", "1")),
    metric("eq", Of("1", "mol")),
    metric("osm", Of("1", "mol")),
    metric("kat", Of("1", "mol/s")),
    metric("U", Of("1", "umol/min")),
    // Time.
    plain("min", Of("60", "s")),
    plain("h", Of("3600", "s")),
    plain("d", Of("86400", "s")),
    plain("wk", Of("604800", "s")),
    plain("mo", Of("30.4375", "d")),
    plain("mo_j", Of("30.4375", "d")),
    plain("mo_g", Of("30.436875", "d")),
    plain("mo_s", Of("29.53059", "d")),
    plain("a", Of("365.25", "d")),
    plain("a_j", Of("365.25", "d")),
    plain("a_g", Of("365.2425", "d")),
    plain("a_t", Of("365.24219", "d")),
    // Mechanics, electricity, light.
    metric("Hz", Of("1", "s-1")),
    metric("N", Of("1000", "g.m/s2")),
    metric("Pa", Of("1", "N/m2")),
    metric("J", Of("1", "N.m")),
    metric("W", Of("1", "J/s")),
    metric("A", Of("1", "C/s")),
    metric("V", Of("1", "J/C")),
    metric("F", Of("1", "C/V")),
    metric("Ohm", Of("1", "V/A")),
    metric("S", Of("1", "A/V")),
    metric("mho", Of("1", "S")),
    metric("Wb", Of("1", "V.s")),
    metric("T", Of("1", "Wb/m2")),
    metric("H", Of("1", "Wb/A")),
    metric("sr", Of("1", "rad2")),
    metric("lm", Of("1", "cd.sr")),
    metric("lx", Of("1", "lm/m2")),
    metric("dyn", Of("0.00001", "N")),
    metric("erg", Of("0.0000001", "J")),
    metric("P", Of("0.1", "Pa.s")),
    metric("St", Of("1", "cm2/s")),
    metric("Gal", Of("1", "cm/s2")),
    metric("G", Of("0.0001", "T")),
    metric("eV", Of("0.0000000000000000001602176634", "J")),
    metric("[g]", Of("9.80665", "m/s2")),
    metric("gf", Of("1", "g.[g]")),
    // Radiation.
    metric("Bq", Of("1", "s-1")),
    metric("Gy", Of("1", "J/kg")),
    metric("Sv", Of("1", "J/kg")),
    metric("Ci", Of("37000000000", "Bq")),
    metric("R", Of("0.000258", "C/kg")),
    metric("RAD", Of("0.01", "Gy")),
    metric("REM", Of("0.01", "Sv")),
    // Angle.
    plain("deg", About(std::f64::consts::PI / 180.0, "rad")),
    plain("'", About(std::f64::consts::PI / 10_800.0, "rad")),
    plain("''", About(std::f64::consts::PI / 648_000.0, "rad")),
    plain("gon", About(std::f64::consts::PI / 200.0, "rad")),
    plain("circ", About(2.0 * std::f64::consts::PI, "rad")),
    // Volume and area.
    metric("l", Of("1", "dm3")),
    metric("L", Of("1", "dm3")),
    metric("ar", Of("100", "m2")),
    metric("st", Of("1", "m3")),
    plain("[drp]", Of("0.05", "ml")),
    plain("[foz_m]", Of("30", "ml")),
    plain("[tsp_m]", Of("5", "ml")),
    plain("[tbs_m]", Of("15", "ml")),
    plain("[cup_m]", Of("240", "ml")),
    plain("[gal_us]", Of("231", "[in_i]3")),
    plain("[qt_us]", Of("0.25", "[gal_us]")),
    plain("[pt_us]", Of("0.125", "[gal_us]")),
    plain("[cup_us]", Of("0.0625", "[gal_us]")),
    plain("[gil_us]", Of("0.03125", "[gal_us]")),
    plain("[foz_us]", Of("0.0078125", "[gal_us]")),
    plain("[tbs_us]", Of("0.00390625", "[gal_us]")),
    plain("[tsp_us]", Of("1", "[tbs_us]/3")),
    plain("[fdr_us]", Of("0.125", "[foz_us]")),
    plain("[min_us]", Of("1", "[fdr_us]/60")),
    plain("[gal_br]", Of("4.54609", "l")),
    plain("[qt_br]", Of("0.25", "[gal_br]")),
    plain("[pt_br]", Of("0.125", "[gal_br]")),
    plain("[foz_br]", Of("0.00625", "[gal_br]")),
    // Length.
    plain("[in_i]", Of("2.54", "cm")),
    plain("[ft_i]", Of("30.48", "cm")),
    plain("[yd_i]", Of("91.44", "cm")),
    plain("[mi_i]", Of("1609.344", "m")),
    plain("[nmi_i]", Of("1852", "m")),
    plain("[kn_i]", Of("1852", "m/h")),
    plain("[sin_i]", Of("1", "[in_i]2")),
    plain("[sft_i]", Of("1", "[ft_i]2")),
    plain("[syd_i]", Of("1", "[yd_i]2")),
    plain("[cin_i]", Of("1", "[in_i]3")),
    plain("[cft_i]", Of("1", "[ft_i]3")),
    plain("[Ch]", Of("1", "mm/3")),
    plain("Ao", Of("0.1", "nm")),
    // Mass.
    metric("t", Of("1000000", "g")),
    metric("u", Of("0.00000000000000000000000166053906660", "g")),
    plain("[gr]", Of("0.06479891", "g")),
    plain("[lb_av]", Of("453.59237", "g")),
    plain("[oz_av]", Of("28.349523125", "g")),
    plain("[dr_av]", Of("1.7718451953125", "g")),
    plain("[stone_av]", Of("6350.29318", "g")),
    plain("[ston_av]", Of("907184.74", "g")),
    plain("[lton_av]", Of("1016046.9088", "g")),
    plain("[oz_tr]", Of("31.1034768", "g")),
    plain("[lb_tr]", Of("373.2417216", "g")),
    plain("[oz_ap]", Of("31.1034768", "g")),
    plain("[lb_ap]", Of("373.2417216", "g")),
    plain("[dr_ap]", Of("3.8879346", "g")),
    plain("[sc_ap]", Of("1.2959782", "g")),
    plain("[oz_m]", Of("28", "g")),
    plain("[car_m]", Of("0.2", "g")),
    metric("g%", Of("1", "g/dl")),
    // Pressure.
    metric("bar", Of("100000", "Pa")),
    plain("atm", Of("101325", "Pa")),
    metric("m[Hg]", Of("133322", "Pa")),
    metric("m[H2O]", Of("9806.65", "Pa")),
    plain("[in_i'Hg]", Of("0.0254", "m[Hg]")),
    plain("[in_i'H2O]", Of("0.0254", "m[H2O]")),
    plain("[lbf_av]", Of("1", "[lb_av].[g]")),
    plain("[psi]", Of("1", "[lbf_av]/[in_i]2")),
    plain("[PRU]", Of("1", "mm[Hg].s/ml")),
    plain("[wood'U]", Of("1", "mm[Hg].min/l")),
    // Energy and exercise.
    metric("cal", Of("4.184", "J")),
    metric("cal_th", Of("4.184", "J")),
    metric("cal_IT", Of("4.1868", "J")),
    plain("[Cal]", Of("4184", "J")),
    plain("[MET]", Of("3.5", "ml/min/kg")),
    // Optics and laboratory.
    plain("[diop]", Of("1", "m-1")),
    plain("[S]", Of("0.0000000000001", "s")),
    plain("[degR]", Of("5", "K/9")),
    // Scales.
    metric("Cel", Special),
    plain("[degF]", Special),
    plain("[degRe]", Special),
    plain("[pH]", Special),
    plain("[p'diop]", Special),
    plain("%[slope]", Special),
    metric("Np", Special),
    metric("B", Special),
    metric("B[SPL]", Special),
    metric("B[V]", Special),
    metric("B[mV]", Special),
    metric("B[uV]", Special),
    metric("B[W]", Special),
    metric("B[kW]", Special),
    // Units that a procedure defines.
    metric("[iU]", Arbitrary),
    metric("[IU]", Of("1", "[iU]")),
    plain("[arb'U]", Arbitrary),
    plain("[USP'U]", Arbitrary),
    plain("[GPL'U]", Arbitrary),
    plain("[MPL'U]", Arbitrary),
    plain("[APL'U]", Arbitrary),
    plain("[beth'U]", Arbitrary),
    plain("[anti'Xa'U]", Arbitrary),
    plain("[todd'U]", Arbitrary),
    plain("[CCID_50]", Arbitrary),
    plain("[TCID_50]", Arbitrary),
    plain("[EID_50]", Arbitrary),
    plain("[PFU]", Arbitrary),
    plain("[FFU]", Arbitrary),
    plain("[CFU]", Arbitrary),
    plain("[IR]", Arbitrary),
    plain("[BAU]", Arbitrary),
    plain("[AU]", Arbitrary),
    plain("[PNU]", Arbitrary),
    plain("[Lf]", Arbitrary),
    plain("[D'ag'U]", Arbitrary),
    plain("[FEU]", Arbitrary),
    plain("[ELU]", Arbitrary),
    plain("[EU]", Arbitrary),
];
