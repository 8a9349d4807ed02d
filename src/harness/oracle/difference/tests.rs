//! Each fault gets its name, and no name is given where a rule leaves an element unexplained.

use super::*;

fn bytes16(values: impl IntoIterator<Item = u16>) -> Vec<u8> {
    values.into_iter().flat_map(u16::to_le_bytes).collect()
}

fn bytes32(values: impl IntoIterator<Item = u32>) -> Vec<u8> {
    values.into_iter().flat_map(u32::to_le_bytes).collect()
}

/// Twelve BF16 numbers of both signs, no two alike.
const BF16: [u16; 12] = [
    0xbec6, 0x3f81, 0x4049, 0xc123, 0x3d0f, 0xbf55, 0x4111, 0x3ea7, 0xc0de, 0x3c33, 0x4177, 0xbe01,
];

fn f32s() -> Vec<u32> {
    BF16.iter().map(|bits| (u32::from(*bits) << 16) | (0x1234 ^ u32::from(*bits))).collect()
}

fn named(dtype: DType, kept: DType, stored: &[u8], found: &[u8]) -> Option<String> {
    let tensor = Tensor { dtype, kept, shape: &[3, 4], stored };
    let other = bytes16(BF16.iter().map(|bits| bits ^ 0x0f0f));
    first(difference(&tensor, found, [other.as_slice()]))
}

fn first(found: Option<Difference>) -> Option<String> {
    found.expect("a difference").names.into_iter().next()
}

#[test]
fn what_became_of_widened_elements_has_a_name() {
    let stored = bytes16(BF16);
    let wide = |rule: &dyn Fn(u16) -> u32| bytes32(BF16.iter().map(|bits| rule(*bits)));
    let as_f16 = widened(DType::F16, &stored).expect("F16 widens");
    let right = |bits: u16| u32::from(bits) << 16;
    let half = |bits: u16| right(bits) & 0x7fff_ffff;
    for (found, name) in [
        (as_f16, "BF16 read as F16"),
        (wide(&|bits| right(bits.swap_bytes())), "BF16 with its bytes swapped"),
        (wide(&u32::from), "BF16 not converted: its bits taken for F32"),
        (wide(&|bits| f32::from(bits).to_bits()), "BF16 read as an integer"),
        (wide(&half), "sign lost"),
        (wide(&|bits| right(bits) ^ 0x8000_0000), "sign flipped"),
        (wide(&|_| 0), "zeros found"),
        (stored.clone(), "BF16 not widened to F32"),
        (Vec::new(), "no bytes found"),
        (wide(&right)[..20].to_vec(), "truncated"),
        ([wide(&right), vec![0]].concat(), "bytes appended"),
        (wide(&|_| 0x3f80_0000), "one value everywhere"),
    ] {
        let found = named(DType::BF16, DType::F32, &stored, &found);
        assert_eq!(found.as_deref(), Some(name));
    }
    let as_bf16 = bytes32(BF16.iter().map(|bits| u32::from(*bits) << 16));
    let found = named(DType::F16, DType::F32, &stored, &as_bf16);
    assert_eq!(found.as_deref(), Some("F16 read as BF16"));
}

#[test]
fn what_became_of_elements_that_keep_their_type_has_a_name() {
    let stored = bytes16(BF16);
    let each = |rule: &dyn Fn(usize) -> u16| bytes16((0..12).map(rule));
    let mut bit = stored.clone();
    bit[5] ^= 0x10;
    let mut cut = stored.clone();
    cut[14..].fill(0);
    for (found, name) in [
        (each(&|at| BF16[at].swap_bytes()), "BF16 with its bytes swapped"),
        (each(&|at| BF16[at % 3 * 4 + at / 3]), "transposed"),
        (each(&|at| BF16[(at + 1) % 12]), "read from the neighbour, one element too far on"),
        (
            each(&|at| if at == 0 { 7 } else { BF16[at - 1] }),
            "read from the neighbour, one element too early",
        ),
        (each(&|at| BF16[(at + 3) % 12]), "read 3 elements too far on"),
        ([&stored[3..], &[9, 9, 9]].concat(), "read 3 bytes too far on"),
        (each(&|at| BF16[at] ^ 0x0f0f), "bytes of another tensor"),
        (each(&|at| BF16[11 - at]), "elements in another order"),
        (bit, "one bit changed"),
        (cut, "zeros at the end"),
        (
            widened(DType::BF16, &stored).expect("BF16 widens"),
            "BF16 widened to F32 without being asked",
        ),
    ] {
        let found = named(DType::BF16, DType::BF16, &stored, &found);
        assert_eq!(found.as_deref(), Some(name));
    }
}

