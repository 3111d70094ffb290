//! Between which limits a mean lies, with 95 of 100 such limits holding.

/// How a mean spreads, as its batches in the order of time show it.
#[derive(Clone, Copy, Debug, PartialEq)]
pub(super) struct Spread {
    /// 0 if there are too few values for batches.
    pub(super) batches: u64,
    /// The variance of the mean, divided by that of as many independent values; at least 1.
    pub(super) effect: f64,
}

impl Spread {
    pub(super) const INDEPENDENT: Spread = Spread {
        batches: 0,
        effect: 1.0,
    };
}

/// The standard normal deviate that 2.5 of 100 exceed.
const NORMAL: f64 = 1.959_963_984_540_054;

/// Wilson's score interval of a share: right also near 0 and 1, and for few decisions (Wilson,
/// *Probable inference, the law of succession, and statistical inference*, 1927). For dependent
/// decisions it is that of the equivalent number of independent ones (Korn and Graubard,
/// *Confidence intervals for proportions with small expected number of positive counts estimated
/// from survey data*, 1998).
pub(super) fn wilson(hits: u64, of: u64, spread: Spread) -> (f64, f64) {
    if of == 0 {
        return (0.0, 1.0);
    }
    let (count, share) = (of as f64 / spread.effect, hits as f64 / of as f64);
    let deviate = match spread.batches {
        0 => NORMAL,
        batches => student_deviate(batches.saturating_sub(1)),
    };
    let square = deviate * deviate;
    let middle = share + square / (2.0 * count);
    let reach = deviate * (share * (1.0 - share) / count + square / (4.0 * count * count)).sqrt();
    let whole = 1.0 + square / count;
    (
        ((middle - reach) / whole).max(0.0),
        ((middle + reach) / whole).min(1.0),
    )
}

/// Student's interval of a mean (*The probable error of a mean*, 1908), of batch means where there
/// are batches. Without limits for fewer than two values.
pub(super) fn student(mean: f64, variance: f64, count: u64, spread: Spread) -> (f64, f64) {
    let independent = match spread.batches {
        0 => count,
        batches => batches,
    };
    let error = (variance * spread.effect / count as f64).sqrt();
    let reach = student_deviate(independent.saturating_sub(1)) * error;
    if reach.is_finite() {
        (mean - reach, mean + reach)
    } else {
        (f64::NEG_INFINITY, f64::INFINITY)
    }
}

/// The deviate of Student's distribution that 2.5 of 100 exceed: Hill's approximation (*Algorithm
/// 396: Student's t-quantiles*, 1970), to six digits.
fn student_deviate(freedom: u64) -> f64 {
    const TAILS: f64 = 0.05;
    match freedom {
        0 => return f64::INFINITY,
        1 => return 1.0 / (TAILS * std::f64::consts::FRAC_PI_2).tan(),
        2 => return (2.0 / (TAILS * (2.0 - TAILS)) - 2.0).sqrt(),
        _ => {}
    }
    let n = freedom as f64;
    let a = 1.0 / (n - 0.5);
    let b = 48.0 / (a * a);
    let mut c = ((20_700.0 * a / b - 98.0) * a - 16.0) * a + 96.36;
    let d = ((94.5 / (b + c) - 3.0) / b + 1.0) * (a * std::f64::consts::FRAC_PI_2).sqrt() * n;
    let mut y = (d * TAILS).powf(2.0 / n);
    if y > 0.05 + a {
        let x = -NORMAL;
        y = x * x;
        if freedom < 5 {
            c += 0.3 * (n - 4.5) * (x + 0.6);
        }
        c += (((0.05 * d * x - 5.0) * x - 7.0) * x - 2.0) * x + b;
        y = (((((0.4 * y + 6.3) * y + 36.0) * y + 94.5) / c - y - 3.0) / b + 1.0) * x;
        y = (a * y * y).exp_m1();
    } else {
        let tail = (n + 6.0) / (n * y) - 0.089 * d - 0.822;
        y = ((1.0 / (tail * (n + 2.0) * 3.0) + 0.5 / (n + 4.0)) * y - 1.0) * (n + 1.0) / (n + 2.0)
            + 1.0 / y;
    }
    (n * y).sqrt()
}

#[cfg(test)]
mod tests {
    use super::*;

    fn assert_near(found: f64, expected: f64) {
        let near = (found - expected).abs() <= 1e-4 * expected.abs().max(0.01);
        assert!(near, "{found} is not {expected}");
    }

    /// From the tables in any textbook.
    #[test]
    fn deviates_of_student() {
        for (freedom, expected) in [
            (1, 12.706_205),
            (2, 4.302_653),
            (3, 3.182_446),
            (4, 2.776_445),
            (5, 2.570_582),
            (10, 2.228_139),
            (30, 2.042_272),
            (100, 1.983_972),
            (1_000, 1.962_339),
        ] {
            assert_near(student_deviate(freedom), expected);
        }
        assert_near(student_deviate(1 << 40), NORMAL);
        assert_near(student_deviate(u64::MAX), NORMAL);
    }

    #[test]
    fn intervals_of_a_mean() {
        let (low, high) = student(5.0, 4.0, 11, Spread::INDEPENDENT);
        assert_near(high - 5.0, 2.228_139 * (4.0_f64 / 11.0).sqrt());
        assert_near(5.0 - low, high - 5.0);
        for (mean, variance, count) in [(f64::NAN, f64::NAN, 0), (1.0, f64::NAN, 1)] {
            let (low, high) = student(mean, variance, count, Spread::INDEPENDENT);
            assert!(low == f64::NEG_INFINITY && high == f64::INFINITY);
        }
        assert_eq!(student(1.0, 0.0, 2, Spread::INDEPENDENT), (1.0, 1.0));
    }

    /// Newcombe (1998) gives these for Wilson's method.
    #[test]
    fn intervals_of_a_share() {
        for (hits, of, expected) in [
            (81, 263, (0.2553, 0.3662)),
            (15, 148, (0.0624, 0.1605)),
            (0, 20, (0.0, 0.1611)),
            (1, 29, (0.0061, 0.1718)),
        ] {
            let (low, high) = wilson(hits, of, Spread::INDEPENDENT);
            assert!((low - expected.0).abs() < 5e-5 && (high - expected.1).abs() < 5e-5);
        }
        let (low, high) = wilson(29, 29, Spread::INDEPENDENT);
        assert!(low > 0.88 && high > 1.0 - 1e-12);
        assert_eq!(wilson(0, 0, Spread::INDEPENDENT), (0.0, 1.0));
    }
}
