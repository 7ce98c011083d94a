//! Random scripts against the models.
//!
//! A script is drawn as raw numbers, made into valid statements of the [scenario language](crate::scenario)
//! on a few objects, timelines and fences, and played on real objects and on a naive model side by side. After every step every
//! question is asked in every way there is. A failing script is shrunk, and what is left is printed,
//! ready to be a file, with the seed that found it.
//!
//! Seeds are new in each run; `PROPTEST_RNG_SEED` and `PROPTEST_CASES` are obeyed.

mod world;

use self::world::{Difference, World};
use crate::Subject;
use crate::model::{Generation, SlotModel, latest};
pub use crate::scenario::draw::Raw;
use crate::scenario::draw::{Draw, OBJECTS, RECENT, Regime, TIMELINES};
use crate::scenario::{Scenario, Statement};
use proptest::prelude::*;
use proptest::test_runner::{Config, RngSeed, TestCaseError, TestError, TestRunner};
use resv_api::{Access, Usage};
use std::cell::Cell;
use std::hash::{BuildHasher, RandomState};

/// How many cases proptest draws unless told otherwise.
const PROPTEST_DEFAULT: u32 = 256;

/// How many steps there were; or the steps up to a difference, and the difference.
type Played = Result<usize, (Vec<Statement>, Difference)>;

fn raw() -> impl Strategy<Value = Raw> {
    let usage = proptest::sample::select(Usage::ALL.to_vec());
    let picks = proptest::collection::vec((0..RECENT, usage), 1..4);
    (0..16u8, 0..OBJECTS, 0..TIMELINES, picks, any::<bool>()).prop_map(
        |(verb, object, timeline, picks, flag)| Raw {
            verb,
            object,
            timeline,
            picks,
            flag,
        },
    )
}

/// The statements as a script that a person can run, with a question at the end if there is one.
fn scenario(statements: Vec<Statement>, question: Option<&str>) -> String {
    let mut text = Draw::head()
        .chain(statements)
        .collect::<Scenario>()
        .to_string();
    if let Some(question) = question {
        text.push_str(question);
        text.push('\n');
    }
    text
}

/// Plays a drawn script.
fn play(on: Subject, raws: &[Raw], regime: Regime) -> Played {
    let mut draw = Draw::new(regime);
    let mut world = World::new(on);
    let mut played = Vec::new();
    for statement in raws.iter().filter_map(|raw| draw.step(raw)) {
        let told = world.play(&statement).and_then(|()| world.check());
        played.push(statement);
        if let Err(difference) = told {
            return Err((played, difference));
        }
    }
    Ok(played.len())
}

/// Plays the script of these numbers on real objects and on their model.
///
/// # Panics
///
/// On the first answer that differs.
pub fn play_numbers(on: Subject, raws: &[Raw]) {
    if let Err((played, difference)) = play(on, raws, Regime::Any) {
        let script = scenario(played, Some(&difference.question));
        panic!("{on}: {}\n{script}", difference.what);
    }
}

/// The scripts for which a kernel generation's preconditions hold.
fn comparable(generation: Generation) -> Regime {
    match generation {
        Generation::UsageLevels => Regime::SignalsInOrder,
        _ => Regime::AddsInOrder,
    }
}

/// Plays a drawn script on real objects and on the slot rule of the kernel generation.
fn play_slots(on: Subject, raws: &[Raw], generation: Generation, check_every: usize) -> Played {
    let mut draw = Draw::new(comparable(generation));
    let mut world = World::new(on);
    let mut slots = SlotModel::new(generation, OBJECTS);
    let mut played = Vec::new();
    for statement in raws.iter().filter_map(|raw| draw.step(raw)) {
        let numbers = &world.numbers;
        match &statement {
            Statement::Add { resv, edits } => {
                for (fence, usage) in edits {
                    slots.add(numbers.of(resv), numbers.at(fence), *usage);
                }
            }
            Statement::Replace {
                resv,
                timeline,
                fence,
                usage,
            } => {
                let (o, timeline) = (numbers.of(resv), numbers.of(timeline));
                // A signalled leftover would be revived by the slot rule: a condition of docs/kernel.md.
                if slots.has_leftover(o, timeline) {
                    continue;
                }
                slots.replace(o, timeline, numbers.at(fence), *usage);
            }
            Statement::Copy { dst, src } => slots.copy(numbers.of(dst), numbers.of(src)),
            Statement::Signal { fence, .. } => slots.signal(numbers.at(fence)),
            _ => {}
        }
        let told = world.play(&statement);
        played.push(statement);
        if let Err(difference) = told {
            return Err((played, difference));
        }
        if played.len() % check_every != 0 {
            continue;
        }
        for (o, object) in world.objects.iter().enumerate() {
            for access in Access::ALL {
                let waits = world.items(object.waits_for(access).iter());
                let told = latest(waits.into_iter().map(|item| item.at));
                let expected = slots.latest(o, access);
                if told != expected {
                    let difference = Difference {
                        question: format!("waits r{o} {access}"),
                        what: format!(
                            "latest pending by timeline is {told:?}, the slot rule says {expected:?}"
                        ),
                    };
                    return Err((played, difference));
                }
            }
        }
    }
    Ok(played.len())
}

