//! Exact decimals: a whole number of up to 38 digits and a number of decimal places.
//!
//! `1.50` keeps its two places, since FHIR's decimals say how precise they are (FHIR R4 §2.24.0.1), and
//! `0.1 + 0.2` is `0.3`. Invariant: `scale` is at most [`MAX_SCALE`]; what would not fit is `None`, which
//! FHIRPath calls an overflow and answers with the empty collection.

use std::cmp::Ordering;
use std::fmt;

/// Most decimal places.
pub const MAX_SCALE: u8 = 38;
/// Decimal places of a quotient that does not end by itself.
const QUOTIENT_PLACES: u8 = 20;

/// An exact decimal number.
#[derive(Clone, Copy)]
pub struct Decimal {
    /// Little-endian bytes of the mantissa: alignment 1 keeps items small.
    mantissa: [u8; 16],
    scale: u8,
}

impl Decimal {
    /// Zero without decimal places.
    pub const ZERO: Decimal = Decimal { mantissa: [0; 16], scale: 0 };

    /// `mantissa` divided by ten to the power of `scale`; `None` where `scale` is above [`MAX_SCALE`].
    pub fn new(mantissa: i128, scale: u8) -> Option<Decimal> {
        // The least i128 has no negative.
        (scale <= MAX_SCALE && mantissa != i128::MIN).then(|| Decimal::make(mantissa, scale))
    }

    fn make(mantissa: i128, scale: u8) -> Decimal {
        Decimal { mantissa: mantissa.to_le_bytes(), scale }
    }

    /// The digits as a whole number.
    pub fn mantissa(&self) -> i128 {
        i128::from_le_bytes(self.mantissa)
    }

    /// How many of the digits are decimal places.
    pub fn scale(&self) -> u8 {
        self.scale
    }

    /// Reads `[+-]digits[.digits][(e|E)[+-]digits]`. Places beyond [`MAX_SCALE`] are cut off.
    pub fn parse(text: &str) -> Option<Decimal> {
        let (negative, unsigned) = match text.as_bytes().first()? {
            b'-' => (true, text.get(1..)?),
            b'+' => (false, text.get(1..)?),
            _ => (false, text),
        };
        let (digits, exponent) = match unsigned.find(['e', 'E']) {
            Some(at) => (unsigned.get(..at)?, unsigned.get(at + 1..)?.parse::<i32>().ok()?),
            None => (unsigned, 0),
        };
        let (whole, fraction) = match digits.split_once('.') {
            Some((_, "")) => return None,
            Some(parts) => parts,
            None => (digits, ""),
        };
        if whole.is_empty() || !whole.bytes().chain(fraction.bytes()).all(|byte| byte.is_ascii_digit()) {
            return None;
        }
        let fraction = fraction.get(..fraction.len().min(usize::from(MAX_SCALE)))?;
        let mut mantissa: i128 = 0;
        for digit in whole.bytes().chain(fraction.bytes()) {
            mantissa = mantissa.checked_mul(10)?.checked_add(i128::from(digit - b'0'))?;
        }
        let mantissa = if negative { -mantissa } else { mantissa };
        Decimal::scaled(mantissa, i32::try_from(fraction.len()).ok()?.checked_sub(exponent)?)
    }

    /// `mantissa` × 10^-`scale` for any scale.
    fn scaled(mantissa: i128, scale: i32) -> Option<Decimal> {
        if mantissa == 0 {
            let places = u8::try_from(scale.clamp(0, i32::from(MAX_SCALE))).ok()?;
            return Decimal::new(0, places);
        }
        if scale < 0 {
            let factor = pow10(u8::try_from(-scale).ok()?)?;
            return Decimal::new(mantissa.checked_mul(factor)?, 0);
        }
        let (mut mantissa, mut scale) = (mantissa, scale);
        while scale > i32::from(MAX_SCALE) {
            mantissa /= 10;
            scale -= 1;
            if mantissa == 0 {
                return Decimal::new(0, MAX_SCALE);
            }
        }
        Decimal::new(mantissa, u8::try_from(scale).ok()?)
    }

    /// The decimal nearest to a binary fraction, by its shortest digits; `None` for infinities and NaN.
    pub fn from_f64(value: f64) -> Option<Decimal> {
        value.is_finite().then(|| Decimal::parse(&format!("{value:e}"))).flatten()
    }

    /// The nearest binary fraction.
    pub fn to_f64(self) -> f64 {
        self.to_string().parse().unwrap_or(f64::NAN)
    }

    /// The value without decimal places where it has none but zeros.
    pub fn to_whole(self) -> Option<i128> {
        let factor = pow10(self.scale)?;
        (self.mantissa() % factor == 0).then(|| self.mantissa() / factor)
    }

    /// The integer part.
    pub fn truncated(self) -> i128 {
        pow10(self.scale).map_or(0, |factor| self.mantissa() / factor)
    }

    /// The greatest whole number that is not above.
    pub fn floor(self) -> i128 {
        pow10(self.scale).map_or(0, |factor| self.mantissa().div_euclid(factor))
    }

    /// True for zero with any number of places.
    pub fn is_zero(&self) -> bool {
        self.mantissa() == 0
    }

