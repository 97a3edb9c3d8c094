//! SHA-256 and SHA-1 of whole blocks with the instructions that x86-64 has for them, step by step
//! in turn.

#![allow(clippy::many_single_char_names, reason = "the standard's names of the words of a state")]

use std::arch::x86_64::{
    __m128i, _mm_add_epi32, _mm_alignr_epi8, _mm_extract_epi32, _mm_set_epi32, _mm_set_epi64x,
    _mm_sha1msg1_epu32, _mm_sha1msg2_epu32, _mm_sha1nexte_epu32, _mm_sha1rnds4_epu32,
    _mm_sha256msg1_epu32, _mm_sha256msg2_epu32, _mm_sha256rnds2_epu32, _mm_shuffle_epi8,
    _mm_shuffle_epi32, _mm_xor_si128,
};

type Block = [u8; 64];

/// SHA-256's constants, four rounds at a time. Source: FIPS 180-4, 4.2.2.
#[rustfmt::skip]
const K: [[u32; 4]; 16] = [
    [0x428a_2f98, 0x7137_4491, 0xb5c0_fbcf, 0xe9b5_dba5], [0x3956_c25b, 0x59f1_11f1, 0x923f_82a4, 0xab1c_5ed5],
    [0xd807_aa98, 0x1283_5b01, 0x2431_85be, 0x550c_7dc3], [0x72be_5d74, 0x80de_b1fe, 0x9bdc_06a7, 0xc19b_f174],
    [0xe49b_69c1, 0xefbe_4786, 0x0fc1_9dc6, 0x240c_a1cc], [0x2de9_2c6f, 0x4a74_84aa, 0x5cb0_a9dc, 0x76f9_88da],
    [0x983e_5152, 0xa831_c66d, 0xb003_27c8, 0xbf59_7fc7], [0xc6e0_0bf3, 0xd5a7_9147, 0x06ca_6351, 0x1429_2967],
    [0x27b7_0a85, 0x2e1b_2138, 0x4d2c_6dfc, 0x5338_0d13], [0x650a_7354, 0x766a_0abb, 0x81c2_c92e, 0x9272_2c85],
    [0xa2bf_e8a1, 0xa81a_664b, 0xc24b_8b70, 0xc76c_51a3], [0xd192_e819, 0xd699_0624, 0xf40e_3585, 0x106a_a070],
    [0x19a4_c116, 0x1e37_6c08, 0x2748_774c, 0x34b0_bcb5], [0x391c_0cb3, 0x4ed8_aa4a, 0x5b9c_ca4f, 0x682e_6ff3],
    [0x748f_82ee, 0x78a5_636f, 0x84c8_7814, 0x8cc7_0208], [0x90be_fffa, 0xa450_6ceb, 0xbef9_a3f7, 0xc671_78f2],
];

/// Hashes as many blocks of the one as of the other; the shorter list counts. Returns whether this
/// processor can.
pub(super) fn compress(
    sha256: &mut [u32; 8],
    sha256_blocks: &[Block],
    sha1: &mut [u32; 5],
    sha1_blocks: &[Block],
) -> bool {
    let can = std::arch::is_x86_feature_detected!("sha")
        && std::arch::is_x86_feature_detected!("ssse3")
        && std::arch::is_x86_feature_detected!("sse4.1");
    if can {
        #[allow(unsafe_code, reason = "the processor was asked for these instructions just now")]
        // SAFETY: nothing but the instructions is asked of the caller, and they are there.
        unsafe {
            in_turn(sha256, sha256_blocks, sha1, sha1_blocks);
        }
    }
    can
}

/// Both, four rounds of the one after four rounds of the other. SHA-1 has 80, SHA-256 has 64.
#[target_feature(enable = "sha,sse2,ssse3,sse4.1")]
fn in_turn(
    sha256: &mut [u32; 8],
    sha256_blocks: &[Block],
    sha1: &mut [u32; 5],
    sha1_blocks: &[Block],
) {
    let mut long = Long::new(sha256);
    let mut short = Short::new(sha1);
    for (long_block, short_block) in sha256_blocks.iter().zip(sha1_blocks) {
        let (long_before, short_before) = (long, short);
        long.begin(long_block);
        short.begin(short_block);
        macro_rules! rounds {
            ($($short:literal $($long:literal)?),*) => {
                $(short.rounds::<$short, { $short / 5 }>(); $(long.rounds::<$long>();)?)*
            };
        }
        rounds!(
            0 0, 1 1, 2 2, 3 3, 4, 5 4, 6 5, 7 6, 8 7, 9, 10 8, 11 9, 12 10, 13 11, 14, 15 12,
            16 13, 17 14, 18 15, 19
        );
        long.end(&long_before);
        short.end(&short_before);
    }
    *sha256 = long.state();
    *sha1 = short.state();
}

/// SHA-256's state as its instructions want it, and the schedule's last 16 words.
#[derive(Clone, Copy)]
struct Long {
    abef: __m128i,
    cdgh: __m128i,
    words: [__m128i; 4],
}

/// SHA-1's.
#[derive(Clone, Copy)]
struct Short {
    abcd: __m128i,
    e: __m128i,
    words: [__m128i; 4],
}

