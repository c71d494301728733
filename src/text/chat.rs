//! Chats: what was said becomes a prompt by the model's own template.

use jiff::civil::DateTime;

use super::{SpecialTokens, TextError, Tokenizer, config::TemplateSource, template::Context};

/// Pairs of tokens that a model thinks between; where a vocabulary has both, it can think.
const THINKING: [(&str, &str); 4] = [
    ("<think>", "</think>"),
    ("<longcat_think>", "</longcat_think>"),
    ("<|think:start|>", "<|think:end|>"),
    ("<|channel>", "<channel|>"),
];

/// Something said in a chat.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Message {
    /// Who says it: `system`, `user`, `assistant`.
    pub role: String,
    /// What is said.
    pub content: String,
}

impl Message {
    /// What a user says.
    pub fn user(content: impl Into<String>) -> Self {
        Self { role: "user".to_owned(), content: content.into() }
    }
}

/// What a chat template is told besides the messages.
#[derive(Clone, Copy, Debug)]
pub struct ChatOptions {
    /// Whether the model may think first; where this is absent, it may if it can.
    pub enable_thinking: Option<bool>,
    /// Now, for templates that print the date.
    pub now: DateTime,
}

impl Tokenizer {
    /// Whether a chat can be asked for.
    pub const fn has_chat_template(&self) -> bool {
        self.template.is_some()
    }

    /// Whether the vocabulary has the tokens to think between.
    pub fn can_think(&self) -> bool {
        let has = |token: &str| self.inner.token_to_id(token).is_some();
        THINKING.iter().any(|(start, end)| has(start) && has(end))
            || ["<|open|>", "<|close|>", "<|sep|>", "<|end_of_msg|>"].into_iter().all(has)
    }

    /// A chat, written out up to where the model answers.
    ///
    /// # Errors
    ///
    /// When there is no template, or when it gives no text.
    pub fn chat_text(
        &self,
        messages: &[Message],
        options: ChatOptions,
    ) -> Result<String, TextError> {
        self.write_chat(messages, options, true)
    }

    /// A chat, written out up to where the model answers, or as it is when it is over.
    pub(super) fn write_chat(
        &self,
        messages: &[Message],
        options: ChatOptions,
        add_generation_prompt: bool,
    ) -> Result<String, TextError> {
        let template = match (&self.template, &self.config.chat_template) {
            (Some(Ok(template)), _) => template,
            (Some(Err(error)), _) => return Err(error.clone().into()),
            (None, TemplateSource::Named(names)) => {
                return Err(TextError::NoDefaultTemplate { names: names.clone() });
            }
            (None, TemplateSource::Absent | TemplateSource::Default { .. }) => {
                return Err(TextError::NoChatTemplate);
            }
        };
        let context = Context {
            messages: messages
                .iter()
                .map(|said| (said.role.clone(), said.content.clone()))
                .collect(),
            special_tokens: self.config.special_tokens.clone().into_iter().collect(),
            add_generation_prompt,
            enable_thinking: options.enable_thinking.unwrap_or_else(|| self.can_think()),
            now: options.now,
        };
        Ok(template.render(&context)?)
    }

    /// The ids of a chat, up to where the model answers.
    ///
    /// The template writes the special tokens itself; none is added.
    ///
    /// # Errors
    ///
    /// When there is no template, when it gives no text or when that cannot be encoded.
    pub fn chat_ids(
        &self,
        messages: &[Message],
        options: ChatOptions,
    ) -> Result<Vec<u32>, TextError> {
        self.encode(&self.chat_text(messages, options)?, SpecialTokens::Leave)
    }
}

#[cfg(test)]
mod tests {
    use tokenizers::AddedToken;

    use super::*;
    use crate::text::{config::TokenizerConfig, samples};

    fn options() -> ChatOptions {
        ChatOptions { enable_thinking: None, now: jiff::civil::date(2026, 3, 5).at(7, 8, 9, 0) }
    }

