//! SHA-256 and SHA-1 of the same contents, in one pass.
//!
//! Both are chains of slow instructions of which the processor can work on two at a time, but not
//! if one function follows the other: the second waits in a queue that the first has filled. Where
//! there are such instructions, the steps of both are therefore written in turn, which takes a
//! third less time than the two libraries one after the other. Elsewhere the libraries do it.

#[cfg(target_arch = "x86_64")]
use super::stitched;

/// Bytes of a block, of both.
const BLOCK: usize = 64;
/// Bytes of the length behind the contents, of both.
const LENGTH: usize = 8;

/// One of the two: what was hashed so far, and the beginning of the next block.
#[derive(Debug, Clone)]
struct Chain<const WORDS: usize> {
    state: [u32; WORDS],
    block: [u8; BLOCK],
    filled: usize,
    /// Bytes of all.
    length: u64,
    compress: fn(&mut [u32; WORDS], &[[u8; BLOCK]]),
}

/// The two, as contents come.
#[derive(Debug, Clone)]
pub(in crate::image) struct Pair {
    sha256: Chain<8>,
    sha1: Chain<5>,
}

impl Pair {
    /// Of contents that have `prefix` before them in SHA-1 alone.
    pub(in crate::image) fn new(prefix: &[u8]) -> Self {
        // Source: FIPS 180-4, 5.3.1 and 5.3.3.
        let sha256 = [
            0x6a09_e667,
            0xbb67_ae85,
            0x3c6e_f372,
            0xa54f_f53a,
            0x510e_527f,
            0x9b05_688c,
            0x1f83_d9ab,
            0x5be0_cd19,
        ];
        let sha1 = [0x6745_2301, 0xefcd_ab89, 0x98ba_dcfe, 0x1032_5476, 0xc3d2_e1f0];
        let mut sha1 = Chain::new(sha1, sha1::block_api::compress);
        sha1.update(prefix);
        Self { sha256: Chain::new(sha256, sha2::block_api::compress256), sha1 }
    }

    /// Takes the next bytes.
    pub(in crate::image) fn update(&mut self, bytes: &[u8]) {
        let long = self.sha256.fill(bytes).as_chunks();
        let short = self.sha1.fill(bytes).as_chunks();
        // they may be a block apart
        let both = long.0.len().min(short.0.len());
        let (long_both, long_rest) = long.0.split_at(both);
        let (short_both, short_rest) = short.0.split_at(both);
        compress(&mut self.sha256, long_both, &mut self.sha1, short_both);
        self.sha256.finish_update(long_rest, long.1);
        self.sha1.finish_update(short_rest, short.1);
    }

    /// SHA-256 and SHA-1.
    pub(in crate::image) fn finish(self) -> ([u8; 32], [u8; 20]) {
        let (mut sha256, mut sha1) = ([0; 32], [0; 20]);
        write_words(&mut sha256, &self.sha256.finish());
        write_words(&mut sha1, &self.sha1.finish());
        (sha256, sha1)
    }
}

impl<const WORDS: usize> Chain<WORDS> {
    fn new(state: [u32; WORDS], compress: fn(&mut [u32; WORDS], &[[u8; BLOCK]])) -> Self {
        Self { state, block: [0; BLOCK], filled: 0, length: 0, compress }
    }

    fn update(&mut self, bytes: &[u8]) {
        let (blocks, rest) = self.fill(bytes).as_chunks();
        self.finish_update(blocks, rest);
    }

    /// Fills the block that was begun, and hashes it if it is full; returns what of `bytes` comes
    /// behind it.
    fn fill<'a>(&mut self, bytes: &'a [u8]) -> &'a [u8] {
        self.length = self.length.wrapping_add(bytes.len() as u64);
        if self.filled == 0 {
            return bytes;
        }
        let (now, rest) = bytes.split_at(bytes.len().min(BLOCK - self.filled));
        self.keep(now);
        if self.filled == BLOCK {
            (self.compress)(&mut self.state, std::slice::from_ref(&self.block));
            self.filled = 0;
        }
        rest
    }

    /// Hashes whole blocks, and keeps what is less than one.
    fn finish_update(&mut self, blocks: &[[u8; BLOCK]], rest: &[u8]) {
        (self.compress)(&mut self.state, blocks);
        self.keep(rest);
    }

    fn keep(&mut self, bytes: &[u8]) {
        let room = self.block.get_mut(self.filled..).unwrap_or_default();
        for (at, byte) in room.iter_mut().zip(bytes) {
            *at = *byte;
        }
        self.filled += bytes.len();
    }

    /// Ends the contents with a one, zeros and the length in bits.
    ///
    /// Source: FIPS 180-4, 5.1.1 and 5.1.
    fn finish(mut self) -> [u32; WORDS] {
        let bits = self.length.wrapping_mul(8).to_be_bytes();
        let zeros = (2 * BLOCK - LENGTH - 1 - self.filled) % BLOCK;
        let end: Vec<u8> =
            std::iter::once(0x80).chain(std::iter::repeat_n(0, zeros)).chain(bits).collect();
        self.update(&end);
        self.state
    }
}

