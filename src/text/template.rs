//! Chat templates, rendered as Python's `transformers` renders them.

mod chains;
mod generation;
mod json;
mod kinds;
mod meter;
mod metered;
mod program;

use std::{error::Error, sync::Arc};

use jiff::{civil::DateTime, fmt::strtime};
use minijinja::{Environment, ErrorKind, State, Value, syntax::SyntaxConfig};
use thiserror::Error;

use program::Program;

/// Work that one rendering may do: an instruction, or 64 bytes made.
///
/// The costliest of 70 published templates takes 1,300 for a chat of six messages and 235,000 for a
/// prompt of a megabyte. All of it is spent in a second or two.
const FUEL: u64 = 2_000_000;

/// Why a template gave no text.
#[derive(Clone, Debug, Error)]
pub enum TemplateError {
    /// It is not a template.
    #[error("chat template `{template}`, line {line}, cannot be read")]
    Syntax {
        /// Where the template comes from.
        template: String,
        /// The line, from one.
        line: usize,
        /// What is wrong there.
        source: Arc<minijinja::Error>,
    },
    /// It refused these messages, by calling `raise_exception`.
    #[error("chat template `{template}` refuses the messages: {message}")]
    Refused {
        /// Where the template comes from.
        template: String,
        /// Its own words.
        message: String,
    },
    /// It asked for more work than any honest template does.
    #[error("chat template `{template}`, line {line}, does not end")]
    Endless {
        /// Where the template comes from.
        template: String,
        /// The line that was reached, from one.
        line: usize,
    },
    /// It went wrong.
    #[error("chat template `{template}`, line {line}, cannot be rendered")]
    Render {
        /// Where the template comes from.
        template: String,
        /// The line, from one.
        line: usize,
        /// What went wrong there.
        source: Arc<minijinja::Error>,
    },
}

impl TemplateError {
    /// A stable name for machines.
    pub const fn kind(&self) -> &'static str {
        match self {
            Self::Syntax { .. } => "template_syntax",
            Self::Refused { .. } => "template_refused",
            Self::Endless { .. } => "template_endless",
            Self::Render { .. } => "template_render",
        }
    }
}

/// What a template is told.
#[derive(Clone, Debug)]
pub struct Context {
    /// Roles and contents, in order.
    pub messages: Vec<(String, String)>,
    /// Variables such as `bos_token`.
    pub special_tokens: Vec<(String, String)>,
    /// The variable `add_generation_prompt`: whether the model is to go on.
    pub add_generation_prompt: bool,
    /// The variable `enable_thinking`.
    pub enable_thinking: bool,
    /// What `strftime_now` takes for now.
    pub now: DateTime,
}

/// A template that can be read.
#[derive(Debug)]
pub struct ChatTemplate {
    environment: Environment<'static>,
    program: Program,
    name: String,
}

impl ChatTemplate {
    /// Reads `source`; errors will call it `name`.
    ///
    /// # Errors
    ///
    /// [`TemplateError::Syntax`] where it is not a template, or one beyond all measure.
    pub fn new(name: &str, source: &str) -> Result<Self, TemplateError> {
        let unreadable = |line: usize, error: minijinja::Error| TemplateError::Syntax {
            template: name.to_owned(),
            line,
            source: Arc::new(error),
        };
        let mut environment = Environment::new();
        environment.set_fuel(Some(FUEL));
        meter::install(&mut environment);
        environment.add_filter("tojson", json::tojson);
        kinds::add_tests(&mut environment);
        environment.add_function("raise_exception", raise_exception);
        let syntax = SyntaxConfig::builder().trim_blocks(true).lstrip_blocks(true).build();
        let syntax = syntax.map_err(|error| unreadable(1, error))?;
        let source = generation::as_scopes(source).into_owned();
        chains::check(&source, &syntax)
            .map_err(|refusal| unreadable(refusal.line, refusal.error))?;
        let program = Program::new(name, source, syntax)
            .map_err(|error| unreadable(error.line().unwrap_or(1), error))?;
        Ok(Self { environment, program, name: name.to_owned() })
    }

