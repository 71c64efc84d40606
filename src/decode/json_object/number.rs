//! Exact parsing of whole numbers in decimal notation: a number that a float cannot represent must
//! neither change nor be taken for a whole number.

/// Returns the whole number that a decimal notation represents: `3`, `3.0`, `30e-1`. `None` when it
/// is not a number, not whole, or beyond 128 bits.
pub(crate) fn parse_integer(notation: &str) -> Option<i128> {
    if let Ok(number) = notation.parse::<i64>() {
        return Some(i128::from(number));
    }
    let (mantissa, exponent) = match notation.split_once(['e', 'E']) {
        Some((mantissa, exponent)) => (mantissa, exponent.parse::<i32>().ok()?),
        None => (notation, 0),
    };
    let (integer, fraction) = mantissa.split_once('.').unwrap_or((mantissa, ""));
    let fraction = fraction.trim_end_matches('0');
    if !fraction.bytes().all(|digit| digit.is_ascii_digit()) {
        return None;
    }
    let digits = [integer, fraction].concat().parse::<i128>().ok()?;
    if digits == 0 {
        return Some(0);
    }
    let exponent = exponent.checked_sub(i32::try_from(fraction.len()).ok()?)?;
    let power = 10_i128.checked_pow(exponent.unsigned_abs())?;
    if exponent >= 0 {
        digits.checked_mul(power)
    } else {
        (digits % power == 0).then_some(digits / power)
    }
}

#[cfg(test)]
mod tests {
    use super::parse_integer;

    #[test]
    fn whole_numbers_are_exact_in_every_notation() {
        assert_eq!(
            parse_integer("-9223372036854775808"),
            Some(-9_223_372_036_854_775_808)
        );
        assert_eq!(
            parse_integer("18446744073709551615"),
            Some(18_446_744_073_709_551_615)
        );
        assert_eq!(
            parse_integer("9007199254740993.0"),
            Some(9_007_199_254_740_993)
        );
        assert_eq!(parse_integer("30e-1"), Some(3));
        assert_eq!(parse_integer("1.5E+3"), Some(1500));
        assert_eq!(parse_integer("-0.0"), Some(0));
        assert_eq!(
            parse_integer("3.0000000000000000000000000000000000000000000"),
            Some(3)
        );
    }

    #[test]
    fn nothing_else_passes_for_whole() {
        for notation in [
            "",
            "-",
            ".",
            "3.5",
            "1e-1",
            "abc",
            " 3",
            "0x3",
            "1.-5",
            ".-500e3",
            "1e39",
            "1e",
            "1e99999999999",
            "9e999",
            "1.00000000000000000000000000001",
            "NaN",
            "inf",
        ] {
            assert_eq!(parse_integer(notation), None, "{notation}");
        }
    }
}
