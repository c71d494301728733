//! A template made ready to run.

use std::{collections::BTreeMap, fmt};

use minijinja::{
    AutoEscape, Environment, Error, Value,
    machinery::{CodeGenerator, Instructions, ast::Stmt, eval, make_string_output, parse},
    syntax::SyntaxConfig,
};
use yoke::{Yoke, Yokeable};

use super::metered;

/// Where a template comes from, and its text.
struct Source {
    name: String,
    text: String,
}

/// What is made of it.
#[derive(Yokeable)]
struct Code<'source> {
    instructions: Instructions<'source>,
    blocks: BTreeMap<&'source str, Instructions<'source>>,
    /// Bytes that what it writes may have.
    size: usize,
}

/// The instructions of a template, in which work is paid for before it is done.
pub(super) struct Program(Yoke<Code<'static>, Box<Source>>);

impl fmt::Debug for Program {
    fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        formatter.debug_tuple("Program").field(&self.0.backing_cart().name).finish()
    }
}

impl Program {
    /// Reads `text`; errors will call it `name`.
    ///
    /// # Errors
    ///
    /// Where it is not a template.
    pub(super) fn new(name: &str, text: String, syntax: SyntaxConfig) -> Result<Self, Error> {
        let source = Box::new(Source { name: name.to_owned(), text });
        Yoke::try_attach_to_cart(source, |source| compile(source, syntax)).map(Self)
    }

    /// What it writes when the names in `root` are given.
    ///
    /// # Errors
    ///
    /// Whatever goes wrong, or the fuel of `environment` running out.
    pub(super) fn run(
        &self,
        environment: &Environment<'static>,
        root: Value,
    ) -> Result<String, Error> {
        let code = self.0.get();
        let mut text = String::with_capacity(code.size);
        let mut output = make_string_output(&mut text);
        let Code { instructions, blocks, .. } = code;
        eval(environment, instructions, root, blocks, &mut output, AutoEscape::None)?;
        Ok(text)
    }
}

fn compile(source: &Source, syntax: SyntaxConfig) -> Result<Code<'_>, Error> {
    let tree: Stmt<'_> = metered::statement(&parse(&source.text, &source.name, syntax)?);
    let mut generator = CodeGenerator::new(&source.name, &source.text);
    generator.compile_stmt(&tree);
    let size = generator.buffer_size_hint();
    let (instructions, blocks) = generator.finish();
    Ok(Code { instructions, blocks, size })
}
