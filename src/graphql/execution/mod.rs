//! The execution of GraphQL operations, and the checks before it.

mod omitted_variables;
// Nulls where fields failed, as the specification has them.
pub mod null_propagation;
// What a document may cost, decided before it is executed.
pub mod limits;
// The values of arguments and variables, checked before anything is executed.
pub mod variables;
// What operations ask for, in a word.
pub mod operation_labels;
