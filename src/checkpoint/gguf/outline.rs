//! What the tensors of a GGUF file will be in memory, without reading them.

use super::{
    super::{Outline, Outlines, Stored},
    Gguf,
    tensor_type::BLOCK,
};
use crate::plan::ElementType;

impl Gguf {
    /// What [`Self::tensors`] would give.
    pub fn outlines(&self) -> Outlines {
        let float = match self.element() {
            ElementType::Float32 => Stored::Float32,
            ElementType::Float16 => Stored::Float16,
            ElementType::Bfloat16 => Stored::Bfloat16,
        };
        let mut outlines = Outlines::new();
        for source in &self.sources {
            // The header admits no side that MLX cannot count.
            let side = |side: u64| i32::try_from(side).unwrap_or(i32::MAX);
            let mut add = |name: String, row: Option<u64>, element| {
                let mut shape: Vec<i32> = source.info.shape.iter().map(|&s| side(s)).collect();
                if let (Some(last), Some(row)) = (shape.last_mut(), row) {
                    *last = side(row);
                }
                outlines.insert(name, Outline { shape, element });
            };
            let Some(bits) = source.info.kind.packed_bits() else {
                add(source.name.clone(), None, float);
                continue;
            };
            let row = source.info.shape.last().copied().unwrap_or(1);
            let stem = source.name.trim_end_matches(".weight");
            let (words, groups) = (row / u64::from(32 / bits), row / BLOCK);
            add(source.name.clone(), Some(words), Stored::Word);
            add(format!("{stem}.scales"), Some(groups), float);
            add(format!("{stem}.biases"), Some(groups), float);
        }
        outlines
    }
}

#[cfg(test)]
mod tests {
    use crate::checkpoint::gguf::{self, sample::Sample};

    #[test]
    fn outlines_are_what_the_tensors_will_be() {
        let sample = Sample::model("llama")
            .tensor("blk.0.ffn_up.weight", &[64, 2], 3, &[0; 80])
            .tensor("blk.0.ffn_down.weight", &[32, 1], 8, &[0; 34])
            .floats("blk.0.ffn_norm.weight", &[8], &[1.0; 8]);
        let file = sample.write();
        let gguf = gguf::open(file.path()).unwrap();
        let (outlines, tensors) = (gguf.outlines(), gguf.tensors().unwrap());
        assert!(outlines.keys().eq(tensors.keys()));
        for (name, outline) in &outlines {
            let tensor = &tensors[name];
            assert_eq!(outline.shape, tensor.shape(), "{name}");
            assert_eq!(outline.bytes(), tensor.nbytes() as u64, "{name}");
        }
        let up = &outlines["model.layers.0.mlp.up_proj.weight"];
        assert_eq!(up.shape, [2, 8]);
    }
}