    /// Writes the chat out, up to where the model goes on.
    ///
    /// # Errors
    ///
    /// When the template refuses the messages, goes wrong or does not end.
    pub fn render(&self, context: &Context) -> Result<String, TemplateError> {
        self.program.run(&self.environment, values(context)).map_err(|error| self.explain(error))
    }

    fn explain(&self, error: minijinja::Error) -> TemplateError {
        let template = self.name.clone();
        let line = error.line().unwrap_or(1);
        if let Some(message) = refusal(&error) {
            return TemplateError::Refused { template, message };
        }
        if error.kind() == ErrorKind::OutOfFuel {
            return TemplateError::Endless { template, line };
        }
        TemplateError::Render { template, line, source: Arc::new(error) }
    }
}

/// The names that templates are written against.
fn values(context: &Context) -> Value {
    let now = context.now;
    let messages: Vec<Value> = context
        .messages
        .iter()
        .map(|(role, content)| Value::from_pairs([("role", role), ("content", content)]))
        .collect();
    let mut names = vec![
        ("messages", Value::from(messages)),
        ("tools", Value::from(())),
        ("documents", Value::from(())),
        ("add_generation_prompt", Value::from(context.add_generation_prompt)),
        ("enable_thinking", Value::from(context.enable_thinking)),
        ("strftime_now", Value::from_function(move |format: &str| strftime(now, format))),
    ];
    for (name, token) in &context.special_tokens {
        names.push((name, Value::from(token)));
    }
    Value::from_pairs(names)
}

fn strftime(now: DateTime, format: &str) -> Result<String, minijinja::Error> {
    strtime::format(format, now).map_err(|error| {
        minijinja::Error::new(
            ErrorKind::InvalidOperation,
            format!("`{format}` is not a form of date"),
        )
        .with_source(error)
    })
}

/// What a template said when it called `raise_exception`.
#[derive(Debug, Error)]
#[error("{0}")]
struct Refusal(String);

fn raise_exception(state: &State<'_, '_>, message: &Value) -> Result<Value, minijinja::Error> {
    meter::weigh(state, message)?;
    Err(minijinja::Error::new(ErrorKind::InvalidOperation, "the template refuses")
        .with_source(Refusal(message.to_string())))
}

