//! The paired head-to-head: what this project's back ends are worth against what people use today,
//! and against the floor of the machine.
//!
//! `cargo run --profile bench --bin head-to-head -- --quick --json FILE`
//!
//! # Modules
//!
//! | module | idea |
//! |---|---|
//! | [`harness`] | subjects take turns, ratios are taken within a round |
//! | [`crowd`], [`processors`] | the same with several threads, and where they run |
//! | [`subjects`], [`raw`] | what is compared |
//! | [`cases`] | what is done to it |
//! | [`report`] | rows, JSON, Markdown, plots |
//! | [`instructions`] | figures of callgrind, merged in |
//! | [`options`], [`machine`], [`failure`] | command line, provenance, errors |
//!
//! Every row is about one subject in one case: `ns` is the median over the rounds; `vs_load`,
//! `vs_arc_clone` and `vs_mutex` are medians of the ratio, within a round, to an acquire-load loop, to
//! `Arc` clone and drop, and to the reference subject of the case, which is `mutex-vec` unless the
//! case has another (the tables say which).

#![deny(unsafe_code)] // `raw` alone allows it

// First: the others use its macros.
#[macro_use]
mod subjects;

mod cases;
mod crowd;
mod failure;
mod harness;
mod instructions;
mod machine;
mod options;
mod processors;
mod raw;
mod report;

use clap::Parser;
use failure::Failure;
use harness::Effort;
use instructions::Instructions;
use machine::Machine;
use options::{One, Options};
use report::Row;
use report::json::{Output, to_text};
use std::panic::{AssertUnwindSafe, catch_unwind};
use std::process::ExitCode;

#[global_allocator]
static ALLOCATOR: raw::counting::Counting = raw::counting::Counting;

fn main() -> ExitCode {
    match run(&Options::parse()) {
        Ok(code) => code,
        Err(failure) => {
            eprintln!("head-to-head: {failure}");
            ExitCode::from(2)
        }
    }
}

fn run(options: &Options) -> Result<ExitCode, Failure> {
    if let Some(one) = &options.one {
        return run_one(one).map(|()| ExitCode::SUCCESS);
    }
    // Whatever can be wrong with the command line is found before the long run.
    let cases = wanted(options)?;
    if options.list {
        for case in &cases {
            println!("{} {} {}", case.head.case, case.head.n, case.head.threads);
        }
        return Ok(ExitCode::SUCCESS);
    }
    let mut json = options.json.as_deref().map(Output::open).transpose()?;
    let mut markdown = options.markdown.as_deref().map(Output::open).transpose()?;
    let instructions = options.instructions.as_deref().map(Instructions::read);
    let instructions = instructions.transpose()?.unwrap_or_default();
    if let Some(dir) = &options.plots {
        report::plots::prepare(dir)?;
    }
    if cfg!(debug_assertions) {
        eprintln!("head-to-head: this is not a release build: its figures mean nothing");
    }
    let machine = Machine::this(options.quick);
    let effort = if options.quick {
        Effort::QUICK
    } else {
        Effort::FULL
    };

    let mut rows: Vec<Row> = Vec::new();
    let mut failed = 0;
    for (at, case) in cases.iter().enumerate() {
        let head = &case.head;
        eprintln!(
            "[{}/{}] {} n={} threads={}",
            at + 1,
            cases.len(),
            head.case,
            head.n,
            head.threads
        );
        // A case that panics is told about, and the others still run.
        match catch_unwind(AssertUnwindSafe(|| case.measure(&effort))) {
            Ok(series) => rows.extend(report::rows(head, &series)),
            Err(_) => {
                failed += 1;
                eprintln!("head-to-head: {} n={} failed; going on", head.case, head.n);
            }
        }
        instructions.merge(&mut rows);
        if let Some(json) = &mut json {
            json.put(&to_text(&machine, &rows))?;
        }
    }
    let text = report::markdown::to_text(&machine, &cases, &rows);
    match &mut markdown {
        Some(markdown) => markdown.put(&text)?,
        None => print!("{text}"),
    }
    if let Some(dir) = &options.plots {
        report::plots::draw(dir, &rows)?;
    }
    if failed > 0 {
        eprintln!("head-to-head: {failed} cases failed; the others are reported");
    }
    Ok(ExitCode::from(u8::from(failed > 0)))
}

/// The cases that the options ask for.
fn wanted(options: &Options) -> Result<Vec<cases::Case>, Failure> {
    let recording = options.recording.as_deref();
    if recording.is_none() && options.filter.is_empty() && !options.list {
        eprintln!(
            "head-to-head: replay_recording is left out: --recording or RESV_RECORDING names the file"
        );
    }
    let mut cases = cases::all(recording)?;
    cases.retain(|case| options.wants(&case.head.case));
    if cases.is_empty() {
        let filter = options.filter.join("' or '");
        return Err(Failure::new(format!(
            "no case has '{filter}' in its name: --list names them all"
        )));
    }
    Ok(cases)
}

/// Runs one operation, for callgrind.
fn run_one(one: &One) -> Result<(), Failure> {
    let mut cases = cases::all(None)?.into_iter();
    let is_meant = |case: &cases::Case| case.head.case == one.case && case.head.n == one.n;
    let Some(case) = cases.find(is_meant) else {
        return Err(Failure::new(format!(
            "--one: there is no case {} with n={}: --list names them all",
            one.case, one.n
        )));
    };
    let cases::Kind::Paired(benches) = case.kind else {
        return Err(Failure::new(format!(
            "--one: {} runs with several threads or objects, so its instructions are not counted",
            one.case
        )));
    };
    let floors = harness::floors();
    let mut benches = benches().into_iter().chain(floors);
    let Some(bench) = benches.find(|bench| bench.subject == one.subject) else {
        return Err(Failure::new(format!(
            "--one: {} has no subject {}",
            one.case, one.subject
        )));
    };
    bench.make()(one.count);
    Ok(())
}
