//! No byte of a good token can be another one.

use super::house::*;

/// A small generator: its seed is the bug report.
struct Dice(u64);

impl Dice {
    fn roll(&mut self, sides: usize) -> usize {
        self.0 = self.0.wrapping_mul(6_364_136_223_846_793_005).wrapping_add(1_442_695_040_888_963_407);
        (self.0 >> 33) as usize % sides
    }
}

#[tokio::test]
async fn no_mutated_byte_comes_in() {
    const ALPHABET: &[u8] = b"ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789-_.=+/ ~";
    let signers = [Signer::ed25519(), Signer::p256(), Signer::rsa()];
    let house = House::new(signers.iter().map(|signer| signer.jwk(signer.name())).collect()).await;
    let mut dice = Dice(20_260_901);
    let mut tried = 0;
    for signer in &signers {
        let good = signer.token(signer.name(), &claims());
        assert_eq!(house.admit(&good).await, Ok(alice()));
        // Each place once with its neighbours in the alphabet, where unused bits of base64 would show; then by chance.
        let last = good.len() - 1;
        let places = (0..good.len()).chain(std::iter::repeat_n(last, ALPHABET.len()));
        let more: Vec<usize> = (0..3_000).map(|_| dice.roll(good.len())).collect();
        for (number, place) in places.chain(more).enumerate() {
            let mut bytes = good.clone().into_bytes();
            let other = if (good.len()..good.len() + ALPHABET.len()).contains(&number) {
                ALPHABET[number - good.len()]
            } else {
                ALPHABET[dice.roll(ALPHABET.len())]
            };
            // A blank at either end is none: HTTP takes it away.
            if bytes[place] == other || (other == b' ' && (place == 0 || place == last)) {
                continue;
            }
            bytes[place] = other;
            let token = String::from_utf8(bytes).unwrap();
            let given = house.admit(&token).await;
            assert!(given.is_err(), "{} at {place}: {token}", signer.name());
            tried += 1;
        }
        for cut in 0..good.len() {
            assert!(house.admit(&good[..cut]).await.is_err(), "{} cut at {cut}", signer.name());
            tried += 1;
        }
    }
    assert!(tried >= 10_000, "{tried}");
    assert_eq!(house.issuer.asked(), 1);
}
