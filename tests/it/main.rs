//! One integration binary, so that MLX is linked once.

// `cfg(test)` always holds here; it tells clippy that helpers of tests are tests too.
#[cfg(test)]
mod cli;
#[cfg(test)]
mod convert;
#[cfg(test)]
mod demand;
#[cfg(test)]
mod depths;
#[cfg(test)]
mod explain;
#[cfg(test)]
mod failures;
#[cfg(test)]
mod foreign;
#[cfg(test)]
mod fuzz;
#[cfg(test)]
mod harness;
#[cfg(test)]
mod hostile;
#[cfg(test)]
mod hub;
#[cfg(test)]
mod keys_values;
#[cfg(test)]
mod layouts;
#[cfg(test)]
mod likelihood;
#[cfg(test)]
mod memory;
#[cfg(test)]
mod memory_rows;
#[cfg(test)]
mod parity;
#[cfg(test)]
mod prompts;
#[cfg(test)]
mod real;
#[cfg(test)]
mod records;
#[cfg(test)]
mod reference;
#[cfg(test)]
mod reports;
#[cfg(test)]
mod resume;
#[cfg(test)]
mod roofline;
#[cfg(test)]
mod rounds;
#[cfg(test)]
mod sampler;
#[cfg(test)]
mod schema;
#[cfg(test)]
mod stamps;
#[cfg(test)]
mod stop_strings;
#[cfg(test)]
mod stop_tokens;
#[cfg(test)]
mod sweeps;
#[cfg(test)]
mod tidy;
#[cfg(test)]
mod weights;
