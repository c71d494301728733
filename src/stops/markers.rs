//! The markers of published models, in every spelling that was seen.

/// Tokens that end a turn or a text.
///
/// The first six are those that mlx-knife looks for in every answer.
pub const ENDS: [&str; 23] = [
    "<|end|>",
    "<|eot_id|>",
    "<|im_end|>",
    "<|endoftext|>",
    "</s>",
    "<|end_of_text|>",
    "<|eom_id|>",
    "<end_of_turn>",
    "<turn|>",
    "<eos>",
    "<|return|>",
    "<|call|>",
    "<|END_OF_TURN_TOKEN|>",
    "<|end_of_turn|>",
    "<|endofturn|>",
    "[|endofturn|]",
    "<｜end▁of▁sentence｜>",
    "<|end▁of▁sentence|>",
    "<|end_of_sentence|>",
    "<|EOT|>",
    "<|eot|>",
    "<|role_end|>",
    "<|end_of_msg|>",
];

/// Tokens that begin a turn.
pub const BEGINS: [&str; 14] = [
    "<|im_start|>",
    "<start_of_turn>",
    "<|turn>",
    "<|start_header_id|>",
    "<|start|>",
    "[INST]",
    "<|user|>",
    "<|assistant|>",
    "<｜User｜>",
    "<｜Assistant｜>",
    "<|START_OF_TURN_TOKEN|>",
    "<|start_of_role|>",
    "[|user|]",
    "[|assistant|]",
];

/// Roles as people write them, at the beginning of a line.
pub(super) const ROLES: [&str; 5] = ["User:", "Assistant:", "Human:", "AI:", "You:"];
