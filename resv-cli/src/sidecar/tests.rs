//! What a sidecar may say, which line holds for a job, and what each mistake is told.

use super::{Sidecar, SidecarAccess, SidecarUsage};

fn parse(text: &str) -> Sidecar {
    Sidecar::parse("demo", text).unwrap_or_else(|error| panic!("{error}"))
}

fn error(text: &str) -> String {
    match Sidecar::parse("demo", text) {
        Ok(_) => panic!("accepted: {text}"),
        Err(error) => error.to_string(),
    }
}

/// The line that holds for a job, 0 for none.
fn line(sidecar: &Sidecar, context: u64, seqno: u64) -> usize {
    sidecar.rule_of(context, seqno).map_or(0, |rule| rule.line)
}

#[test]
fn words_and_their_defaults() {
    let sidecar = parse(
        "\u{feff}# a comment\n\n  job 1:2 a kernel b write c read d bookkeep # trailing\r\n\
         job 1:3 a write/explicit b read/move c bookkeep/write d kernel/read\n",
    );
    assert_eq!(sidecar.buffer_names(), ["a", "b", "c", "d"]);
    let words = |seqno| -> Vec<String> {
        let touches = sidecar.buffers_of(1, seqno).unwrap_or_default();
        let text = touches.iter().map(|touch| {
            let name = &sidecar.buffer_names()[touch.buffer];
            format!("{name} {}/{}", touch.usage, touch.access)
        });
        text.collect()
    };
    assert_eq!(
        words(2),
        [
            "a kernel/move",
            "b write/write",
            "c read/read",
            "d bookkeep/explicit"
        ]
    );
    assert_eq!(
        words(3),
        [
            "a write/explicit",
            "b read/move",
            "c bookkeep/write",
            "d kernel/read"
        ]
    );
    assert_eq!(sidecar.buffer("c"), Some(2));
    assert_eq!(sidecar.buffer("e"), None);
    assert_eq!("bookkeep".parse(), Ok(SidecarUsage::Bookkeep));
    assert_eq!("move".parse(), Ok(SidecarAccess::Move));
    assert!("Write".parse::<SidecarUsage>().is_err());
}

#[test]
fn the_most_specific_line_holds() {
    let sidecar = parse(
        "job 7:* x read\n\
         job 7:10-40 x read\n\
         job 7:20-30 x read\n\
         job 7:20-22 x read\n\
         job 7:32-33 x read\n\
         job 7:25 x read\n\
         job 8:5-5 x read\n\
         job 7:0-9 x read\n",
    );
    for (seqno, expected) in [
        (0, 8),
        (9, 8),
        (10, 2),
        (19, 2),
        (20, 4),
        (22, 4),
        (23, 3),
        (25, 6),
        (30, 3),
        (31, 2),
        (33, 5),
        (34, 2),
        (40, 2),
        (41, 1),
        (u64::MAX, 1),
    ] {
        assert_eq!(line(&sidecar, 7, seqno), expected, "7:{seqno}");
    }
    assert_eq!(line(&sidecar, 8, 5), 7);
    assert_eq!(line(&sidecar, 8, 6), 0);
    assert_eq!(line(&sidecar, 9, 5), 0);
    assert_eq!(sidecar.rules().len(), 8);
}

#[test]
fn ranges_agree_with_a_search_of_all() {
    // Every way to nest is drawn by choosing ranges inside one already taken.
    let mut state = 0x9e37_79b9_7f4a_7c15_u64;
    let mut draw = |below: u64| {
        state ^= state << 13;
        state ^= state >> 7;
        state ^= state << 17;
        (state >> 11) % below
    };
    for _ in 0..200 {
        let mut ranges: Vec<(u64, u64)> = Vec::new();
        for _ in 0..40 {
            let low = draw(100);
            let high = low + draw(100 - low);
            let apart = |&(l, h): &(u64, u64)| high < l || h < low;
            let nested = |&(l, h): &(u64, u64)| (l <= low && high <= h) || (low <= l && h <= high);
            let new = !ranges.contains(&(low, high));
            if new && ranges.iter().all(|range| apart(range) || nested(range)) {
                ranges.push((low, high));
            }
        }
        let text: String = ranges
            .iter()
            .map(|(low, high)| format!("job 3:{low}-{high} x read\n"))
            .collect();
        let sidecar = parse(&text);
        for seqno in 0..100 {
            let around = ranges.iter().enumerate();
            let around = around.filter(|(_, range)| range.0 <= seqno && seqno <= range.1);
            let narrowest = around.min_by_key(|(_, range)| range.1 - range.0);
            let expected = narrowest.map_or(0, |(place, _)| place + 1);
            assert_eq!(line(&sidecar, 3, seqno), expected, "{seqno} in\n{text}");
        }
    }
}