    /// True below zero.
    pub fn is_negative(&self) -> bool {
        self.mantissa() < 0
    }

    /// The value with the sign changed.
    pub fn negated(self) -> Decimal {
        Decimal::make(-self.mantissa(), self.scale)
    }

    /// The value without sign.
    pub fn abs(self) -> Decimal {
        if self.is_negative() { self.negated() } else { self }
    }

    /// The sum.
    pub fn plus(self, other: Decimal) -> Option<Decimal> {
        let (left, right, scale) = aligned(self, other)?;
        Decimal::new(left.checked_add(right)?, scale)
    }

    /// The difference.
    pub fn minus(self, other: Decimal) -> Option<Decimal> {
        self.plus(other.negated())
    }

    /// The product.
    pub fn times(self, other: Decimal) -> Option<Decimal> {
        let product = |left: Decimal, right: Decimal| {
            let scale = left.scale.checked_add(right.scale)?;
            Decimal::new(left.mantissa().checked_mul(right.mantissa())?, scale)
        };
        product(self, other).or_else(|| product(self.normalized(), other.normalized()))
    }

    /// The quotient, exact where it ends within [`QUOTIENT_PLACES`] places, else rounded to them; `None`
    /// also for a division by zero.
    pub fn divided_by(self, other: Decimal) -> Option<Decimal> {
        let (divisor, mut scale) = (other.mantissa(), i32::from(self.scale) - i32::from(other.scale));
        let mut mantissa = self.mantissa();
        if divisor == 0 {
            return None;
        }
        while mantissa % divisor != 0 && scale < i32::from(QUOTIENT_PLACES) + 1 {
            let Some(wider) = mantissa.checked_mul(10) else { break };
            mantissa = wider;
            scale += 1;
        }
        let quotient = Decimal::scaled(mantissa.checked_div(divisor)?, scale)?;
        if mantissa % divisor == 0 { Some(quotient) } else { quotient.rounded(QUOTIENT_PLACES) }
    }

    /// The quotient without its decimal places.
    pub fn div_whole(self, other: Decimal) -> Option<Decimal> {
        let (left, right, _) = aligned(self, other)?;
        Decimal::new(left.checked_div(right)?, 0)
    }

    /// What a division leaves, with the sign of the dividend.
    pub fn modulo(self, other: Decimal) -> Option<Decimal> {
        let (left, right, scale) = aligned(self, other)?;
        Decimal::new(left.checked_rem(right)?, scale)
    }

    /// The value raised to a whole power.
    pub fn power(self, exponent: u32) -> Option<Decimal> {
        let (mut result, mut base, mut left) = (Decimal::from(1i64), self, exponent);
        while left > 0 {
            if left & 1 == 1 {
                result = result.times(base)?;
            }
            left >>= 1;
            if left > 0 {
                base = base.times(base)?;
            }
        }
        Some(result)
    }

    /// Rounded to at most `places`, halves away from zero. Fewer places stay as they are.
    pub fn rounded(self, places: u8) -> Option<Decimal> {
        let Some(excess) = self.scale.checked_sub(places).filter(|&excess| excess > 0) else {
            return Some(self);
        };
        let factor = pow10(excess)?;
        let (quotient, rest) = (self.mantissa() / factor, self.mantissa() % factor);
        let up = rest.unsigned_abs() >= factor.unsigned_abs() - factor.unsigned_abs() / 2;
        Decimal::new(if up { quotient + self.mantissa().signum() } else { quotient }, places)
    }

    /// With exactly `places`: zeros added, or digits cut off.
    pub fn with_places(self, places: u8) -> Option<Decimal> {
        if places >= self.scale {
            let mantissa = self.mantissa().checked_mul(pow10(places - self.scale)?)?;
            return Decimal::new(mantissa, places);
        }
        Decimal::new(self.mantissa() / pow10(self.scale - places)?, places)
    }

    /// Without zeros at the end of the decimal places.
    pub fn normalized(self) -> Decimal {
        let (mut mantissa, mut scale) = (self.mantissa(), self.scale);
        while scale > 0 && mantissa % 10 == 0 {
            mantissa /= 10;
            scale -= 1;
        }
        Decimal::make(mantissa, scale)
    }
}

impl From<i64> for Decimal {
    fn from(value: i64) -> Decimal {
        Decimal::make(i128::from(value), 0)
    }
}

impl From<i32> for Decimal {
    fn from(value: i32) -> Decimal {
        Decimal::make(i128::from(value), 0)
    }
}

impl PartialEq for Decimal {
    fn eq(&self, other: &Decimal) -> bool {
        self.cmp(other) == Ordering::Equal
    }
}

impl Eq for Decimal {}

impl PartialOrd for Decimal {
    fn partial_cmp(&self, other: &Decimal) -> Option<Ordering> {
        Some(self.cmp(other))
    }
}

impl Ord for Decimal {
    /// By value: `1.10` equals `1.1`.
    fn cmp(&self, other: &Decimal) -> Ordering {
        if let Some((left, right, _)) = aligned(*self, *other) {
            return left.cmp(&right);
        }
        self.floor().cmp(&other.floor()).then_with(|| fraction(*self).cmp(&fraction(*other)))
    }
}

