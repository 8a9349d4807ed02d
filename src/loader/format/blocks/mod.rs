//! Unpacks blocks of quantised elements to F32. Every product is rounded to F32 in the order of the
//! formats' reference implementations, so that results can be compared bit for bit.

mod bits;
mod grids;
mod i_quants;
mod k_quants;
mod simple;

/// How elements are packed, by llama.cpp's names.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
#[allow(missing_docs, reason = "the names are llama.cpp's; each unpacker describes its layout")]
pub enum Packing {
    Q4_0,
    Q4_1,
    Q5_0,
    Q5_1,
    Q8_0,
    Q2K,
    Q3K,
    Q4K,
    Q5K,
    Q6K,
    Iq2Xxs,
    Iq2Xs,
    Iq2S,
    Iq3Xxs,
    Iq3S,
    Iq1S,
    Iq1M,
    Iq4Nl,
    Iq4Xs,
    Tq1_0,
    Tq2_0,
    Mxfp4,
    Nvfp4,
}

/// One way of packing.
struct Form {
    packing: Packing,
    /// The name in llama.cpp, and the type id in GGUF.
    name: &'static str,
    id: u32,
    /// Elements and bytes of a block.
    elements: usize,
    bytes: usize,
    /// Unpacks one block.
    unpack: fn(&[u8], &mut [f32]),
}

/// Most elements of a block.
const MOST_ELEMENTS: usize = 256;

const fn form(
    packing: Packing,
    name: &'static str,
    id: u32,
    elements: usize,
    bytes: usize,
    unpack: fn(&[u8], &mut [f32]),
) -> Form {
    Form { packing, name, id, elements, bytes, unpack }
}

/// All ways, in the order of the type. Sizes and ids are those of the format.
const FORMS: [Form; 23] = [
    form(Packing::Q4_0, "Q4_0", 2, 32, 18, simple::q4_0),
    form(Packing::Q4_1, "Q4_1", 3, 32, 20, simple::q4_1),
    form(Packing::Q5_0, "Q5_0", 6, 32, 22, simple::q5_0),
    form(Packing::Q5_1, "Q5_1", 7, 32, 24, simple::q5_1),
    form(Packing::Q8_0, "Q8_0", 8, 32, 34, simple::q8_0),
    form(Packing::Q2K, "Q2_K", 10, 256, 84, k_quants::q2_k),
    form(Packing::Q3K, "Q3_K", 11, 256, 110, k_quants::q3_k),
    form(Packing::Q4K, "Q4_K", 12, 256, 144, k_quants::q4_k),
    form(Packing::Q5K, "Q5_K", 13, 256, 176, k_quants::q5_k),
    form(Packing::Q6K, "Q6_K", 14, 256, 210, k_quants::q6_k),
    form(Packing::Iq2Xxs, "IQ2_XXS", 16, 256, 66, i_quants::iq2_xxs),
    form(Packing::Iq2Xs, "IQ2_XS", 17, 256, 74, i_quants::iq2_xs),
    form(Packing::Iq2S, "IQ2_S", 22, 256, 82, i_quants::iq2_s),
    form(Packing::Iq3Xxs, "IQ3_XXS", 18, 256, 98, i_quants::iq3_xxs),
    form(Packing::Iq3S, "IQ3_S", 21, 256, 110, i_quants::iq3_s),
    form(Packing::Iq1S, "IQ1_S", 19, 256, 50, i_quants::iq1_s),
    form(Packing::Iq1M, "IQ1_M", 29, 256, 56, i_quants::iq1_m),
    form(Packing::Iq4Nl, "IQ4_NL", 20, 32, 18, simple::iq4_nl),
    form(Packing::Iq4Xs, "IQ4_XS", 23, 256, 136, k_quants::iq4_xs),
    form(Packing::Tq1_0, "TQ1_0", 34, 256, 54, simple::tq1_0),
    form(Packing::Tq2_0, "TQ2_0", 35, 256, 66, simple::tq2_0),
    form(Packing::Mxfp4, "MXFP4", 39, 32, 17, simple::mxfp4),
    form(Packing::Nvfp4, "NVFP4", 40, 64, 36, simple::nvfp4),
];

impl Packing {
    /// All ways of packing.
    pub fn all() -> impl Iterator<Item = Packing> {
        FORMS.iter().map(|form| form.packing)
    }

    const fn form(self) -> &'static Form {
        &FORMS[self as usize]
    }

    /// The name in llama.cpp.
    pub const fn name(self) -> &'static str {
        self.form().name
    }

    /// The type id in GGUF.
    pub const fn id(self) -> u32 {
        self.form().id
    }

    /// Elements of a block.
    pub const fn elements(self) -> u64 {
        self.form().elements as u64
    }

    /// Bytes of a block.
    pub const fn bytes(self) -> u64 {
        self.form().bytes as u64
    }

    /// Appends the elements of whole blocks to `out`, as little-endian F32.
    pub fn unpack(self, blocks: &[u8], out: &mut Vec<u8>) {
        let Form { elements, bytes, unpack, .. } = self.form();
        out.reserve(blocks.len() / bytes * elements * 4);
        let mut values = [0f32; MOST_ELEMENTS];
        let values = &mut values[..*elements];
        for block in blocks.chunks_exact(*bytes) {
            unpack(block, values);
            out.extend(values.iter().flat_map(|value| value.to_le_bytes()));
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn every_form_stands_at_its_place() {
        for (at, form) in FORMS.iter().enumerate() {
            assert_eq!(form.packing as usize, at, "{}", form.name);
            assert!(form.elements <= MOST_ELEMENTS);
        }
    }
}
