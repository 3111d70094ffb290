//! The bytes of rollups: numbers of as few bytes as they need, seven bits in each, the least first.
//!
//! Not bincode's integers: most sums of a rollup need 6 to 8 bytes, or 10 to 12, and bincode has
//! nothing between 5, 9 and 17. Rollups would grow by 7 to 23 %.

use crate::engine::format::codec;

type Result<T> = std::result::Result<T, String>;

pub(super) fn put(value: u64, out: &mut Vec<u8>) {
    put_wide(value.into(), out);
}

#[expect(
    clippy::cast_possible_truncation,
    reason = "seven bits are taken at a time"
)]
pub(super) fn put_wide(mut value: u128, out: &mut Vec<u8>) {
    while value >= 0x80 {
        // The highest bit says that more follows.
        out.push(0x80 | (value & 0x7F) as u8);
        value >>= 7;
    }
    out.push(value as u8);
}

/// Small numbers of either sign take few bytes.
pub(super) fn put_signed(value: i64, out: &mut Vec<u8>) {
    // The sign moves to the lowest bit: small negative numbers are short too.
    put(((value << 1) ^ (value >> 63)).cast_unsigned(), out);
}

/// The bytes that are still to be read.
pub(super) struct ByteReader<'a>(&'a [u8]);

impl<'a> ByteReader<'a> {
    pub(super) fn new(bytes: &'a [u8]) -> Self {
        ByteReader(bytes)
    }

    pub(super) fn byte(&mut self) -> Result<u8> {
        let (first, rest) = self.0.split_first().ok_or("it ends too early")?;
        self.0 = rest;
        Ok(*first)
    }

    #[inline]
    pub(super) fn number(&mut self) -> Result<u64> {
        // Most numbers are small.
        if let Some((first, rest)) = self.0.split_first()
            && *first < 0x80
        {
            self.0 = rest;
            return Ok(u64::from(*first));
        }
        u64::try_from(self.wide()?).map_err(|_| "a number is too large".to_owned())
    }

    /// A count that only grows: not more than a journal can hold.
    pub(super) fn bounded(&mut self) -> Result<u64> {
        let value = self.number()?;
        codec::bounded("a count", value)?;
        Ok(value)
    }

    pub(super) fn wide(&mut self) -> Result<u128> {
        let mut value = 0_u128;
        let mut shift = 0;
        loop {
            let byte = self.byte()?;
            let bits = u128::from(byte & 0x7F);
            // 128 bits have room for two of the 19th byte.
            if shift > 126 || (shift == 126 && bits > 3) {
                return Err("a number is too large".to_owned());
            }
            value |= bits << shift;
            if byte < 0x80 {
                return Ok(value);
            }
            shift += 7;
        }
    }

    pub(super) fn signed(&mut self) -> Result<i64> {
        let value = self.number()?;
        Ok((value >> 1).cast_signed() ^ -((value & 1).cast_signed()))
    }

    pub(super) fn small<T: TryFrom<u64>>(&mut self) -> Result<T> {
        let value = self.number()?;
        T::try_from(value).map_err(|_| format!("{value} is too large"))
    }

    pub(super) fn float(&mut self) -> Result<f32> {
        let (bytes, rest) = self.0.split_first_chunk().ok_or("it ends too early")?;
        self.0 = rest;
        Ok(f32::from_le_bytes(*bytes))
    }

    /// How many things follow, each of which takes a byte at least.
    pub(super) fn count(&mut self) -> Result<usize> {
        let count = self.small()?;
        // Each part takes a byte or more. Nothing is allocated for a false count.
        if count > self.0.len() {
            return Err(format!("{count} parts in {} bytes", self.0.len()));
        }
        Ok(count)
    }

    pub(super) fn end(&self) -> Result<()> {
        match self.0.len() {
            0 => Ok(()),
            more => Err(format!("{more} bytes too many")),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    proptest! {
        #[test]
        fn numbers_come_back(wide: u128, shift in 0_u32..128, signed: i64) {
            let wide = wide >> shift;
            let mut out = Vec::new();
            put_wide(wide, &mut out);
            put_signed(signed, &mut out);
            let mut bytes = ByteReader::new(&out);
            prop_assert_eq!(bytes.wide(), Ok(wide));
            prop_assert_eq!(bytes.signed(), Ok(signed));
            prop_assert_eq!(bytes.end(), Ok(()));
            for length in 0..out.len() {
                let mut cut = ByteReader::new(&out[..length]);
                prop_assert!(cut.wide().and_then(|_| cut.signed()).is_err());
            }
        }
    }

    #[test]
    fn what_is_too_large_is_refused() {
        let mut out = vec![0xFF; 18];
        out.push(0x04);
        assert!(ByteReader::new(&out).wide().is_err());
        out[18] = 0x03;
        assert_eq!(ByteReader::new(&out).wide(), Ok(u128::MAX));
        assert!(ByteReader::new(&out).number().is_err());
    }
}