/// The refusal behind `error`, however many macros it came through.
fn refusal(error: &minijinja::Error) -> Option<String> {
    let mut cause: Option<&(dyn Error + 'static)> = error.source();
    while let Some(found) = cause {
        if let Some(Refusal(message)) = found.downcast_ref() {
            return Some(message.clone());
        }
        cause = found.source();
    }
    None
}

#[cfg(test)]
mod tests {
    use super::*;

    fn context(contents: &[&str]) -> Context {
        let roles = ["user", "assistant"].into_iter().cycle();
        Context {
            messages: roles
                .zip(contents)
                .map(|(role, said)| (role.to_owned(), (*said).to_owned()))
                .collect(),
            special_tokens: vec![("bos_token".to_owned(), "<s>".to_owned())],
            add_generation_prompt: true,
            enable_thinking: false,
            now: jiff::civil::date(2026, 3, 5).at(7, 8, 9, 0),
        }
    }

    fn render(source: &str, contents: &[&str]) -> Result<String, TemplateError> {
        ChatTemplate::new("test", source)?.render(&context(contents))
    }

    #[track_caller]
    fn case(source: &str, contents: &[&str], expected: &str) {
        assert_eq!(render(source, contents).unwrap(), expected);
    }

    #[test]
    fn a_template_in_the_manner_of_chat_ml_writes_a_chat() {
        // The whitespace of the source tests `trim_blocks` and `lstrip_blocks`.
        let source = "{{ bos_token }}
            {%- for message in messages %}
        {{- '<|im_start|>' + message['role'] + '\\n' + message.content|trim + '<|im_end|>\\n' }}
    {%- endfor %}
    {% if add_generation_prompt %}
<|im_start|>assistant
    {% endif %}
";
        let expected = "<s><|im_start|>user\nHi<|im_end|>\n<|im_start|>assistant\nHo<|im_end|>\n<|im_start|>assistant\n";
        case(source, &[" Hi ", "Ho"], expected);
    }

    #[test]
    fn methods_of_python_and_loop_controls_work() {
        let source = "{% set ns = namespace(last='') %}{% for m in messages %}{% if loop.index0 == 2 %}{% break %}{% endif %}\
            {% set ns.last = m.content.split('</t>')[-1].strip().upper() %}{% endfor %}{{ ns.last }}{{ messages[::-1][0].get('x', '-') }}";
        case(source, &["a", "x</t> y ", "z"], "Y-");
    }

    #[test]
    fn text_is_not_escaped() {
        case("{{ messages[0].content }}", &["<b> & 'q' {{ x }}"], "<b> & 'q' {{ x }}");
    }

    #[test]
    fn what_is_marked_as_generated_is_written_like_the_rest() {
        let source = "{% generation %}{% set x = 1 %}[{{ messages[0].content }}]{% endgeneration %}{{ x is defined }}";
        case(source, &["a"], "[a]False");
    }

    #[test]
    fn the_date_is_the_one_given() {
        case(
            "{{ strftime_now('%d %B %Y, %-d %b, %H:%M:%S') }}",
            &[],
            "05 March 2026, 5 Mar, 07:08:09",
        );
        assert_eq!(render("{{ strftime_now('%!') }}", &[]).unwrap_err().kind(), "template_render");
    }

    #[test]
    fn names_that_were_not_given_are_undefined_and_tools_are_none() {
        case(
            "{{ tools is none }} {{ documents is none }} {{ eos_token is defined }} {{ enable_thinking }}",
            &[],
            "True True False False",
        );
    }

    #[test]
    fn a_refusal_keeps_its_words_even_through_a_macro() {
        let source = "{% macro check() %}{{ raise_exception('roles must alternate') }}{% endmacro %}\n{{ check() }}";
        let error = render(source, &[]).unwrap_err();
        assert_eq!(
            error.to_string(),
            "chat template `test` refuses the messages: roles must alternate"
        );
    }

    #[test]
    fn a_runaway_template_ends_in_an_error() {
        let source = "{% for i in range(99999) %}\n{% for j in range(99999) %}{% set x = i * j %}{% endfor %}{% endfor %}";
        let error = render(source, &[]).unwrap_err();
        assert_eq!(error.to_string(), "chat template `test`, line 2, does not end");
    }

    #[test]
    fn a_template_that_makes_too_much_ends_in_an_error() {
        let source = "{% set ns = namespace(x='0123456789') %}{% for i in range(40) %}{% set ns.x = ns.x + ns.x %}{% endfor %}";
        assert_eq!(render(source, &[]).unwrap_err().kind(), "template_endless");
    }

    #[test]
    fn errors_name_the_template_and_the_line() {
        let error = render("a\nb\n{{ messages[0].content.nosuch() }}", &["x"]).unwrap_err();
        assert_eq!(error.to_string(), "chat template `test`, line 3, cannot be rendered");
        let error = render("a\n{% nosuch %}", &[]).unwrap_err();
        assert_eq!(error.to_string(), "chat template `test`, line 2, cannot be read");
    }

    #[test]
    fn a_list_repeated_without_end_is_endless() {
        let within_itself = "{% set a = namespace() %}{% set a.b = a %}{{ a }}";
        let repeated = ["{{ [0] * 100000000 }}", "{{ ([[0] * 100000000] * 100000000)|string }}"];
        for source in [repeated[0], repeated[1], within_itself] {
            assert_eq!(render(source, &[]).unwrap_err().kind(), "template_endless");
        }
        case("{{ [0] * 3 }}{{ ([0] * 2)|string }}", &[], "[0, 0, 0][0, 0]");
    }

    #[test]
    fn a_chat_of_a_megabyte_is_no_runaway() {
        let long = "word ".repeat(200_000);
        let source =
            "{% for m in messages %}{{ m.content.strip().replace('\\r', '')|trim }}{% endfor %}";
        assert_eq!(render(source, &[&long]).unwrap().len(), long.len() - 1);
    }
}
