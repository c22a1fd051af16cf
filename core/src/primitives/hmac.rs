use std::fmt;

use hmac::{Hmac, KeyInit, Mac};
use sha2::{Digest, Sha256};
use subtle::{Choice, ConstantTimeEq};
use zeroize::Zeroizing;

/// A key of any length for HMAC-SHA256 (RFC 2104), made ready once and used often. It cannot be printed; its state is
/// wiped when it goes.
#[derive(Clone)]
pub struct HmacKey(Hmac<Sha256>);

impl HmacKey {
    const BLOCK: usize = 64;

    /// A key from its bytes.
    #[must_use]
    pub fn new(bytes: &[u8]) -> Self {
        // RFC 2104, section 2: a key longer than a block is hashed first, a shorter one is filled up with zeros.
        let mut block = Zeroizing::new([0_u8; Self::BLOCK]);
        if bytes.len() > Self::BLOCK {
            block.iter_mut().zip(Sha256::digest(bytes)).for_each(|(to, from)| *to = from);
        } else {
            block.iter_mut().zip(bytes).for_each(|(to, from)| *to = *from);
        }
        Self(Hmac::new(&(*block).into()))
    }

    /// The tag over these parts, one after the other.
    #[must_use]
    pub fn tag(&self, parts: &[&[u8]]) -> [u8; 32] {
        let mut mac = self.0.clone();
        for part in parts {
            mac.update(part);
        }
        mac.finalize().into_bytes().into()
    }

    /// True if `tag` is the whole tag over these parts; compared in constant time.
    #[must_use]
    pub fn verify(&self, parts: &[&[u8]], tag: &[u8]) -> bool {
        let whole: Result<&[u8; 32], _> = tag.try_into();
        whole.is_ok_and(|tag| Self::same(&self.tag(parts), tag).into())
    }

    /// True if two tags are the same, in constant time, eight bytes at a time.
    #[must_use]
    pub(crate) fn same(one: &[u8; 32], other: &[u8; 32]) -> Choice {
        let words = one.as_chunks().0.iter().zip(other.as_chunks().0);
        words.fold(Choice::from(1), |same, (a, b)| same & u64::from_ne_bytes(*a).ct_eq(&u64::from_ne_bytes(*b)))
    }
}

impl fmt::Debug for HmacKey {
    fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        formatter.write_str("HmacKey(…)")
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    /// RFC 4231, cases 1, 2, 3 and 6.
    #[test]
    fn published_tags() {
        let cases: [(&[u8], &[u8], &str); 4] = [
            (&[0x0b; 20], b"Hi There", "b0344c61d8db38535ca8afceaf0bf12b881dc200c9833da726e9376c2e32cff7"),
            (
                b"Jefe",
                b"what do ya want for nothing?",
                "5bdcc146bf60754e6a042426089575c75a003f089d2739839dec58b964ec3843",
            ),
            (&[0xaa; 20], &[0xdd; 50], "773ea91e36800e46854db8ebd09181a72959098b3ef8c122d9635514ced565fe"),
            (
                &[0xaa; 131],
                b"Test Using Larger Than Block-Size Key - Hash Key First",
                "60e431591ee0b67f0d8a26aacbf5b77f8e0bc6213728c5140546040f0ee37f54",
            ),
        ];
        for (bytes, data, expected) in cases {
            let key = HmacKey::new(bytes);
            let (left, right) = data.split_at(3);
            let tag = key.tag(&[left, right]);
            assert_eq!(hex::encode(tag), expected);
            assert!(key.verify(&[data], &tag));
            assert!(!key.verify(&[data], &tag[..16]), "a cut tag is no tag");
            assert!(!key.verify(&[data, b"."], &tag));
        }
        assert_eq!(format!("{:?}", HmacKey::new(b"planted")), "HmacKey(…)");
    }
}
