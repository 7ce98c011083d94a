//! The tests that count nothing for the whole process, as one program: linking is most of what another one
//! would cost.

#[macro_use]
mod each;

mod add;
mod calloop;
mod composed;
mod compositor;
mod describe;
mod exec;
mod exec_async;
mod exec_injected;
mod exec_until;
mod future;
mod readme;
mod steps;
mod wait;