    fn with_template(source: &str) -> Tokenizer {
        let inner = samples::byte_level_wrapped().inner;
        let chat_template =
            TemplateSource::Default { origin: "test".to_owned(), source: source.to_owned() };
        Tokenizer::from_parts(inner, TokenizerConfig { chat_template, ..samples::config() })
            .unwrap()
    }

    #[test]
    fn a_chat_is_encoded_as_the_template_writes_it() {
        let tokenizer = with_template(
            "{{ bos_token }}{% for m in messages %}{{ m.content }}{{ eos_token }}{% endfor %}",
        );
        let ids = tokenizer.chat_ids(&[Message::user("he")], options()).unwrap();
        assert_eq!(ids, [0, 259, 1]);
    }

    #[test]
    fn a_model_thinks_where_its_vocabulary_says_that_it_can() {
        let shown = "{{ enable_thinking }}";
        let text = |tokenizer: &Tokenizer, options| {
            tokenizer.chat_text(&[Message::user("")], options).unwrap()
        };
        let plain = with_template(shown);
        assert_eq!(text(&plain, options()), "False");
        assert_eq!(text(&plain, ChatOptions { enable_thinking: Some(true), ..options() }), "True");
        let mut inner = plain.inner.clone();
        inner
            .add_tokens(["<think>", "</think>"].map(|token| AddedToken::from(token, false)))
            .unwrap();
        let chat_template =
            TemplateSource::Default { origin: "test".to_owned(), source: shown.to_owned() };
        let config = TokenizerConfig { chat_template, ..samples::config() };
        assert_eq!(text(&Tokenizer::from_parts(inner, config).unwrap(), options()), "True");
    }

    #[test]
    fn without_a_template_a_chat_is_an_error_that_says_so() {
        let error = samples::byte_level().chat_ids(&[], options()).unwrap_err();
        assert_eq!(error.kind(), "chat_template_missing");
        let chat_template = TemplateSource::Named(vec!["rag".to_owned()]);
        let config = TokenizerConfig { chat_template, ..samples::config() };
        let tokenizer = Tokenizer::from_parts(samples::byte_level().inner, config).unwrap();
        assert!(!tokenizer.has_chat_template());
        let error = tokenizer.chat_ids(&[], options()).unwrap_err();
        assert_eq!(error.to_string(), "of the chat templates [\"rag\"] none is called `default`");
    }

    #[test]
    fn a_broken_template_is_an_error_only_when_it_is_asked_for() {
        let tokenizer = with_template("{% if %}");
        assert!(tokenizer.has_chat_template());
        assert_eq!(tokenizer.encode_prompt("he").unwrap(), [0, 259, 1]);
        assert_eq!(tokenizer.chat_ids(&[], options()).unwrap_err().kind(), "template_syntax");
    }

    #[test]
    fn a_real_model_is_asked_as_its_makers_ask_it() {
        let path = concat!(env!("CARGO_MANIFEST_DIR"), "/.models/SmolLM2-135M-Instruct.Q4_1.gguf");
        if !std::path::Path::new(path).exists() {
            eprintln!("skipped: `{path}` is missing, `cargo xtask test` fetches it");
            return;
        }
        let gguf = crate::checkpoint::gguf::open(path.as_ref()).unwrap();
        let tokenizer = Tokenizer::from_gguf(&gguf).unwrap().unwrap();
        let messages = [Message::user("What is the capital of France?")];
        // Both right-hand sides are what `transformers` makes of the same template and tokenizer.
        assert_eq!(
            tokenizer.chat_text(&messages, options()).unwrap(),
            "<|im_start|>system\nYou are a helpful AI assistant named SmolLM, trained by Hugging Face<|im_end|>\n<|im_start|>user\nWhat is the capital of France?<|im_end|>\n<|im_start|>assistant\n"
        );
        assert_eq!(
            tokenizer.chat_ids(&messages, options()).unwrap(),
            [
                1, 9690, 198, 2683, 359, 253, 5356, 5646, 11173, 3365, 3511, 308, 34519, 28, 7018,
                411, 407, 19712, 8182, 2, 198, 1, 4093, 198, 1780, 314, 260, 3575, 282, 4649, 47,
                2, 198, 1, 520, 9531, 198
            ]
        );
    }
}
