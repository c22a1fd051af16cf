//! The public keys of an issuer: a JSON Web Key Set (RFC 7517), of which only what can check a signature is read.

use std::sync::Arc;

use base64::Engine as _;
use base64::engine::general_purpose::URL_SAFE_NO_PAD;
use ring::signature::{ECDSA_P256_SHA256_FIXED, ED25519, RSA_PKCS1_2048_8192_SHA256, RsaPublicKeyComponents};
use ring::signature::{UnparsedPublicKey, VerificationAlgorithm};

use crate::contract::Algorithm;
use crate::primitives::json::{self, Node};

/// A document may be so long, in bytes.
pub(super) const LONGEST: usize = 256 << 10;
/// It may have so many keys.
const MOST: usize = 64;
/// A modulus of RSA has at least so many bits.
const RSA_BITS: usize = 2_048;

/// The keys that can be used.
#[derive(Debug)]
pub(super) struct KeySet(Vec<Arc<Key>>);

/// A key and the one algorithm that it is for.
pub(super) struct Key {
    id: Option<String>,
    algorithm: Algorithm,
    material: Material,
}

enum Material {
    Point(Vec<u8>),
    Rsa { n: Vec<u8>, e: Vec<u8> },
}

impl std::fmt::Debug for Key {
    fn fmt(&self, formatter: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        write!(formatter, "Key({}, …)", self.algorithm.as_str())
    }
}

/// What a token's header leads to.
#[derive(Debug)]
pub(super) enum Pick {
    One(Arc<Key>),
    /// No key has this id: the set may be too old.
    Unknown,
    /// The set is not too old, and has no such key.
    Refused(&'static str),
}

impl KeySet {
    /// Reads a document. A key that cannot be used here is passed over; a document that is none is refused.
    pub(super) fn parse(document: &[u8]) -> Result<Self, &'static str> {
        if document.len() > LONGEST {
            return Err("the key set is longer than 256 KiB");
        }
        let text = std::str::from_utf8(document).map_err(|_| "the key set is not UTF-8")?;
        let root = json::parse(text).map_err(|_| "the key set is not JSON, or a key stands twice in it")?;
        let keys = root.get("keys").and_then(Node::as_array).ok_or("the key set has no list of keys")?;
        if keys.len() > MOST {
            return Err("the key set has more than 64 keys");
        }
        Ok(Self(keys.iter().filter_map(key).map(Arc::new).collect()))
    }

    /// The key for a header. An id names one key or none; without an id, one key has to be the only one that fits.
    pub(super) fn pick(&self, algorithm: Algorithm, id: Option<&str>) -> Pick {
        let named = |key: &&Arc<Key>| id.is_none() || key.id.as_deref() == id;
        if id.is_some() && !self.0.iter().any(|key| named(&key)) {
            return Pick::Unknown;
        }
        let mut fitting = self.0.iter().filter(named).filter(|key| key.algorithm == algorithm);
        match (fitting.next(), fitting.next(), id) {
            (Some(key), None, _) => Pick::One(Arc::clone(key)),
            (None, _, Some(_)) => Pick::Refused("the key of this id is for another algorithm"),
            (None, _, None) => Pick::Refused("no key is for this algorithm"),
            (Some(_), Some(_), Some(_)) => Pick::Refused("two keys have this id"),
            (Some(_), Some(_), None) => Pick::Refused("several keys fit, and it names none"),
        }
    }
}

impl Key {
    /// True if this is the signature of the message under this key.
    pub(super) fn verifies(&self, message: &[u8], signature: &[u8]) -> bool {
        let check = |algorithm: &'static dyn VerificationAlgorithm, point: &[u8]| {
            UnparsedPublicKey::new(algorithm, point).verify(message, signature)
        };
        let checked = match (&self.material, self.algorithm) {
            (Material::Point(point), Algorithm::EdDsa) => check(&ED25519, point),
            (Material::Point(point), Algorithm::Es256) => check(&ECDSA_P256_SHA256_FIXED, point),
            (Material::Rsa { n, e }, Algorithm::Rs256) => {
                RsaPublicKeyComponents { n, e }.verify(&RSA_PKCS1_2048_8192_SHA256, message, signature)
            }
            _ => return false,
        };
        checked.is_ok()
    }
}

/// A key that can be used: public, asymmetric, for signatures, and for the algorithm that it says, if it says one.
fn key(node: &Node) -> Option<Key> {
    let text = |name: &str| node.get(name).map(Node::as_str);
    let bytes = |name: &str| URL_SAFE_NO_PAD.decode(node.get(name)?.as_str()?).ok();
    let coordinate = |name: &str| bytes(name).filter(|bytes| bytes.len() == 32);
    let (algorithm, material) = match (node.get("kty")?.as_str()?, text("crv").flatten()) {
        ("OKP", Some("Ed25519")) => (Algorithm::EdDsa, Material::Point(coordinate("x")?)),
        ("EC", Some("P-256")) => {
            let uncompressed = [vec![4], coordinate("x")?, coordinate("y")?].concat();
            (Algorithm::Es256, Material::Point(uncompressed))
        }
        ("RSA", _) => (Algorithm::Rs256, Material::Rsa { n: modulus(bytes("n")?)?, e: stripped(bytes("e")?) }),
        _ => return None,
    };
    let said = |name: &str, word: &str| text(name).is_none_or(|said| said == Some(word));
    let operations = node.get("key_ops").is_none_or(|operations| {
        operations.as_array().is_some_and(|list| list.iter().any(|word| word.as_str() == Some("verify")))
    });
    if !said("alg", algorithm.as_str()) || !said("use", "sig") || !operations {
        return None;
    }
    let id = match text("kid") {
        Some(id) => Some(id?.to_owned()),
        None => None,
    };
    Some(Key { id, algorithm, material })
}

/// Without the zeros that some write before a number.
fn stripped(bytes: Vec<u8>) -> Vec<u8> {
    bytes.into_iter().skip_while(|byte| *byte == 0).collect()
}

fn modulus(bytes: Vec<u8>) -> Option<Vec<u8>> {
    let n = stripped(bytes);
    let unused = usize::try_from(n.first()?.leading_zeros()).ok()?;
    (n.len() * 8 - unused >= RSA_BITS).then_some(n)
}
