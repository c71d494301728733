//! GGUF files small enough to be spelled out, for the tests here.

/// A file in the making.
#[derive(Clone, Debug)]
pub(super) struct Sample {
    version: u32,
    pub(super) alignment: usize,
    keys: Vec<u8>,
    key_count: u64,
    tensors: Vec<(Vec<u8>, Vec<u8>)>,
}

impl Default for Sample {
    fn default() -> Self {
        Self { version: 3, alignment: 32, keys: Vec::new(), key_count: 0, tensors: Vec::new() }
    }
}

impl Sample {
    /// Adds a key with a value of this kind, spelled in bytes.
    pub(super) fn raw(mut self, key: &str, kind: u32, value: &[u8]) -> Self {
        self.keys.extend(text(key));
        self.keys.extend(kind.to_le_bytes());
        self.keys.extend(value);
        self.key_count += 1;
        self
    }

    pub(super) fn count(self, key: &str, value: u32) -> Self {
        self.raw(key, 4, &value.to_le_bytes())
    }

    pub(super) fn single(self, key: &str, value: f32) -> Self {
        self.raw(key, 6, &value.to_le_bytes())
    }

    pub(super) fn flag(self, key: &str, value: bool) -> Self {
        self.raw(key, 7, &[value.into()])
    }

    pub(super) fn text(self, key: &str, value: &str) -> Self {
        self.raw(key, 8, &text(value))
    }

    pub(super) fn texts(self, key: &str, values: &[&str]) -> Self {
        self.list(key, 8, values.len(), values.iter().flat_map(|value| text(value)))
    }

    pub(super) fn singles(self, key: &str, values: &[f32]) -> Self {
        self.list(key, 6, values.len(), values.iter().flat_map(|value| value.to_le_bytes()))
    }

    pub(super) fn integers(self, key: &str, values: &[i32]) -> Self {
        self.list(key, 5, values.len(), values.iter().flat_map(|value| value.to_le_bytes()))
    }

    fn list(self, key: &str, kind: u32, length: usize, items: impl Iterator<Item = u8>) -> Self {
        let head = [&kind.to_le_bytes()[..], &(length as u64).to_le_bytes()].concat();
        self.raw(key, 9, &head.into_iter().chain(items).collect::<Vec<u8>>())
    }

    /// Adds a tensor whose `sides` are given as in the file: elements of a row first.
    pub(super) fn tensor(mut self, name: &str, sides: &[u64], kind: u32, data: &[u8]) -> Self {
        let mut head = text(name);
        head.extend((u32::try_from(sides.len()).unwrap()).to_le_bytes());
        head.extend(sides.iter().flat_map(|side| side.to_le_bytes()));
        head.extend(kind.to_le_bytes());
        self.tensors.push((head, data.to_vec()));
        self
    }

    /// Adds a tensor in single precision.
    pub(super) fn floats(self, name: &str, sides: &[u64], values: &[f32]) -> Self {
        let data: Vec<u8> = values.iter().flat_map(|value| value.to_le_bytes()).collect();
        self.tensor(name, sides, 0, &data)
    }

    /// A file with every kind of value and two tensors.
    pub(super) fn full() -> Self {
        let nested = [
            &9u32.to_le_bytes()[..],
            &1u64.to_le_bytes(),
            &1u32.to_le_bytes(),
            &2u64.to_le_bytes(),
            &[1, 255],
        ];
        Self::default()
            .raw("u8", 0, &[200])
            .raw("i8", 1, &[255])
            .raw("u16", 2, &[1, 2])
            .raw("i16", 3, &[254, 255])
            .count("u32", 70_000)
            .raw("i32", 5, &(-5i32).to_le_bytes())
            .single("f32", 1.5)
            .flag("bool", true)
            .text("text", "Grüße")
            .raw("list", 9, &nested.concat())
            .raw("u64", 10, &u64::MAX.to_le_bytes())
            .raw("i64", 11, &i64::MIN.to_le_bytes())
            .raw("f64", 12, &0.1f64.to_le_bytes())
            .tensor("a", &[32, 2], 8, &[7; 68])
            .floats("b", &[3], &[1.0, 2.0, 3.0])
    }

    pub(super) fn version(mut self, version: u32) -> Self {
        self.version = version;
        self
    }

    /// A model of `architecture` with one layer, heads of 4 elements and a vocabulary of 3.
    pub(super) fn model(architecture: &str) -> Self {
        let key = |name: &str| format!("{architecture}.{name}");
        Self::default()
            .text("general.architecture", architecture)
            .count(&key("embedding_length"), 8)
            .count(&key("block_count"), 1)
            .count(&key("feed_forward_length"), 16)
            .count(&key("attention.head_count"), 2)
            .count(&key("context_length"), 64)
            .single(&key("attention.layer_norm_rms_epsilon"), 1e-5)
            .floats("token_embd.weight", &[8, 3], &[0.5; 24])
    }

    /// The file.
    pub(super) fn bytes(&self) -> Vec<u8> {
        let mut file = b"GGUF".to_vec();
        file.extend(self.version.to_le_bytes());
        file.extend((self.tensors.len() as u64).to_le_bytes());
        file.extend(self.key_count.to_le_bytes());
        file.extend(&self.keys);
        let mut data = Vec::new();
        for (head, tensor) in &self.tensors {
            data.resize(data.len().next_multiple_of(self.alignment), 0);
            file.extend(head);
            file.extend((data.len() as u64).to_le_bytes());
            data.extend(tensor);
        }
        file.resize(file.len().next_multiple_of(self.alignment), 0);
        file.extend(data);
        file
    }

    /// The file on disk.
    pub(super) fn write(&self) -> tempfile::NamedTempFile {
        let file = tempfile::Builder::new().suffix(".gguf").tempfile().unwrap();
        std::fs::write(file.path(), self.bytes()).unwrap();
        file
    }
}

fn text(text: &str) -> Vec<u8> {
    [&(text.len() as u64).to_le_bytes()[..], text.as_bytes()].concat()
}
