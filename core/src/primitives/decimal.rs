//! Exact comparison of decimal numbers as text, so that a bound never passes through a float.

use std::cmp::Ordering;

/// A decimal number taken apart: sign, significant digits without leading or trailing zeros, and the power of ten of
/// the digit before the point.
#[derive(PartialEq, Eq)]
struct Parts {
    negative: bool,
    digits: Vec<u8>,
    exponent: i64,
}

/// Compares two decimal numbers exactly: `-1.50`, `3`, `2e-3`. `None` if either is not one.
#[must_use]
pub fn compare_decimals(left: &str, right: &str) -> Option<Ordering> {
    let (left, right) = (parse(left)?, parse(right)?);
    Some(match (left.negative, right.negative) {
        (false, true) => Ordering::Greater,
        (true, false) => Ordering::Less,
        (false, false) => magnitude(&left, &right),
        (true, true) => magnitude(&right, &left),
    })
}

fn magnitude(left: &Parts, right: &Parts) -> Ordering {
    match (left.digits.is_empty(), right.digits.is_empty()) {
        (true, true) => Ordering::Equal,
        (true, false) => Ordering::Less,
        (false, true) => Ordering::Greater,
        (false, false) => left.exponent.cmp(&right.exponent).then_with(|| left.digits.cmp(&right.digits)),
    }
}

fn parse(text: &str) -> Option<Parts> {
    let (negative, text) = match text.strip_prefix('-') {
        Some(rest) => (true, rest),
        None => (false, text),
    };
    let (mantissa, power) = match text.split_once(['e', 'E']) {
        Some((mantissa, power)) => {
            let digits = power.strip_prefix(['+', '-']).unwrap_or(power);
            if digits.is_empty() || digits.len() > 9 || !digits.bytes().all(|b| b.is_ascii_digit()) {
                return None;
            }
            (mantissa, power.parse::<i64>().ok()?)
        }
        None => (text, 0),
    };
    let (whole, fraction) = match mantissa.split_once('.') {
        Some((_, "")) => return None,
        Some(parts) => parts,
        None => (mantissa, ""),
    };
    if whole.is_empty() || !whole.bytes().chain(fraction.bytes()).all(|b| b.is_ascii_digit()) {
        return None;
    }
    let all: Vec<u8> = whole.bytes().chain(fraction.bytes()).collect();
    let leading = all.iter().take_while(|d| **d == b'0').count();
    let mut digits: Vec<u8> = all.into_iter().skip(leading).collect();
    while digits.last() == Some(&b'0') {
        digits.pop();
    }
    let exponent = i64::try_from(whole.len()).ok()? - i64::try_from(leading).ok()? + power;
    let negative = negative && !digits.is_empty();
    Some(Parts { negative, digits, exponent })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn compares_beyond_floats() {
        let cases = [
            ("9007199254740993", "9007199254740992", Ordering::Greater),
            ("1.10", "1.1", Ordering::Equal),
            ("-0.0", "0", Ordering::Equal),
            ("-2", "-10", Ordering::Greater),
            ("1e3", "1000.0", Ordering::Equal),
            ("0.001", "2e-3", Ordering::Less),
            ("99999999999999999999.5", "99999999999999999999.49", Ordering::Greater),
        ];
        for (left, right, expected) in cases {
            assert_eq!(compare_decimals(left, right), Some(expected), "{left} ? {right}");
            assert_eq!(compare_decimals(right, left), Some(expected.reverse()), "{right} ? {left}");
        }
        for bad in ["", "-", ".5", "5.", "1e", "0x1", "1 ", "NaN", "+1", "1e9999999999"] {
            assert_eq!(compare_decimals(bad, "1"), None, "{bad:?}");
        }
    }
}
