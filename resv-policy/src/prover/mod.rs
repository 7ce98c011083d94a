//! The prover: is one meaning as good as another, after every history?
//!
//! # The concept
//!
//! Two members are given the same history, each its own object. After each operation they are asked
//! what an access must wait for. Sets are compared by what they *cover*: fences of a timeline signal in
//! order, so waiting for one covers those before it, and under a [duty](Options::duty) it covers what
//! its job waited for.
//!
//! | class | in every state | in some state |
//! |---|---|---|
//! | exact | each set covers the other | |
//! | over | the actual set covers the expected one | and has more |
//! | unsound | | it misses a fence |
//!
//! # Why it ends
//!
//! A rule looks at usages, at timelines, and at the order of fences on one; never at numbers. So a state
//! is what each side holds, with fences named by their place among those that are held. Adds in order
//! keep few fences of a timeline in an object: of the usage levels at most four, one for each usage. For
//! a given number of timelines there are finitely many states, up to the names of timelines. The
//! exploration goes through all of them, nearest first, so the first history that shows a class is a
//! shortest one.
//!
//! # Why it may end earlier
//!
//! With a duty there are many orders in which the same fences may signal, and most of the states differ
//! in nothing else. Where both sides are tables or slot rules and fences come and signal in order,
//! [following one fence](follow) through a few hundred states says how bad each class can be at most.
//! When the exploration has reached that for each access, no other state can change the answer. If it
//! never does, it goes through all of them. [`Options::exhaustive`] makes it do so in any case; tests
//! compare the two.
//!
//! # What is bounded
//!
//! Three things make the states infinite, and [`Answer::bound`] says when one was cut off:
//!
//! * adds of older fences, which nothing supersedes: a timeline with two fences gets no older one;
//! * slot rules, which keep dominated fences behind signalled slots. An object with [`Options::slots`]
//!   slots gets no more;
//! * the number of states, at [`Options::states`].
//!
//! What was found within a bound is found: a class may only get worse without it. If none can get worse,
//! because it is unsound or because of a proof, the answer is complete. For slot rules it is:
//!
//! | compared with | fences come | why |
//! |---|---|---|
//! | anything | in any order, nothing is replaced | [induction] over arrays of any length; not the rule of 5.19, where older fences are added |
//! | tables | in order, also with replacements | following one fence |
//! | slot rules | in order, also with replacements | the three are one rule then |
//! | maps and policies | in order, with replacements | only where all accesses are unsound, or as bad as the bound |
//!
//! What is left is what is not proved: a slot rule with replacements against a map, or with older fences
//! as well. There a counterexample that needs more than [`Options::slots`] slots at once is not found.
//!
//! # How far a few timelines carry
//!
//! One fence can be followed among any number of timelines. Where [`Answer::proof`] says so, the classes
//! hold for any number from the given one on: no history is worse, and the one that is printed is as bad.
//! Elsewhere it is an argument and no proof. The rules relate a new fence to *one* old fence at a time, and
//! a replacement to one timeline. A shortest history that shows a class needs the fence that is missed,
//! and those that made it so: the fence that removed it, the one that removed that one's duty. With two
//! timelines every rule has been applied to fences of the same and of different timelines; the third
//! brings what happens between two others.

mod duty;
mod explore;
pub mod follow;
pub mod induction;
mod ops;
mod replay;
mod world;

pub use ops::Ops;

#[cfg(test)]
mod tests;

use crate::member::{Machine, Member};
use crate::query::Query;
use resv_core::SemanticsKind;
use std::fmt;

/// What a comparison comes to, the best first.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub enum Class {
    /// The same is waited for.
    Exact,
    /// All that is expected is waited for, and more.
    Over,
    /// Something that is expected is not waited for.
    Unsound,
}

impl Class {
    /// The word in reports.
    pub const fn name(self) -> &'static str {
        match self {
            Class::Exact => "exact",
            Class::Over => "over",
            Class::Unsound => "unsound",
        }
    }
}

impl fmt::Display for Class {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.pad(self.name())
    }
}

/// What is explored.
#[derive(Clone, Debug)]
pub struct Options {
    /// How many timelines: 1 to 6.
    pub timelines: usize,
    /// The operations; `None`: [`Ops::FILED`] between two policies, else [`Ops::USERS`].
    pub ops: Option<Ops>,
    /// What is asked; empty: the accesses, and between two policies all that policies tell apart.
    pub queries: Vec<Query>,
    /// Jobs keep the duty that this semantics lays on them: a fence signals after all that it
    /// superseded under it. `None`: no job keeps any.
    pub duty: Option<SemanticsKind>,
    /// At most this many slots in an object of a slot rule.
    pub slots: usize,
    /// At most this many states.
    pub states: usize,
    /// Explore every state, also where following one fence says that no class can get worse.
    pub exhaustive: bool,
}

