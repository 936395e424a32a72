//! Random files: every byte is a function of a seed and an offset, and the checksum is a function
//! of the seed alone.
//!
//! The bytes are not cryptographic. They are reproducible from any offset, differ from file to
//! file and from block to block, do not compress, and cost about as much as copying memory: a pool
//! of random bytes, made once, is combined with a mask of eight bytes for each block.
//!
//! ```text
//!   byte(offset) = pool[offset mod BLOCK] ^ mask(seed, offset / BLOCK)[offset mod 8]
//! ```
//!
//! The last four bytes are an exception: they are chosen such that the CRC32C of the file is the one
//! that the seed determines. A CRC is linear over GF(2), so the checksum of a block follows from its
//! mask by table look-up, and the checksum of a terabyte is known without generating a byte of it.

use std::fmt;
use std::io;
use std::sync::LazyLock;

use rand::rngs::ChaCha8Rng;
use rand::{Rng as _, SeedableRng as _};

use super::{Content, Crc32c};

/// The number of bytes that share a mask: small enough for the pool to stay in a core's second-level
/// cache.
const BLOCK: usize = 128 << 10;
/// The number of bytes at the end of a file that set its checksum.
const TAIL: usize = 4;
/// The smallest size for which a file's checksum follows from its seed alone.
pub const CHECKSUM_SETTLED: u64 = TAIL as u64;
/// The Castagnoli polynomial, reflected (RFC 3720, section 12.1).
const POLYNOMIAL: u32 = 0x82F6_3B78;

/// The seed of a random file. Its text format is 32 hexadecimal digits.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Seed(u128);

impl Seed {
    /// Creates a unique seed from the operating system's randomness.
    pub fn random() -> Self {
        Self(rand::random())
    }

    /// Creates a seed from its value.
    pub const fn new(value: u128) -> Self {
        Self(value)
    }

    /// Parses the format of [`Display`](fmt::Display); `None` for any other text.
    pub fn from_hex(text: &str) -> Option<Self> {
        let digits = text.len() == 32 && text.bytes().all(|b| b.is_ascii_hexdigit());
        u128::from_str_radix(text, 16).ok().filter(|_| digits).map(Self)
    }

    /// Returns the checksum of every file of [`CHECKSUM_SETTLED`] bytes or more with this seed.
    pub fn crc32c(self) -> Crc32c {
        Crc32c::new(self.checksum())
    }

    fn checksum(self) -> u32 {
        (mix(self.high() ^ mix(!self.low())) >> 32) as u32
    }

    /// Returns the mask that makes this block unique to this file.
    fn mask(self, block: u64) -> u64 {
        mix(self.low() ^ mix(self.high().wrapping_add(block)))
    }

    fn high(self) -> u64 {
        (self.0 >> 64) as u64
    }

    fn low(self) -> u64 {
        self.0 as u64
    }
}

impl fmt::Display for Seed {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{:032x}", self.0)
    }
}

/// SplitMix64's step (Steele, Lea, Flood 2014): a bijection in which every bit depends on all.
fn mix(value: u64) -> u64 {
    let z = value.wrapping_add(0x9E37_79B9_7F4A_7C15);
    let z = (z ^ (z >> 30)).wrapping_mul(0xBF58_476D_1CE4_E5B9);
    let z = (z ^ (z >> 27)).wrapping_mul(0x94D0_49BB_1331_11EB);
    z ^ (z >> 31)
}

/// A random file.
#[derive(Clone, Debug)]
pub struct RandomContent {
    seed: Seed,
    size: u64,
    crc32c: Crc32c,
    tail: [u8; TAIL],
}

impl RandomContent {
    /// Creates the file of `size` bytes with this seed.
    ///
    /// The cost is one table look-up for every block of 128 KiB, and at most one block of bytes.
    pub fn new(seed: Seed, size: u64) -> Self {
        let Some(body) = size.checked_sub(TAIL as u64) else {
            let register = register_after(seed, size);
            return Self { seed, size, crc32c: Crc32c::new(!register), tail: [0; TAIL] };
        };
        let checksum = seed.checksum();
        let tail = register_after(seed, body) ^ rewind_tail(!checksum);
        Self { seed, size, crc32c: Crc32c::new(checksum), tail: tail.to_le_bytes() }
    }

    /// Returns the file's seed.
    pub fn seed(&self) -> Seed {
        self.seed
    }

    /// Returns the offset of the tail. A file shorter than a tail has none.
    fn tail_offset(&self) -> u64 {
        self.size.checked_sub(TAIL as u64).unwrap_or(self.size)
    }
}

impl Content for RandomContent {
    fn size(&self) -> u64 {
        self.size
    }

    fn crc32c(&self) -> Crc32c {
        self.crc32c
    }