impl Long {
    #[target_feature(enable = "sha,sse2,ssse3,sse4.1")]
    fn new([a, b, c, d, e, f, g, h]: &[u32; 8]) -> Self {
        let zero = vector([0; 4]);
        let (abef, cdgh) = (vector([*f, *e, *b, *a]), vector([*h, *g, *d, *c]));
        Self { abef, cdgh, words: [zero; 4] }
    }

    #[target_feature(enable = "sha,sse2,ssse3,sse4.1")]
    fn begin(&mut self, block: &Block) {
        let order = _mm_set_epi64x(0x0c0d_0e0f_0809_0a0b, 0x0405_0607_0001_0203);
        self.words = load(block, order);
    }

    /// Rounds 4 N to 4 N + 3.
    #[target_feature(enable = "sha,sse2,ssse3,sse4.1")]
    fn rounds<const N: usize>(&mut self) {
        let [first, second, third, last] = self.words;
        let now = if N < 4 {
            first
        } else {
            let middle = _mm_alignr_epi8::<4>(last, third);
            let sum = _mm_add_epi32(_mm_sha256msg1_epu32(first, second), middle);
            _mm_sha256msg2_epu32(sum, last)
        };
        self.words = [second, third, last, now];
        let sum = _mm_add_epi32(now, vector(K[N]));
        self.cdgh = _mm_sha256rnds2_epu32(self.cdgh, self.abef, sum);
        self.abef = _mm_sha256rnds2_epu32(self.abef, self.cdgh, _mm_shuffle_epi32::<0x0e>(sum));
    }

    #[target_feature(enable = "sha,sse2,ssse3,sse4.1")]
    fn end(&mut self, before: &Self) {
        self.abef = _mm_add_epi32(self.abef, before.abef);
        self.cdgh = _mm_add_epi32(self.cdgh, before.cdgh);
    }

    #[target_feature(enable = "sha,sse2,ssse3,sse4.1")]
    fn state(&self) -> [u32; 8] {
        let ([f, e, b, a], [h, g, d, c]) = (array(self.abef), array(self.cdgh));
        [a, b, c, d, e, f, g, h]
    }
}

impl Short {
    #[target_feature(enable = "sha,sse2,ssse3,sse4.1")]
    fn new([a, b, c, d, e]: &[u32; 5]) -> Self {
        let zero = vector([0; 4]);
        Self { abcd: vector([*d, *c, *b, *a]), e: vector([0, 0, 0, *e]), words: [zero; 4] }
    }

    #[target_feature(enable = "sha,sse2,ssse3,sse4.1")]
    fn begin(&mut self, block: &Block) {
        let order = _mm_set_epi64x(0x0001_0203_0405_0607, 0x0809_0a0b_0c0d_0e0f);
        self.words = load(block, order);
    }

    /// Rounds 4 N to 4 N + 3, of KIND N / 5, which the instruction wants as a constant.
    #[target_feature(enable = "sha,sse2,ssse3,sse4.1")]
    fn rounds<const N: usize, const KIND: i32>(&mut self) {
        let [first, second, third, last] = self.words;
        let now = if N < 4 {
            first
        } else {
            let sum = _mm_xor_si128(_mm_sha1msg1_epu32(first, second), third);
            _mm_sha1msg2_epu32(sum, last)
        };
        self.words = [second, third, last, now];
        // what is `e` was `a` four rounds ago, rotated; at the beginning of a block it is `e`
        let sum =
            if N == 0 { _mm_add_epi32(self.e, now) } else { _mm_sha1nexte_epu32(self.e, now) };
        self.e = self.abcd;
        self.abcd = _mm_sha1rnds4_epu32::<KIND>(self.abcd, sum);
    }

    #[target_feature(enable = "sha,sse2,ssse3,sse4.1")]
    fn end(&mut self, before: &Self) {
        self.e = _mm_sha1nexte_epu32(self.e, before.e);
        self.abcd = _mm_add_epi32(self.abcd, before.abcd);
    }

    #[target_feature(enable = "sha,sse2,ssse3,sse4.1")]
    fn state(&self) -> [u32; 5] {
        let ([d, c, b, a], [.., e]) = (array(self.abcd), array(self.e));
        [a, b, c, d, e]
    }
}

/// The words of a block, its bytes in `order`.
#[target_feature(enable = "sha,sse2,ssse3,sse4.1")]
fn load(block: &Block, order: __m128i) -> [__m128i; 4] {
    let (halves, _) = block.as_chunks::<8>();
    let (pairs, _) = halves.as_chunks::<2>();
    let mut words = [vector([0; 4]); 4];
    for (word, pair) in words.iter_mut().zip(pairs) {
        let [low, high] = pair.map(i64::from_le_bytes);
        *word = _mm_shuffle_epi8(_mm_set_epi64x(high, low), order);
    }
    words
}

/// A vector of four words, the lowest first.
#[target_feature(enable = "sha,sse2,ssse3,sse4.1")]
fn vector(words: [u32; 4]) -> __m128i {
    let [a, b, c, d] = words.map(u32::cast_signed);
    _mm_set_epi32(d, c, b, a)
}

/// The four words of a vector, the lowest first.
#[target_feature(enable = "sha,sse2,ssse3,sse4.1")]
fn array(vector: __m128i) -> [u32; 4] {
    [
        _mm_extract_epi32::<0>(vector),
        _mm_extract_epi32::<1>(vector),
        _mm_extract_epi32::<2>(vector),
        _mm_extract_epi32::<3>(vector),
    ]
    .map(i32::cast_unsigned)
}