impl Default for Options {
    fn default() -> Self {
        Options {
            timelines: 3,
            ops: None,
            queries: Vec::new(),
            duty: None,
            slots: 3,
            states: 4_000_000,
            exhaustive: false,
        }
    }
}

/// The most timelines that can be explored.
pub const MOST_TIMELINES: usize = world::MOST_LINES;

/// What the exploration found.
#[derive(Clone, Debug)]
pub struct Answer {
    /// The member that says what is expected.
    pub expected: String,
    /// The other.
    pub actual: String,
    /// The number of timelines.
    pub timelines: usize,
    /// The operations.
    pub ops: Ops,
    /// How many states were explored.
    pub states: usize,
    /// Whether the classes are those of all histories with this many timelines.
    pub complete: bool,
    /// What was cut off, if anything was, and why it does not matter, if it does not.
    pub bound: Option<String>,
    /// What was proved besides, and how: it replaces part of the exploration.
    pub proof: Option<String>,
    /// The classes.
    pub accesses: Vec<AccessAnswer>,
}

/// The answer for one access.
#[derive(Clone, Debug)]
pub struct AccessAnswer {
    /// The access.
    pub query: Query,
    /// Its class.
    pub class: Class,
    /// A shortest history that shows it, as a scenario; none for exact.
    pub scenario: Option<String>,
}

/// Compares what `actual` waits for with what `expected` waits for.
pub fn compare(expected: &Member, actual: &Member, options: &Options) -> Answer {
    let both_policies = expected.needs_tags() && actual.needs_tags();
    let ops = options.ops.unwrap_or(match both_policies {
        true => Ops::FILED,
        false => Ops::USERS,
    });
    let queries = match (options.queries.is_empty(), both_policies) {
        (false, _) => options.queries.clone(),
        (true, true) => Query::ALL.to_vec(),
        (true, false) => Query::ACCESSES.to_vec(),
    };
    let mut proofs = Vec::new();
    let mut reduced = |member: &Member| match induction::reduce(member, &ops) {
        Some(proved) => {
            let proof = format!("{member} answers as {}: {}", proved.member, proved.reason);
            if !proofs.contains(&proof) {
                proofs.push(proof);
            }
            Machine::new(proved.member)
        }
        None => Machine::new(member.clone()),
    };
    let mut machines = vec![reduced(expected), reduced(actual)];
    machines.extend(
        options
            .duty
            .map(|kind| Machine::new(Member::Semantics(kind))),
    );
    let names = (expected.to_string(), actual.to_string());
    let goal = goal(&machines, &ops, &queries, options);
    let classes = goal.as_ref().map(|goal| &goal.classes[..]);
    let found = explore::explore(&machines, &ops, &queries, options, classes);
    let accesses: Vec<AccessAnswer> = queries
        .iter()
        .zip(&found.classes)
        .map(|(&query, found_class)| AccessAnswer {
            query,
            class: found_class.class,
            scenario: found_class.shown.map(|state| {
                replay::scenario(&machines, &ops, &found, state, query, (&names.0, &names.1))
            }),
        })
        .collect();
    let mut states = found.states.len();
    if let Some(goal) = goal
        && found.is_settled
    {
        states += goal.states;
        proofs.push(goal.proof);
    }
    let bounds = found.bounds.iter().map(|bound| match found.is_settled {
        true => format!("{bound}; it does not matter, as no class can get worse"),
        false => bound.clone(),
    });
    let bounds: Vec<String> = bounds.collect();
    let joined = |notes: &[String]| (!notes.is_empty()).then(|| notes.join("; "));
    Answer {
        expected: names.0,
        actual: names.1,
        timelines: options.timelines,
        ops,
        states,
        complete: found.bounds.is_empty() || found.is_settled,
        bound: joined(&bounds),
        proof: joined(&proofs),
        accesses,
    }
}

/// What the classes cannot be worse than, and why.
struct Goal {
    classes: Vec<Class>,
    states: usize,
    proof: String,
}

fn goal(machines: &[Machine], ops: &Ops, queries: &[Query], options: &Options) -> Option<Goal> {
    if options.exhaustive {
        return None;
    }
    if let Some(proof) = induction::same(machines[0].member(), machines[1].member(), ops) {
        return Some(Goal {
            classes: vec![Class::Exact; queries.len()],
            states: 0,
            proof,
        });
    }
    let timelines = options.timelines.clamp(1, MOST_TIMELINES);
    let bound = follow::bound(machines, ops, queries, timelines)?;
    let number = match bound.for_any {
        true => "any number of timelines".to_owned(),
        false => format!("{timelines} timelines"),
    };
    let proof = format!(
        "no class is worse with {number}: one fence was followed through {} states",
        bound.states
    );
    Some(Goal {
        classes: bound.classes,
        states: bound.states,
        proof,
    })
}
