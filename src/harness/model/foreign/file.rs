//! Writes GGUF files by the format's description: what candle's writer cannot make.

use candle_core::quantized::gguf_file::Value;

use super::form::GgufForm;

/// A tensor of a file.
pub(super) struct Entry {
    pub(super) name: String,
    /// Outermost side first.
    pub(super) shape: Vec<usize>,
    /// The type id.
    pub(super) kind: u32,
    pub(super) bytes: Vec<u8>,
}

/// Writes a model's files.
///
/// # Errors
/// If the metadata has a value that no file here needs.
pub(super) fn write(
    keys: &[(String, Value)],
    entries: &[Entry],
    form: &GgufForm,
) -> Result<Vec<Vec<u8>>, String> {
    let parts = form.parts.max(1);
    let share = entries.len().div_ceil(parts).max(1);
    let mut files = Vec::new();
    for part in 0..parts {
        let own = entries.iter().skip(part * share).take(share).collect::<Vec<_>>();
        // The later files of a split model have no other metadata, and thus the usual alignment.
        let (mut own_keys, alignment) = match part {
            0 => (keys.to_vec(), form.alignment),
            _ => (Vec::new(), 32),
        };
        if alignment != 32 {
            own_keys.push(("general.alignment".to_owned(), Value::U32(alignment as u32)));
        }
        if parts > 1 {
            own_keys.push(("split.no".to_owned(), Value::U16(part as u16)));
            own_keys.push(("split.count".to_owned(), Value::U16(parts as u16)));
            let count = Value::I32(entries.len() as i32);
            own_keys.push(("split.tensors.count".to_owned(), count));
        }
        files.push(one(&own_keys, &own, alignment as usize)?);
    }
    Ok(files)
}

fn one(keys: &[(String, Value)], entries: &[&Entry], alignment: usize) -> Result<Vec<u8>, String> {
    let mut bytes = b"GGUF".to_vec();
    bytes.extend(3u32.to_le_bytes());
    bytes.extend((entries.len() as u64).to_le_bytes());
    bytes.extend((keys.len() as u64).to_le_bytes());
    for (key, value) in keys {
        text(&mut bytes, key);
        bytes.extend(kind(value)?.to_le_bytes());
        put(&mut bytes, value)?;
    }
    let mut offset = 0usize;
    for entry in entries {
        text(&mut bytes, &entry.name);
        bytes.extend((entry.shape.len() as u32).to_le_bytes());
        for side in entry.shape.iter().rev() {
            bytes.extend((*side as u64).to_le_bytes());
        }
        bytes.extend(entry.kind.to_le_bytes());
        bytes.extend((offset as u64).to_le_bytes());
        offset = (offset + entry.bytes.len()).next_multiple_of(alignment);
    }
    let pad = |bytes: &mut Vec<u8>| bytes.resize(bytes.len().next_multiple_of(alignment), 0);
    pad(&mut bytes);
    // Offsets count from here, and the start is aligned, so both are padded alike.
    for entry in entries {
        bytes.extend(&entry.bytes);
        pad(&mut bytes);
    }
    Ok(bytes)
}

fn text(bytes: &mut Vec<u8>, text: &str) {
    bytes.extend((text.len() as u64).to_le_bytes());
    bytes.extend(text.as_bytes());
}

/// The type id of a value.
fn kind(value: &Value) -> Result<u32, String> {
    Ok(match value {
        Value::U16(_) => 2,
        Value::U32(_) => 4,
        Value::I32(_) => 5,
        Value::F32(_) => 6,
        Value::Bool(_) => 7,
        Value::String(_) => 8,
        Value::Array(_) => 9,
        _ => return Err("a metadata value of a type that the judge does not write".to_owned()),
    })
}

fn put(bytes: &mut Vec<u8>, value: &Value) -> Result<(), String> {
    match value {
        Value::U16(number) => bytes.extend(number.to_le_bytes()),
        Value::U32(number) => bytes.extend(number.to_le_bytes()),
        Value::I32(number) => bytes.extend(number.to_le_bytes()),
        Value::F32(number) => bytes.extend(number.to_le_bytes()),
        Value::Bool(flag) => bytes.push(u8::from(*flag)),
        Value::String(own) => text(bytes, own),
        Value::Array(all) => {
            // An empty array has a type as well; any will do.
            bytes.extend(all.first().map_or(Ok(4), kind)?.to_le_bytes());
            bytes.extend((all.len() as u64).to_le_bytes());
            all.iter().try_for_each(|one| put(bytes, one))?;
        }
        _ => return Err("a metadata value of a type that the judge does not write".to_owned()),
    }
    Ok(())
}

#[cfg(test)]
mod tests {
    use std::io::Cursor;

    use candle_core::Device;
    use candle_core::quantized::gguf_file::Content;

    use super::*;

    #[test]
    fn candle_reads_the_same_tensors_at_every_alignment() {
        let entry = |name: &str, values: &[f32]| Entry {
            name: name.to_owned(),
            shape: vec![1, values.len()],
            kind: 0,
            bytes: values.iter().flat_map(|value| value.to_le_bytes()).collect(),
        };
        let entries = [entry("first", &[1.0, 2.0, 3.0]), entry("second", &[4.0])];
        for alignment in [8, 32, 256] {
            let form = GgufForm { alignment, ..GgufForm::default() };
            let keys = [("some.key".to_owned(), Value::Array(vec![Value::I32(-3)]))];
            let files = write(&keys, &entries, &form).unwrap();
            assert_eq!(files.len(), 1);
            let mut file = Cursor::new(&files[0]);
            let read = Content::read(&mut file).unwrap();
            assert_eq!(read.metadata["some.key"].to_vec().unwrap()[0].to_i32().unwrap(), -3);
            for (name, wanted) in [("first", vec![1.0, 2.0, 3.0]), ("second", vec![4.0])] {
                let tensor = read.tensor(&mut file, name, &Device::Cpu).unwrap();
                let tensor = tensor.dequantize(&Device::Cpu).unwrap();
                assert_eq!(tensor.to_vec2::<f32>().unwrap(), [wanted], "{name} at {alignment}");
            }
        }
    }

    #[test]
    fn parts_share_the_tensors_and_the_first_has_the_metadata() {
        let entry = |name: &str| Entry {
            name: name.to_owned(),
            shape: vec![1],
            kind: 0,
            bytes: vec![0; 4],
        };
        let entries = ["a", "b", "c", "d"].map(entry);
        let form = GgufForm { parts: 3, ..GgufForm::default() };
        let keys = [("some.key".to_owned(), Value::Bool(true))];
        let files = write(&keys, &entries, &form).unwrap();
        let read = |bytes: &Vec<u8>| Content::read(&mut Cursor::new(bytes)).unwrap();
        let counts: Vec<usize> = files.iter().map(|file| read(file).tensor_infos.len()).collect();
        assert_eq!(counts, [2, 2, 0]);
        for (no, file) in files.iter().enumerate() {
            let metadata = read(file).metadata;
            assert_eq!(usize::from(metadata["split.no"].to_u16().unwrap()), no);
            assert_eq!(metadata["split.count"].to_u16().unwrap(), 3);
            assert_eq!(metadata["split.tensors.count"].to_i32().unwrap(), 4);
            assert_eq!(metadata.contains_key("some.key"), no == 0);
        }
    }
}
