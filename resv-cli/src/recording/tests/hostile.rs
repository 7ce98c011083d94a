//! Input that means harm: endless lines, failing sources, lines that are nearly right.

use std::io::{self, BufReader, Read};

use super::super::*;
use super::{DONE, check_sum, stats};

#[test]
fn a_line_of_any_length_takes_little_memory() {
    let long = io::repeat(b'x').take(100_000_000);
    let good = format!("\na-1 [000] 1.000000: {DONE}");
    let source = BufReader::new(long.chain(good.as_bytes()));
    let mut reader = Reader::new("demo", source);
    assert!(matches!(reader.next(), Some(Ok(Event { line: 2, .. }))));
    assert!(reader.next().is_none());
    assert!(
        reader.buffer.capacity() <= 4 * MAX_LINE,
        "{}",
        reader.buffer.capacity()
    );
    assert_eq!(
        reader.stats().skipped.reasons[&SkipReason::TooLong].count,
        1
    );
    assert_eq!(reader.bytes_read(), 100_000_000 + good.len() as u64);
    check_sum(reader.stats());

    // At the limit, with either line end, and one byte beyond.
    for (length, end, skipped) in [
        (MAX_LINE, "\n", 0),
        (MAX_LINE, "\r\n", 0),
        (MAX_LINE + 1, "\n", 1),
        (MAX_LINE + 1, "\r\n", 1),
        (MAX_LINE + 1, "", 1),
    ] {
        let mut line = format!("a-1 [000] 1.000000: {DONE}");
        line.extend(std::iter::repeat_n(' ', length - line.len()));
        line.push_str(end);
        assert_eq!(
            stats(line.as_bytes()).skipped.total,
            skipped,
            "{length} {end:?}"
        );
    }
}

/// Gives its bytes, then fails.
struct Failing<'a>(&'a [u8]);

impl Read for Failing<'_> {
    fn read(&mut self, buffer: &mut [u8]) -> io::Result<usize> {
        if self.0.is_empty() {
            return Err(io::Error::from_raw_os_error(5));
        }
        self.0.read(buffer)
    }
}

#[test]
fn a_fault_of_the_source_is_the_last_item() {
    let good = format!("a-1 [000] 1.000000: {DONE}\n");
    for (tail, skipped) in [("", 0), ("a-1 [000] 1.0000", 1)] {
        let bytes = format!("{good}{tail}");
        let mut reader = Reader::new("demo", BufReader::new(Failing(bytes.as_bytes())));
        assert!(matches!(reader.next(), Some(Ok(_))));
        let message = match reader.next() {
            Some(Err(error)) => error.to_string(),
            other => panic!("{other:?}"),
        };
        assert_eq!(
            message,
            "demo:2: cannot read on: Input/output error: 1 events before it were read"
        );
        assert!(reader.next().is_none());
        assert_eq!(reader.stats().skipped.total, skipped);
        check_sum(reader.stats());
    }
}

/// Lines that are nearly right, and wrong in every place, must neither panic nor fall out of the account.
#[test]
fn mutated_lines_do_no_harm() {
    let seeds = [
        "          <idle>-0     [003] d.h1.  5021.103422: dma_fence_signaled:   driver=amdgpu timeline=gfx context=3 seqno=91",
        "amdgpu_cs:0-1150 (  1150) [003] .... 630659.309827336: amdgpu_cs_ioctl: sched_job_id=3 timeline=gfx context=105 seqno=3 fence=0 ring_name=18446622900245085648 num_ibs=3",
        "shell  1128/1130 [003]   630.868295: amdgpu:amdgpu_bo_move: bo=0xffff8e41c2a40c58, bo_size=1, new_placement=2, old_placement=0",
        "x-1 [000] 1.000000: drm_sched_job_queue: dev=0000:03:00.0, id=17, fence=57:4, ring=gfx, job count:2, hw job count:1, client_id:11",
        "x-1 [000] 1.000000: drm_sched_job: entity=0000000012345678, id=17, fence=00000000deadbeef, ring=gfx, job count:2, hw job count:1",
        "x-1 [000] 1.000000: drm_sched_job_add_dep: fence=57:4 depends on fence=41:9",
        "x-1 [000] 1.000000: drm_sched_job_wait_dep: job ring=gfx, id=17, depends fence=00000000deadbeef, context=41, seq=9",
        "CPU:2 [LOST 12 EVENTS]",
        "\tffffffffb3c5f5a4 dma_fence_signal+0x34 ([kernel.kallsyms])",
    ];
    let pieces: [&[u8]; 17] = [
        b" ",
        b"\t",
        b":",
        b"-",
        b".",
        b"=",
        b",",
        b"[0]",
        b"(",
        b")",
        b"/",
        b"\n",
        b"\0",
        b"\xff",
        b"99999999999999999999",
        "é".as_bytes(),
        b"depends on",
    ];
    let mut state = 0x2545_f491_4f6c_dd1d_u64;
    let mut draw = |below: usize| {
        state ^= state << 13;
        state ^= state >> 7;
        state ^= state << 17;
        (state >> 11) as usize % below
    };
    let mut events = 0;
    for _ in 0..40_000 {
        let mut line = seeds[draw(seeds.len())].as_bytes().to_vec();
        for _ in 0..=draw(4) {
            let at = draw(line.len() + 1);
            match draw(5) {
                0 => line.truncate(at),
                1 => drop(line.drain(at..(at + draw(6)).min(line.len()))),
                2 if at < line.len() => line[at] = draw(256) as u8,
                3 => {
                    let other = seeds[draw(seeds.len())].as_bytes();
                    line.splice(at..at, other[draw(other.len())..].iter().copied());
                }
                _ => {
                    let piece = pieces[draw(pieces.len())];
                    line.splice(at..at, piece.iter().copied());
                }
            }
        }
        events += stats(&line).events;
    }
    // Some survive, or the test would show little.
    assert!(events > 5_000, "{events}");
}
