//! A 64-bit mixer, the same in every process, for values that are already hashed and must spread evenly.

/// Mixes one number: the finaliser of MurmurHash3 with the constants of David Stafford's "Mix13". A bijection, so it
/// adds no collisions.
pub(crate) fn mix(mut x: u64) -> u64 {
    x = (x ^ (x >> 30)).wrapping_mul(0xbf58_476d_1ce4_e5b9);
    x = (x ^ (x >> 27)).wrapping_mul(0x94d0_49bb_1331_11eb);
    x ^ (x >> 31)
}

/// Mixes two numbers. For a fixed `a` no two values of `b` collide, and vice versa.
pub(crate) fn mix_two(a: u64, b: u64) -> u64 {
    mix(mix(a.wrapping_add(0x9e37_79b9_7f4a_7c15)).wrapping_add(b))
}

/// Index below `length`, from the high bits of `hash` (Lemire's multiplication instead of a remainder).
pub(crate) fn place(hash: u64, length: usize) -> usize {
    let product = u128::from(hash) * length as u128;
    (product >> 64) as usize
}
