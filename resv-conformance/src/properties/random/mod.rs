//! Random scripts against the models.
//!
//! A script is drawn as raw numbers, made into valid steps on a few objects, timelines and
//! fences, and played on real objects and on a naive model side by side. After every step every
//! question is asked in every way there is. A failing script is shrunk, and what is left is printed
//! in the [scenario language](crate::scenario), ready to be a file, with the seed that found it.
//!
//! Seeds are new in each run; `PROPTEST_RNG_SEED` and `PROPTEST_CASES` are obeyed.

mod script;
mod world;

use self::script::{OBJECTS, Raw, Regime, Script, Step, raw, scenario};
use self::world::{Difference, World};
use crate::Subject;
use crate::model::{Generation, SlotModel, latest};
use proptest::test_runner::{Config, RngSeed, TestCaseError, TestError, TestRunner};
use resv_api::Access;
use std::cell::Cell;
use std::hash::{BuildHasher, RandomState};

/// How many cases proptest draws unless told otherwise.
const PROPTEST_DEFAULT: u32 = 256;

/// How many steps there were; or the steps up to a difference, and the difference.
type Played = Result<usize, (Vec<Step>, Difference)>;

/// Plays a drawn script.
fn play(on: Subject, raws: &[Raw], regime: Regime) -> Played {
    let mut script = Script::new(regime);
    let mut world = World::new(on);
    let mut steps = Vec::new();
    for raw in raws {
        let Some(step) = script.step(raw) else {
            continue;
        };
        steps.push(step);
        let step = &steps[steps.len() - 1];
        if let Err(difference) = world.play(step).and_then(|()| world.check()) {
            return Err((steps, difference));
        }
    }
    Ok(steps.len())
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
    let mut script = Script::new(comparable(generation));
    let mut world = World::new(on);
    let mut slots = SlotModel::new(generation, OBJECTS);
    let mut steps = Vec::new();
    for raw in raws {
        let Some(step) = script.step(raw) else {
            continue;
        };
        match step {
            Step::Fence(_) => {}
            Step::Add(o, ref edits) => {
                edits
                    .iter()
                    .for_each(|&(at, usage)| slots.add(o, at, usage));
            }
            // A signalled leftover would be revived by the slot rule; DESIGN.md excludes it.
            Step::Replace(o, timeline, ..) if slots.has_leftover(o, timeline) => continue,
            Step::Replace(o, timeline, at, usage) => slots.replace(o, timeline, at, usage),
            Step::Copy(dst, src) => slots.copy(dst, src),
            Step::Signal(at, _) => slots.signal(at),
        }
        steps.push(step);
        let step = &steps[steps.len() - 1];
        if let Err(difference) = world.play(step) {
            return Err((steps, difference));
        }
        if steps.len() % check_every != 0 {
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
                    return Err((steps, difference));
                }
            }
        }
    }
    Ok(steps.len())
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
        Ok(Err((steps, difference))) => Shrunk {
            what: difference.what,
            scenario: scenario(&steps, Some(&difference.question)),
        },
        Ok(Ok(_)) => Shrunk {
            what: format!("{reason}, but not again"),
            scenario: String::new(),
        },
        Err(_) => {
            let mut script = Script::new(regime);
            let steps: Vec<Step> = raws.iter().filter_map(|raw| script.step(raw)).collect();
            Shrunk {
                what: reason.to_string(),
                scenario: scenario(&steps, None),
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