/// What stands above the floor, as a mantissa of [`MAX_SCALE`] places: always below 10^38.
fn fraction(value: Decimal) -> i128 {
    let above = pow10(value.scale).map_or(0, |factor| value.mantissa().rem_euclid(factor));
    pow10(MAX_SCALE - value.scale).and_then(|factor| above.checked_mul(factor)).unwrap_or(0)
}

fn aligned(left: Decimal, right: Decimal) -> Option<(i128, i128, u8)> {
    let scale = left.scale.max(right.scale);
    let widen = |value: Decimal| value.mantissa().checked_mul(pow10(scale - value.scale)?);
    Some((widen(left)?, widen(right)?, scale))
}

fn pow10(exponent: u8) -> Option<i128> {
    10i128.checked_pow(u32::from(exponent))
}

impl fmt::Display for Decimal {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let digits = self.mantissa().unsigned_abs().to_string();
        if self.is_negative() {
            f.write_str("-")?;
        }
        let places = usize::from(self.scale);
        if places == 0 {
            return f.write_str(&digits);
        }
        let padded = format!("{digits:0>width$}", width = places + 1);
        let (whole, fraction) = padded.split_at(padded.len() - places);
        write!(f, "{whole}.{fraction}")
    }
}

impl fmt::Debug for Decimal {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "Decimal({self})")
    }
}

#[cfg(test)]
#[allow(clippy::unwrap_used)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    fn d(text: &str) -> Decimal {
        Decimal::parse(text).unwrap()
    }

    fn shown(value: Option<Decimal>) -> String {
        value.map_or_else(|| "overflow".to_owned(), |value| value.to_string())
    }

    #[test]
    fn digits_are_kept() {
        for text in ["0", "1.50", "-0.010", "120", "0.0", "99999999999999999999999999999999999999"] {
            assert_eq!(d(text).to_string(), text);
        }
        assert_eq!(d("1.5e3").to_string(), "1500");
        assert_eq!(d("15e-4").to_string(), "0.0015");
        for text in ["", "-", ".5", "5.", "1e", "a", "1.2.3", "1e99"] {
            assert!(Decimal::parse(text).is_none(), "{text}");
        }
    }

    #[test]
    fn arithmetic_is_exact() {
        assert_eq!(shown(d("0.1").plus(d("0.2"))), "0.3");
        assert_eq!(shown(d("1.2").times(d("1.8"))), "2.16");
        assert_eq!(shown(d("1").divided_by(d("8"))), "0.125");
        assert_eq!(shown(d("4.0").divided_by(d("2.0"))), "2");
        assert_eq!(shown(d("1").divided_by(d("3"))), "0.33333333333333333333");
        assert_eq!(shown(d("2").divided_by(d("3"))), "0.66666666666666666667");
        assert_eq!(shown(d("1").divided_by(d("0.0"))), "overflow");
        assert_eq!(shown(d("5.5").div_whole(d("0.7"))), "7");
        assert_eq!(shown(d("5.5").modulo(d("0.7"))), "0.6");
        assert_eq!(shown(d("2.5").power(2)), "6.25");
        assert_eq!(shown(d("10").power(39)), "overflow");
    }

    #[test]
    fn rounding_moves_halves_away_from_zero() {
        assert_eq!(shown(d("3.14159").rounded(3)), "3.142");
        assert_eq!(shown(d("0.5").rounded(0)), "1");
        assert_eq!(shown(d("-0.5").rounded(0)), "-1");
        assert_eq!(shown(d("0.449").rounded(1)), "0.4");
        assert_eq!((d("-1.1").floor(), d("-1.1").truncated(), d("2.1").floor()), (-2, -1, 2));
    }

    #[test]
    fn order_is_by_value_even_where_digits_do_not_fit() {
        assert_eq!(d("1.10"), d("1.1"));
        let wide = d("99999999999999999999999999999999999999");
        let narrow = d("0.00000000000000000000000000000000000001");
        assert!(narrow < wide && wide.negated() < narrow.negated());
        assert!(d("-0.5") < d("0.00000000000000000000000000000000000001"));
    }

    proptest! {
        #[test]
        fn sums_and_products_agree_with_whole_numbers(a in -1_000_000i64..1_000_000, b in -1_000_000i64..1_000_000, s in 0u8..6, t in 0u8..6) {
            let left = Decimal::new(i128::from(a), s).unwrap();
            let right = Decimal::new(i128::from(b), t).unwrap();
            let product = left.times(right).unwrap();
            prop_assert_eq!(product.mantissa(), i128::from(a) * i128::from(b));
            prop_assert_eq!(left.plus(right).unwrap().minus(right).unwrap(), left);
            let back = Decimal::parse(&left.to_string()).unwrap();
            prop_assert_eq!(back.to_string(), left.to_string());
            if b != 0 {
                let whole = left.div_whole(right).unwrap().times(right).unwrap().plus(left.modulo(right).unwrap()).unwrap();
                prop_assert_eq!(whole, left);
            }
        }
    }
}
