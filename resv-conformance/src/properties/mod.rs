//! The properties: one function each, generic over semantics and back end.
//!
//! A property panics when it does not hold. It makes its own objects, leaves nothing behind, and may
//! run beside others. Names say what they are about: `h_NN` is a hazard of
//! `docs/hazards.md`, `b1` to `b10` a promise of the back-end contract, `e01` to `e17` a worked example,
//! `t1` to `t5` a self-test of the kernel, `f_NN` a rule of fences, `l_NN` one of locking many objects.
//!
//! | module | about |
//! |---|---|
//! | [`tables`] | the contract of a semantics: its table, cell by cell |
//! | [`answers`] | every answer of the public interface, compared with the reference |
//! | [`failures`] | whether the content is broken: which errors count, and how long |
//! | [`fences`] | fences as seen through an object that holds them |
//! | [`composed`] | fences made of fences, and lazy ones, in an object |
//! | [`leaves`] | many leaves of one fence, which an object takes in one edit |
//! | [`waits`] | waits for an object, for many, and for whatever is ready first |
//! | [`tasks`] | futures that are forgotten or not polled, hooks and wakers that panic |
//! | [`transactions`] | what transactions over many objects leave in them, on every path |
//! | [`locks`] | the locks of many objects: which waits, which yields |
//! | [`selftests`] | the kernel's self-tests of reservation objects, and the gaps they leave |
//! | [`hazards`] | what went wrong before, or would have |
//! | [`contract`] | the promises B1 to B9 of a back end |
//! | [`two_steps`] | the same promises, of an add in two steps |
//! | [`examples`] | E1 to E17: where the semantics differ |
//! | [`random`] | random scripts against the models of [`model`](crate::model) |

pub mod answers;
pub mod composed;
pub mod contract;
pub mod examples;
pub mod failures;
pub mod fences;
pub mod hazards;
pub mod leaves;
pub mod locks;
pub mod random;
pub mod selftests;
pub mod tables;
pub mod tasks;
pub mod transactions;
pub mod two_steps;
pub mod waits;