/// What kind of script is drawn and how it is played.
type Play<'p> = &'p dyn Fn(&[Raw]) -> Played;

/// Draws `cases` scripts of up to `length` steps and has them played; panics with the smallest that
/// differs.
#[track_caller]
fn draw(on: Subject, regime: Regime, cases: u32, length: usize, play: impl Fn(&[Raw]) -> Played) {
    let mut config = Config::default();
    // Unless PROPTEST_CASES says otherwise.
    if config.cases == PROPTEST_DEFAULT {
        config.cases = cases;
    }
    let seed = match config.rng_seed {
        RngSeed::Fixed(seed) => seed,
        RngSeed::Random => RandomState::new().hash_one(0u8),
    };
    if let Err(difference) = draw_for(regime, config, seed, length, &play) {
        panic!(
            "{on}: {}\n{}PROPTEST_RNG_SEED={seed}",
            difference.what, difference.scenario,
        );
    }
}

/// A script whose answers differ from the model's, shrunk.
#[derive(Clone, Debug)]
pub(crate) struct Shrunk {
    /// What is answered, and what was expected.
    pub(crate) what: String,
    /// The script, with the question at its end if there is one; empty when playing the same numbers
    /// again shows nothing.
    pub(crate) scenario: String,
}

/// [`draw`], with a seed.
fn draw_for(
    regime: Regime,
    mut config: Config,
    seed: u64,
    length: usize,
    play: Play<'_>,
) -> Result<(), Shrunk> {
    config.failure_persistence = None;
    config.rng_seed = RngSeed::Fixed(seed);
    let scripts = proptest::collection::vec(raw(), 1..length);
    let mut runner = TestRunner::new(config);
    let outcome = runner.run(&scripts, |raws| {
        let played = play(&raws).map(drop);
        played.map_err(|(_, difference)| TestCaseError::fail(difference.what))
    });
    let Err(error) = outcome else { return Ok(()) };
    let TestError::Fail(reason, raws) = error else {
        panic!("{error}");
    };
    let replay = std::panic::catch_unwind(std::panic::AssertUnwindSafe(|| play(&raws)));
    Err(match replay {
        Ok(Err((played, difference))) => Shrunk {
            what: difference.what,
            scenario: scenario(played, Some(&difference.question)),
        },
        Ok(Ok(_)) => Shrunk {
            what: format!("{reason}, but not again"),
            scenario: String::new(),
        },
        Err(_) => {
            let mut draw = Draw::new(regime);
            let drawn = raws.iter().filter_map(|raw| draw.step(raw)).collect();
            Shrunk {
                what: reason.to_string(),
                scenario: scenario(drawn, None),
            }
        }
    })
}

/// Plays a batch of random scripts that depends on `seed` alone.
pub(crate) fn batch(on: Subject, seed: u64) -> Result<Batch, Shrunk> {
    const BATCH: u32 = 24;
    let config = |cases| Config {
        cases,
        ..Config::default()
    };
    let count = Cell::new(Batch::default());
    let counted = |played: Played| {
        let mut batch = count.get();
        batch.scripts += 1;
        batch.steps += *played.as_ref().unwrap_or(&0) as u64;
        count.set(batch);
        played
    };
    let any = |raws: &[Raw]| counted(play(on, raws, Regime::Any));
    match (seed % 8, on.generation()) {
        (0, _) => draw_for(Regime::Any, config(1), seed, 2000, &any)?,
        (1 | 2, Some(generation)) => {
            let slots = |raws: &[Raw]| counted(play_slots(on, raws, generation, 1));
            draw_for(comparable(generation), config(BATCH), seed, 80, &slots)?;
        }
        _ => draw_for(Regime::Any, config(BATCH), seed, 60, &any)?,
    }
    Ok(count.get())
}

/// How much [`batch`] has played.
#[derive(Clone, Copy, Debug, Default)]
pub(crate) struct Batch {
    pub(crate) scripts: u64,
    pub(crate) steps: u64,
}

/// Whatever is done, in any order, objects answer as the rules that were written down say (B9).
pub fn any_script_is_answered_like_the_model(on: Subject) {
    draw(on, Regime::Any, 200, 60, |raws| play(on, raws, Regime::Any));
}

/// The same for a few long scripts.
pub fn a_long_script_is_answered_like_the_model(on: Subject) {
    draw(on, Regime::Any, 3, 2000, |raws| play(on, raws, Regime::Any));
}

/// Under each of the three semantics, the latest pending seqno of each timeline that an access waits
/// for is the one under the slot rule of the kernel generation, wherever that generation's
/// preconditions hold.
pub fn dominance_answers_like_the_slot_rule(on: Subject) {
    let Some(generation) = on.generation() else {
        return;
    };
    draw(on, comparable(generation), 128, 80, |raws| {
        play_slots(on, raws, generation, 1)
    });
}

/// The same over scripts of thousands of steps.
pub fn dominance_answers_like_the_slot_rule_for_long(on: Subject) {
    let Some(generation) = on.generation() else {
        return;
    };
    draw(on, comparable(generation), 3, 4000, |raws| {
        play_slots(on, raws, generation, 8)
    });
}