    fn read_at(&self, offset: u64, buffer: &mut [u8]) -> io::Result<usize> {
        let left = usize::try_from(self.size.saturating_sub(offset)).unwrap_or(usize::MAX);
        let count = buffer.len().min(left);
        let before_tail = self.tail_offset().saturating_sub(offset);
        let body = count.min(usize::try_from(before_tail).unwrap_or(usize::MAX));
        let (body, tail) = buffer[..count].split_at_mut(body);
        fill(self.seed, offset, body);
        if !tail.is_empty() {
            let from = (offset + body.len() as u64 - self.tail_offset()) as usize;
            tail.copy_from_slice(&self.tail[from..from + tail.len()]);
        }
        Ok(count)
    }
}

/// Generates the bytes from `offset` on, block by block.
fn fill(seed: Seed, offset: u64, mut buffer: &mut [u8]) {
    let mut block = offset / BLOCK as u64;
    let mut start = (offset % BLOCK as u64) as usize;
    while !buffer.is_empty() {
        let count = buffer.len().min(BLOCK - start);
        let (now, later) = buffer.split_at_mut(count);
        combine(&POOL.bytes[start..start + count], seed.mask(block), start, now);
        (buffer, block, start) = (later, block + 1, 0);
    }
}

/// Writes `pool ^ mask` to `out`, which has the length of `pool`. `start` is the offset of `pool` in
/// its block.
fn combine(pool: &[u8], mask: u64, start: usize, out: &mut [u8]) {
    let mask = mask.rotate_right(8 * (start % 8) as u32);
    let (pool_words, pool_rest) = pool.as_chunks::<8>();
    let (out_words, out_rest) = out.as_chunks_mut::<8>();
    for (out, pool) in out_words.iter_mut().zip(pool_words) {
        *out = (u64::from_le_bytes(*pool) ^ mask).to_le_bytes();
    }
    for ((out, pool), mask) in out_rest.iter_mut().zip(pool_rest).zip(mask.to_le_bytes()) {
        *out = pool ^ mask;
    }
}

/// Returns the CRC register after the first `size` bytes of the seed's endless stream.
fn register_after(seed: Seed, size: u64) -> u32 {
    let pool = &*POOL;
    let blocks = size / BLOCK as u64;
    let mut register = (0..blocks).fold(u32::MAX, |register, block| {
        pool.past_block.apply(register.to_le_bytes())
            ^ pool.register
            ^ pool.of_mask.apply(seed.mask(block).to_le_bytes())
    });
    let mut buffer = [0; 4096];
    let mut offset = blocks * BLOCK as u64;
    while offset < size {
        let count = buffer.len().min((size - offset) as usize);
        fill(seed, offset, &mut buffer[..count]);
        register = advance(register, &buffer[..count]);
        offset += count as u64;
    }
    register
}

/// Returns the CRC register after some more bytes, without the inversions at both ends of a checksum.
fn advance(register: u32, bytes: &[u8]) -> u32 {
    !crc32c::crc32c_append(!register, bytes)
}

/// Returns the register from which four zero bytes lead to this one.
fn rewind_tail(register: u32) -> u32 {
    (0..8 * TAIL).fold(register, |register, _| {
        let top_bit_is_set = register >> 31 == 1;
        if top_bit_is_set { ((register ^ POLYNOMIAL) << 1) | 1 } else { register << 1 }
    })
}

/// The bytes that all files are made of, and the effect of a block of them on a CRC register.
struct Pool {
    bytes: Vec<u8>,
    /// The register, from zero, after the pool's own bytes.
    register: u32,
    /// The effect of a block of zeros on a register.
    past_block: LinearMap<4>,
    /// The register, from zero, after a block of one mask.
    of_mask: LinearMap<8>,
}

static POOL: LazyLock<Pool> = LazyLock::new(|| {
    let mut bytes = vec![0; BLOCK];
    // Any seed works, but this one must not change, or files could not be reproduced.
    ChaCha8Rng::seed_from_u64(0x6763_735f_7570_6c64).fill_bytes(&mut bytes);
    let zeros = vec![0; BLOCK];
    Pool {
        register: advance(0, &bytes),
        past_block: LinearMap::new(|bit| advance(u32::from_le_bytes(bit), &zeros)),
        of_mask: LinearMap::new(|bit| advance(0, &bit.repeat(BLOCK / bit.len()))),
        bytes,
    }
});

/// A map from `N` bytes to 32 bits that is linear over GF(2), as one table for each byte.
struct LinearMap<const N: usize> {
    tables: [[u32; 256]; N],
}