#[test]
fn a_smaller_type_on_the_way_is_recognised() {
    let stored = bytes32(f32s());
    let masked = |mask: u32| bytes32(f32s().iter().map(|bits| bits & mask));
    for (mask, name) in
        [(0xffff_0000, "F32 rounded to BF16"), (0xffff_e000, "F32 rounded to the 10 bits of F16")]
    {
        let found = named(DType::F32, DType::F32, &stored, &masked(mask));
        assert_eq!(found.as_deref(), Some(name));
    }
    // Read as F16, and stored as BF16 again: 1.78, 1.5, -0.375 become the nearest BF16.
    let tensor = Tensor {
        dtype: DType::BF16,
        kept: DType::BF16,
        shape: &[3],
        stored: &bytes16([0x3f1f, 0x3e00, 0xb600]),
    };
    let found = difference(&tensor, &bytes16([0x3fe4, 0x3fc0, 0xbec0]), []);
    assert_eq!(first(found).as_deref(), Some("BF16 read as F16"));
    // 1, 2, -0.5, a number beyond F16's largest, and one below its smallest.
    let bf16 = bytes16([0x3f80, 0x4000, 0xbf00, 0x7f00, 0x0100]);
    let f16 = bytes16([0x3c00, 0x4000, 0xb800, 0x7c00, 0x0000]);
    let tensor = Tensor { dtype: DType::BF16, kept: DType::BF16, shape: &[5], stored: &bf16 };
    let found = first(difference(&tensor, &f16, []));
    assert_eq!(found.as_deref(), Some("BF16 converted to F16"));
}

#[test]
fn special_numbers_are_named() {
    let stored = bytes16([0x3c00, 0x0001, 0x8123, 0x4000]);
    let tensor = Tensor { dtype: DType::F16, kept: DType::F32, shape: &[4], stored: &stored };
    let mut found = widened(DType::F16, &stored).expect("F16 widens");
    found[4..12].fill(0);
    let zero = difference(&tensor, &found, []).expect("a difference");
    assert_eq!(zero.names.first().map(String::as_str), Some("subnormals of F16 read as zero"));
    assert_eq!((zero.at, zero.wrong, zero.of), (1, 2, 4));
    found[4..8].copy_from_slice(&0x3880_0400_u32.to_le_bytes());
    let normal = first(difference(&tensor, &found, []));
    assert_eq!(normal.as_deref(), Some("subnormals of F16 changed"));
    let stored = bytes16([0x3f80, 0x7f80, 0xffc1, 0x4000]);
    let tensor = Tensor { dtype: DType::BF16, kept: DType::BF16, shape: &[4], stored: &stored };
    let scrubbed = difference(&tensor, &bytes16([0x3f80, 0, 0, 0x4000]), []);
    let name = first(scrubbed);
    assert_eq!(name.as_deref(), Some("NaN and infinities read as zero"));
}

#[test]
fn what_no_rule_explains_has_values_and_no_name() {
    let stored = bytes16(BF16);
    let mut found = widened(DType::BF16, &stored).expect("BF16 widens");
    let tensor = Tensor { dtype: DType::BF16, kept: DType::F32, shape: &[12], stored: &stored };
    assert_eq!(difference(&tensor, &found, []), None);
    found[8..12].copy_from_slice(&0x1234_5678_u32.to_le_bytes());
    found[20..24].copy_from_slice(&0x9abc_def0_u32.to_le_bytes());
    let wanted = Difference {
        names: Vec::new(),
        at: 2,
        stored: "0x4049".to_owned(),
        expected: Some("0x40490000".to_owned()),
        found: "0x12345678".to_owned(),
        wrong: 2,
        of: 12,
    };
    assert_eq!(difference(&tensor, &found, []), Some(wanted));
}

#[test]
fn one_wrong_element_leaves_several_rules_open() {
    let names = |stored: &[u16], found: &[u16]| {
        let stored = bytes16(stored.iter().copied());
        let shape = [stored.len() as u64 / 2];
        let tensor =
            Tensor { dtype: DType::BF16, kept: DType::BF16, shape: &shape, stored: &stored };
        difference(&tensor, &bytes16(found.iter().copied()), []).expect("a difference").names
    };
    assert_eq!(names(&[0x3f80, 0xc000], &[0x3f80, 0x4000]), ["sign lost", "one bit changed"]);
    let both = ["sign lost", "sign flipped", "one bit changed"];
    assert_eq!(names(&[0xc000], &[0x4000]), both);
    // The other negative number kept its sign.
    assert_eq!(names(&[0xbf80, 0xc000], &[0xbf80, 0x4000]), ["one bit changed"]);
    assert_eq!(names(&[0x8000, 0x4000], &[0, 0x4000])[..2], ["sign lost", "one bit changed"]);
}

#[test]
fn what_a_widened_tensor_should_have_had_is_told() {
    let stored = bytes16(BF16);
    let lengths = |kept: DType| {
        let tensor = Tensor { dtype: DType::BF16, kept, shape: &[3, 4], stored: &stored };
        let found = difference(&tensor, &stored[..20], []).expect("a difference");
        (found.stored, found.expected, found.found)
    };
    let words = |text: &str| text.to_owned();
    let widened = Some(words("48 bytes"));
    assert_eq!(lengths(DType::F32), (words("24 bytes"), widened, words("20 bytes")));
    assert_eq!(lengths(DType::BF16), (words("24 bytes"), None, words("20 bytes")));
}

#[test]
fn a_negative_zero_is_an_ordinary_number() {
    for (bits, is) in [
        (0x8000_0000, true),
        (0x3f80_0000, true),
        (0, false),
        (1, false),
        (0x7f80_0000, false),
        (0x7fc0_0000, false),
    ] {
        assert_eq!(elements::is_ordinary(DType::F32, bits), is, "{bits:x}");
    }
}