/// Hashes as many blocks of the one as of the other.
fn compress(
    sha256: &mut Chain<8>,
    sha256_blocks: &[[u8; BLOCK]],
    sha1: &mut Chain<5>,
    sha1_blocks: &[[u8; BLOCK]],
) {
    #[cfg(target_arch = "x86_64")]
    if stitched::compress(&mut sha256.state, sha256_blocks, &mut sha1.state, sha1_blocks) {
        return;
    }
    (sha256.compress)(&mut sha256.state, sha256_blocks);
    (sha1.compress)(&mut sha1.state, sha1_blocks);
}

fn write_words(bytes: &mut [u8], words: &[u32]) {
    for (part, word) in bytes.chunks_exact_mut(4).zip(words) {
        part.copy_from_slice(&word.to_be_bytes());
    }
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;
    use sha2::Digest as _;

    use super::*;

    fn libraries(prefix: &[u8], contents: &[u8]) -> ([u8; 32], [u8; 20]) {
        let sha1 = sha1::Sha1::new_with_prefix(prefix).chain_update(contents);
        (sha2::Sha256::digest(contents).into(), sha1.finalize().into())
    }

    fn ours(prefix: &[u8], contents: &[u8], pieces: &[usize]) -> ([u8; 32], [u8; 20]) {
        let mut pair = Pair::new(prefix);
        let mut rest = contents;
        for &piece in pieces.iter().cycle().take_while(|_| !pieces.is_empty()) {
            let (now, later) = rest.split_at(piece.min(rest.len()));
            pair.update(now);
            rest = later;
            if rest.is_empty() {
                break;
            }
        }
        pair.finish()
    }

    fn some(length: usize) -> Vec<u8> {
        (0..length).map(|at| u8::try_from((at * 167 + at / 251) % 256).unwrap()).collect()
    }

    #[test]
    fn contents_of_every_length_and_place_in_a_block_hash_as_the_libraries_say() {
        for length in 0..300 {
            for prefix in [0, 1, 7, 55, 56, 63, 64, 65] {
                let (prefix, contents) = (some(prefix), some(length));
                let want = libraries(&prefix, &contents);
                for piece in [1, 63, 64, 100, 1000] {
                    let got = ours(&prefix, &contents, &[piece]);
                    assert_eq!(got, want, "{length} bytes in pieces of {piece}");
                }
            }
        }
    }

    #[test]
    fn the_digests_of_abc_are_those_of_the_standard() {
        let (sha256, sha1) = ours(b"", b"abc", &[3]);
        assert_eq!(
            crate::base::Digest::from_bytes(sha256).to_string(),
            "ba7816bf8f01cfea414140de5dae2223b00361a396177a9cb410ff61f20015ad"
        );
        let want = [
            0xa9, 0x99, 0x3e, 0x36, 0x47, 0x06, 0x81, 0x6a, 0xba, 0x3e, 0x25, 0x71, 0x78, 0x50,
            0xc2, 0x6c, 0x9c, 0xd0, 0xd8, 0x9d,
        ];
        assert_eq!(sha1, want);
    }

    proptest! {
        #[test]
        fn pieces_of_any_size_hash_as_the_libraries_say(
            prefix in proptest::collection::vec(any::<u8>(), 0..80),
            contents in proptest::collection::vec(any::<u8>(), 0..5000),
            pieces in proptest::collection::vec(1..700_usize, 1..9),
        ) {
            prop_assert_eq!(ours(&prefix, &contents, &pieces), libraries(&prefix, &contents));
        }
    }
}