impl<const N: usize> LinearMap<N> {
    /// Tabulates the map from its image of each single bit.
    fn new(of_bit: impl Fn([u8; N]) -> u32) -> Self {
        let mut tables = [[0; 256]; N];
        for (position, table) in tables.iter_mut().enumerate() {
            for bit in 0..8 {
                let mut input = [0; N];
                input[position] = 1 << bit;
                let image = of_bit(input);
                for byte in (1 << bit)..(2 << bit) {
                    table[byte] = table[byte - (1 << bit)] ^ image;
                }
            }
        }
        Self { tables }
    }

    fn apply(&self, input: [u8; N]) -> u32 {
        self.tables.iter().zip(input).fold(0, |sum, (table, byte)| sum ^ table[usize::from(byte)])
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    const B: u64 = BLOCK as u64;

    fn bytes_from(content: &RandomContent, offset: u64, step: usize) -> Vec<u8> {
        let mut bytes = Vec::new();
        let mut buffer = vec![0; step];
        loop {
            let count = content.read_at(offset + bytes.len() as u64, &mut buffer).unwrap();
            if count == 0 {
                return bytes;
            }
            bytes.extend_from_slice(&buffer[..count]);
        }
    }

    fn all_bytes(content: &RandomContent) -> Vec<u8> {
        bytes_from(content, 0, 1 << 20)
    }

    /// Boundary sizes: no tail, no body, the ends of blocks.
    fn edges() -> impl Iterator<Item = u64> {
        (0..=13).chain([B, 2 * B, 3 * B].into_iter().flat_map(|end| end - 6..=end + 6))
    }

    #[test]
    fn content_has_its_size_and_checksum() {
        for size in edges() {
            let content = RandomContent::new(Seed::new(7), size);
            let bytes = all_bytes(&content);
            assert_eq!(bytes.len() as u64, size);
            assert_eq!(Crc32c::of(&bytes), content.crc32c(), "size {size}");
        }
    }

    #[test]
    fn bytes_from_any_offset_are_the_rest_of_the_content() {
        for size in edges() {
            let content = RandomContent::new(Seed::new(8), size);
            let all = all_bytes(&content);
            for offset in edges().filter(|&offset| offset <= size) {
                let from = bytes_from(&content, offset, 1 << 16);
                assert!(from == all[offset as usize..], "size {size}, offset {offset}");
            }
        }
    }

    #[test]
    fn checksum_follows_from_the_seed_alone() {
        let of_size = |size| RandomContent::new(Seed::new(9), size).crc32c();
        assert_eq!(of_size(CHECKSUM_SETTLED), of_size(1 << 40));
        assert_eq!(of_size(CHECKSUM_SETTLED), Seed::new(9).crc32c());
        assert_ne!(of_size(4), RandomContent::new(Seed::new(10), 4).crc32c());
    }

    #[test]
    fn read_beyond_the_end_returns_nothing() {
        let content = RandomContent::new(Seed::new(11), 10);
        for offset in [10, 11, 14, u64::MAX] {
            assert_eq!(content.read_at(offset, &mut [0; 8]).unwrap(), 0);
        }
    }

    #[test]
    fn files_and_blocks_differ() {
        let content = RandomContent::new(Seed::new(12), 2 * B);
        let bytes = all_bytes(&content);
        let (first, second) = bytes.split_at(BLOCK);
        let other = all_bytes(&RandomContent::new(Seed::new(13), 2 * B));
        for (a, b) in [(first, second), (&bytes[..], &other[..])] {
            let equal = a.iter().zip(b).filter(|(a, b)| a == b).count();
            assert!(equal < a.len() / 4, "{equal} of {} bytes are equal", a.len());
        }
    }

    #[test]
    fn bytes_of_a_seed_never_change() {
        let content = RandomContent::new(Seed::new(1), 1 << 20);
        assert_eq!(content.crc32c().to_string(), "nJ29DA==");
        assert_eq!(bytes_from(&content, 0, 8)[..8], [40, 110, 70, 68, 206, 17, 116, 236]);
    }

    #[test]
    fn displayed_seed_parses_to_itself() {
        let seed = Seed::random();
        assert_eq!(Seed::from_hex(&seed.to_string()), Some(seed));
        for text in ["", "1", "+0000000000000000000000000000001", &"g".repeat(32), &"0".repeat(33)]
        {
            assert_eq!(Seed::from_hex(text), None, "{text:?}");
        }
    }

    proptest! {
        #[test]
        fn reads_of_any_size_offset_and_step_return_the_same_bytes(
            seed: u128, size in 0..3 * B, part in 0.0..1.0f64, step in 1..200_000usize,
        ) {
            let content = RandomContent::new(Seed::new(seed), size);
            let all = all_bytes(&content);
            let offset = (size as f64 * part) as u64;
            prop_assert_eq!(Crc32c::of(&all), content.crc32c());
            prop_assert!(bytes_from(&content, offset, step.max(size as usize / 64)) == all[offset as usize..]);
        }
    }
}
