//! The tests of what a value is, where Python's answer is not the engine's.

use minijinja::{Environment, Value, value::ValueKind};

/// Makes `is iterable` and `is sequence` answer as they do in Python.
pub(super) fn add_tests(environment: &mut Environment<'_>) {
    environment.add_test("iterable", |value: &Value| {
        // The characters of a text would be counted.
        value.as_str().is_some() || !value.is_none() && value.try_iter().is_ok()
    });
    environment.add_test("sequence", |value: &Value| {
        matches!(
            value.kind(),
            ValueKind::Seq
                | ValueKind::Map
                | ValueKind::String
                | ValueKind::Bytes
                | ValueKind::Undefined
        )
    });
}

#[cfg(test)]
mod tests {
    use minijinja::{Environment, context};

    use super::add_tests;

    #[test]
    fn the_answers_are_those_of_python() {
        let mut environment = Environment::new();
        add_tests(&mut environment);
        let case = |value: &str, iterable: &str, sequence: &str| {
            let source = format!("{{{{ {value} is iterable }}}} {{{{ {value} is sequence }}}}");
            let text = environment.render_str(&source, context!(messages => [1])).unwrap();
            assert_eq!(text, format!("{iterable} {sequence}"), "{value}");
        };
        case("none", "False", "False");
        case("1", "False", "False");
        case("'text'", "True", "True");
        case("[1]", "True", "True");
        case("{'a': 1}", "True", "True");
        case("messages", "True", "True");
        case("undefined_name", "True", "True");
    }
}
