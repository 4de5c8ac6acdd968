//! As much DER as keys in PEM files need: reading and writing one element.

/// Tag of an integer.
pub(super) const INTEGER: u8 = 0x02;
/// Tag of a bit string.
pub(super) const BIT_STRING: u8 = 0x03;
/// Tag of an octet string.
pub(super) const OCTET_STRING: u8 = 0x04;
/// Tag of an object identifier.
pub(super) const OBJECT_IDENTIFIER: u8 = 0x06;
/// Tag of a sequence.
pub(super) const SEQUENCE: u8 = 0x30;

/// Identifier of RSA keys.
pub(super) const RSA: &[u8] = &[0x2a, 0x86, 0x48, 0x86, 0xf7, 0x0d, 0x01, 0x01, 0x01];
/// Identifier of elliptic curve keys.
pub(super) const ELLIPTIC_CURVE: &[u8] = &[0x2a, 0x86, 0x48, 0xce, 0x3d, 0x02, 0x01];

/// The content of the element that `bytes` start with, and what follows it; `None` for another tag or too few bytes.
pub(super) fn read(bytes: &[u8], tag: u8) -> Option<(&[u8], &[u8])> {
    let (&own, rest) = bytes.split_first()?;
    let (&first, rest) = rest.split_first()?;
    if own != tag {
        return None;
    }
    let (length, rest) = if first < 0x80 {
        (usize::from(first), rest)
    } else {
        let count = usize::from(first & 0x7f);
        // Four bytes of length are far beyond any key.
        if count == 0 || count > 4 || rest.len() < count {
            return None;
        }
        let (length, rest) = rest.split_at(count);
        (length.iter().fold(0usize, |sum, byte| sum << 8 | usize::from(*byte)), rest)
    };
    (rest.len() >= length).then(|| rest.split_at(length))
}

/// The key inside PKCS #8 (`PRIVATE KEY`): its algorithm and its own encoding.
pub(super) fn pkcs8(bytes: &[u8]) -> Option<(&[u8], &[u8])> {
    let (body, _) = read(bytes, SEQUENCE)?;
    let (_version, rest) = read(body, INTEGER)?;
    let (algorithm, rest) = read(rest, SEQUENCE)?;
    let (identifier, _) = read(algorithm, OBJECT_IDENTIFIER)?;
    let (key, _) = read(rest, OCTET_STRING)?;
    Some((identifier, key))
}

/// The key inside a SubjectPublicKeyInfo (`PUBLIC KEY`): its algorithm and its own encoding.
pub(super) fn public_key_info(bytes: &[u8]) -> Option<(&[u8], &[u8])> {
    let (body, _) = read(bytes, SEQUENCE)?;
    let (algorithm, rest) = read(body, SEQUENCE)?;
    let (identifier, _) = read(algorithm, OBJECT_IDENTIFIER)?;
    let (key, _) = read(rest, BIT_STRING)?;
    Some((identifier, key.strip_prefix(&[0])?))
}

/// Modulus and exponent of an RSA public key (PKCS #1), without leading zeroes.
pub(super) fn rsa_public_key(bytes: &[u8]) -> Option<(&[u8], &[u8])> {
    let (body, _) = read(bytes, SEQUENCE)?;
    let (modulus, rest) = read(body, INTEGER)?;
    let (exponent, _) = read(rest, INTEGER)?;
    fn strip(bytes: &[u8]) -> &[u8] {
        bytes.strip_prefix(&[0]).unwrap_or(bytes)
    }
    Some((strip(modulus), strip(exponent)))
}

fn element(tag: u8, content: &[u8]) -> Vec<u8> {
    let mut out = vec![tag];
    let length = content.len();
    if length < 0x80 {
        out.push(u8::try_from(length).expect("below 128"));
    } else {
        let bytes = length.to_be_bytes();
        let skipped = bytes.iter().take_while(|byte| **byte == 0).count();
        out.push(0x80 | u8::try_from(bytes.len() - skipped).expect("at most eight"));
        out.extend(&bytes[skipped..]);
    }
    out.extend(content);
    out
}

/// SubjectPublicKeyInfo of an RSA key (PKCS #1).
pub(super) fn rsa_key_info(key: &[u8]) -> Vec<u8> {
    let algorithm = [element(OBJECT_IDENTIFIER, RSA), vec![0x05, 0x00]].concat();
    let key = [&[0], key].concat();
    element(SEQUENCE, &[element(SEQUENCE, &algorithm), element(BIT_STRING, &key)].concat())
}

/// SubjectPublicKeyInfo of a point on P-256.
pub(super) fn p256_key_info(point: &[u8]) -> Vec<u8> {
    const P256: &[u8] = &[0x2a, 0x86, 0x48, 0xce, 0x3d, 0x03, 0x01, 0x07];
    let algorithm = [element(OBJECT_IDENTIFIER, ELLIPTIC_CURVE), element(OBJECT_IDENTIFIER, P256)].concat();
    let key = [&[0], point].concat();
    element(SEQUENCE, &[element(SEQUENCE, &algorithm), element(BIT_STRING, &key)].concat())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn elements_go_both_ways() {
        for length in [0, 1, 127, 128, 255, 256, 70_000] {
            let content = vec![7u8; length];
            let mut bytes = element(OCTET_STRING, &content);
            bytes.extend([1, 2]);
            assert_eq!(read(&bytes, OCTET_STRING), Some((&content[..], &[1u8, 2][..])), "{length}");
        }
        for bad in [&[][..], &[4], &[4, 2, 0], &[4, 0x80], &[4, 0x85, 1, 1, 1, 1, 1], &[2, 0]] {
            assert_eq!(read(bad, OCTET_STRING), None, "{bad:?}");
        }
    }
}