#[test]
fn moves_name_addresses() {
    let sidecar = parse(
        "move 0xffff8e41c2a40c58 atlas\nmove ffff94d7a00d4694 fb\nmove 18446622896667924480 shm\n",
    );
    assert_eq!(sidecar.buffer_of_move(0xffff_8e41_c2a4_0c58), Some(0));
    assert_eq!(sidecar.buffer_of_move(0xffff_94d7_a00d_4694), Some(1));
    assert_eq!(sidecar.buffer_of_move(18_446_622_896_667_924_480), Some(2));
    assert_eq!(sidecar.buffer_of_move(1), None);
}

#[test]
fn mistakes_name_line_cause_and_expectation() {
    for (text, expected) in [
        (
            "jib 1:2 a read",
            "demo:1: unknown statement 'jib': expected 'job' or 'move'",
        ),
        (
            "\n\njob 1 a read",
            "demo:3: '1' is no job: expected CONTEXT:SEQNO, where SEQNO is a number, LOW-HIGH or '*'",
        ),
        (
            "job",
            "demo:1: no job named: expected job CONTEXT:SEQNO BUFFER USAGE[/ACCESS] ...",
        ),
        (
            "job 1:2",
            "demo:1: no buffer named: expected job CONTEXT:SEQNO BUFFER USAGE[/ACCESS] ...",
        ),
        (
            "job 1:2 a",
            "demo:1: no usage after buffer 'a': expected job CONTEXT:SEQNO BUFFER USAGE[/ACCESS] ...",
        ),
        (
            "job 1:2 a wrote",
            "demo:1: usage 'wrote' where kernel, write, read or bookkeep was expected",
        ),
        (
            "job 1:2 a write/now",
            "demo:1: access 'now' where explicit, read, write or move was expected",
        ),
        (
            "job 1:2 a read a write",
            "demo:1: buffer 'a' twice: expected each buffer of a job once",
        ),
        (
            "job 1:2 read write",
            "demo:1: a buffer's name was expected before 'read'",
        ),
        (
            "job 1:2 write/explicit",
            "demo:1: a buffer's name was expected before 'write/explicit'",
        ),
        (
            "job 1:9-8 a read",
            "demo:1: the range of '1:9-8' is empty: expected LOW-HIGH with LOW not above HIGH",
        ),
        (
            "job 1:2 a read\njob 1:2 b read",
            "demo:2: job 1:2 again: expected it once, and line 1 has it",
        ),
        (
            "job 1:* a read\njob 1:* b read",
            "demo:2: job 1:* again: expected it once, and line 1 has it",
        ),
        (
            "job 1:10-20 a read\njob 1:5-12 a read",
            "demo:2: this range cuts into the one of line 1: expected ranges apart from each other or one within the other",
        ),
        (
            "job 1:10-20 a read\njob 1:10-20 a read",
            "demo:2: this range cuts into the one of line 1: expected ranges apart from each other or one within the other",
        ),
        (
            "move 12",
            "demo:1: wrong number of words: expected move ADDRESS BUFFER",
        ),
        (
            "move zz a",
            "demo:1: 'zz' is no address: expected the bo= of a move event",
        ),
        (
            "move 5 a\nmove 0x5 b",
            "demo:2: address 0x5 again: expected each address once",
        ),
    ] {
        assert_eq!(error(text), expected);
    }
    for text in [
        "job +1:2 a read",
        "job 1:+2 a read",
        "job 1:-2 a read",
        "job 1:2- a read",
        "job *:2 a read",
        "job 99999999999999999999:2 a read",
        "job 1:2 9a read",
        "job 1:2 a,b read",
        "move 0x a",
    ] {
        assert!(error(text).starts_with("demo:1: "), "{text}");
    }
}

#[test]
fn files_that_cannot_be_read() {
    let missing = Sidecar::load(std::path::Path::new("no/such/file.buffers"));
    let message = missing.map(drop).map_err(|error| error.to_string());
    assert_eq!(
        message,
        Err("no/such/file.buffers: cannot read: No such file or directory".to_owned())
    );
    let path = std::env::temp_dir().join(format!("resv-sidecar-{}.buffers", std::process::id()));
    std::fs::write(&path, b"job 1:2 a read\n\n\xff\n").unwrap();
    let message = Sidecar::load(&path)
        .map(drop)
        .map_err(|error| error.to_string());
    std::fs::remove_file(&path).unwrap();
    let expected = format!("{}:3: not UTF-8: expected a text file", path.display());
    assert_eq!(message, Err(expected));
}
