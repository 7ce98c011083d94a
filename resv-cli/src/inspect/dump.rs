//! Reading `/sys/kernel/debug/dma_buf/bufinfo`: what it looks like, by kernel, and lines in, buffers out.
//!
//! ```text
//! Dma-buf Objects:
//! size        flags       mode        count       exp_name    ino         name
//! 08294400    00000002    00080007    00000003    amdgpu      00000412    <none>
//!         write fence:amdgpu gfx_0.0.0 seq 4711 unsignalled                              Linux 5.19 and later
//!         write fence:57:4711 gfx_0.0.0 amdgpu unsignalled                               Linux 6.17 and later
//!         Exclusive fence: amdgpu gfx signalled                                          Linux 4.x, 5.x
//!         Shared fence: i915 rcs0 unsignalled
//!         Attached Devices:
//!         0000:03:00.0
//! Total 1 devices attached
//!
//! Total 1 objects, 8294400 bytes
//! ```
//!
//! A dump is mostly read as it was pasted: quoted, indented, with tabs turned into spaces, with other text around it. So a line
//! is known by its words, and what is none of these lines is noise, and counted.

use std::io::{self, BufRead};

use resv_api::Usage;

/// The longest line that is read; the rest of a longer one is noise.
const MAX_LINE: u64 = 64 << 10;
/// The most buffers, fences and devices together that are kept.
const MOST: usize = 1 << 22;

/// A buffer of a dump.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Buffer {
    /// The number of its inode; kernels before 5.3 do not print it.
    pub ino: Option<u64>,
    /// Bytes.
    pub size: u64,
    /// The driver that made it.
    pub exporter: String,
    /// Its name, if it has one.
    pub name: Option<String>,
    /// Devices that are attached to it.
    pub attached: Vec<String>,
    /// Its fences.
    pub fences: Vec<DumpedFence>,
}

/// A fence in a buffer.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct DumpedFence {
    /// What it is for; *exclusive* is read as write, *shared* as read.
    pub usage: Usage,
    /// The driver; empty where the kernel does not print it (6.17, once a fence has signalled).
    pub driver: String,
    /// The timeline's name.
    pub timeline: String,
    /// The fence context, which Linux prints since 6.17.
    pub context: Option<u64>,
    /// The place on the timeline; kernels before 5.19 do not print it.
    pub seqno: Option<u64>,
    /// It has signalled.
    pub signaled: bool,
}

/// What a file holds.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Dump {
    /// The buffers, in order.
    pub buffers: Vec<Buffer>,
    /// Lines.
    pub lines: u64,
    /// Lines with text that belong to no buffer.
    pub noise: u64,
    /// Lines that begin like a fence and go on otherwise: how many, and the first.
    pub odd: u64,
    /// The first of them.
    pub first_odd: Option<u64>,
    /// There was more than is kept.
    pub is_cut: bool,
}

impl Dump {
    /// Reads a dump to its end.
    ///
    /// # Errors
    /// As the source.
    pub fn read(mut source: impl BufRead) -> io::Result<Dump> {
        let mut dump = Dump::default();
        let mut in_devices = false;
        let (mut raw, mut kept) = (Vec::new(), 0);
        loop {
            raw.clear();
            let mut limited = io::Read::take(&mut source, MAX_LINE);
            if limited.read_until(b'\n', &mut raw)? == 0 {
                return Ok(dump);
            }
            dump.lines += 1;
            let line = String::from_utf8_lossy(&raw);
            let line = unquoted(&line);
            if line.is_empty() {
                continue;
            }
            if kept >= MOST {
                dump.is_cut = true;
                return Ok(dump);
            }
            kept += 1;
            if let Some(buffer) = buffer(line) {
                dump.buffers.push(buffer);
                in_devices = false;
            } else if is_furniture(line) {
                in_devices = line.ends_with("Attached Devices:");
            } else if let Some(fence) = fence(line) {
                in_devices = false;
                match (dump.buffers.last_mut(), fence) {
                    (Some(buffer), Ok(fence)) => buffer.fences.push(fence),
                    _ => {
                        dump.odd += 1;
                        dump.first_odd.get_or_insert(dump.lines);
                    }
                }
            } else if let (true, Some(buffer)) =
                (in_devices && is_device(line), dump.buffers.last_mut())
            {
                buffer.attached.push(line.to_owned());
            } else {
                dump.noise += 1;
            }
        }
    }
}

/// Without the marks of a quotation, a code block, or the kernel's log.
fn unquoted(line: &str) -> &str {
    let mut line = line.trim();
    loop {
        let before = line;
        line = line.trim_start_matches(['>', '|', '`']).trim_start();
        // `[  123.456789] text`
        if let Some((stamp, rest)) = line.strip_prefix('[').and_then(|rest| rest.split_once(']')) {
            let is_stamp = stamp
                .trim()
                .bytes()
                .all(|b| b.is_ascii_digit() || b == b'.');
            if is_stamp && !stamp.trim().is_empty() {
                line = rest.trim_start();
            }
        }
        if line == before {
            return line;
        }
    }
}

/// Lines of the dump that say nothing of a buffer.
fn is_furniture(line: &str) -> bool {
    line == "Dma-buf Objects:"
        || line == "Attached Devices:"
        || (line.starts_with("size") && line.contains("exp_name"))
        || (line.starts_with("Total ") && (line.contains("attached") || line.contains("objects")))
}

/// `SIZE FLAGS MODE COUNT EXPORTER [INO [NAME]]`
fn buffer(line: &str) -> Option<Buffer> {
    let mut words = line.split_whitespace();
    let size = words.next()?;
    let [flags, mode, count] = [words.next()?, words.next()?, words.next()?];
    let is = |text: &str, of: fn(&u8) -> bool| text.len() >= 8 && text.bytes().all(|b| of(&b));
    let numbers = is(size, u8::is_ascii_digit) && is(count, u8::is_ascii_digit);
    if !numbers || !is(flags, u8::is_ascii_hexdigit) || !is(mode, u8::is_ascii_hexdigit) {
        return None;
    }
    let exporter = words.next()?.to_owned();
    let ino = words.next();
    let name: Vec<&str> = words.collect();
    let name = Some(name.join(" ")).filter(|name| !name.is_empty() && name != "<none>");
    Some(Buffer {
        size: size.parse().ok()?,
        exporter,
        ino: ino.and_then(|ino| ino.parse().ok()),
        name,
        ..Buffer::default()
    })
}

/// A fence; `None` if the line is none, `Err` if it only begins like one.
fn fence(line: &str) -> Option<Result<DumpedFence, ()>> {
    let (word, rest) = line.split_once(" fence:")?;
    let usage = match word.to_ascii_lowercase().as_str() {
        "kernel" => Usage::Kernel,
        "write" | "exclusive" => Usage::Write,
        "read" | "shared" => Usage::Read,
        "bookkeep" => Usage::Bookkeep,
        _ => return None,
    };
    Some(described(usage, rest.trim()).ok_or(()))
}

/// `DRIVER TIMELINE seq N signalled`, `CONTEXT:SEQNO TIMELINE DRIVER signalled`, or `DRIVER TIMELINE signalled`.
fn described(usage: Usage, text: &str) -> Option<DumpedFence> {
    let (text, state) = text.rsplit_once(char::is_whitespace).unwrap_or(("", text));
    let signaled = match state {
        "signalled" | "signaled" => true,
        "unsignalled" | "unsignaled" => false,
        _ => return None,
    };
    let text = text.trim_end();
    let fence = |driver: &str, timeline: &str, context, seqno| DumpedFence {
        usage,
        driver: driver.trim().to_owned(),
        timeline: timeline.trim().to_owned(),
        context,
        seqno,
        signaled,
    };
    let first = text.split_whitespace().next().unwrap_or("");
    if let Some((context, seqno)) = first.split_once(':')
        && let (Ok(context), Ok(seqno)) = (context.parse(), seqno.parse())
    {
        let names = text[first.len()..].trim();
        let (timeline, driver) = names.rsplit_once(' ').unwrap_or((names, ""));
        return Some(fence(driver, timeline, Some(context), Some(seqno)));
    }
    if let Some((names, number)) = text.rsplit_once(" seq ") {
        let (driver, timeline) = names.split_once(' ').unwrap_or((names, ""));
        return Some(fence(
            driver,
            timeline,
            None,
            Some(number.trim().parse().ok()?),
        ));
    }
    let (driver, timeline) = text.split_once(' ')?;
    Some(fence(driver, timeline, None, None))
}

/// One word, as a device's name is; a sentence of the report around the dump is not.
fn is_device(line: &str) -> bool {
    !line.contains(char::is_whitespace) && line.len() <= 64
}

#[cfg(test)]
mod tests {
    use super::*;

    fn read(text: &str) -> Dump {
        Dump::read(text.as_bytes()).expect("memory is read")
    }

    #[test]
    fn a_dump_of_every_age() {
        let text = "\nDma-buf Objects:\nsize    \tflags   \tmode    \tcount   \texp_name\tino     \tname\n\
            08294400\t00000002\t00080007\t00000003\tamdgpu\t00000412\tfront buffer\n\
            \tkernel fence:amdgpu sdma0 seq 7 signalled\n\
            \twrite fence:amdgpu gfx 0.0 seq 4711 unsignalled\n\
            \tread fence:57:12 comp 1.0 amdgpu unsignalled\n\
            \tbookkeep fence:58:3   signalled\n\
            \tAttached Devices:\n\t0000:03:00.0\n\t0000:00:02.0\nTotal 2 devices attached\n\n\
            00004096\t00000002\t00000007\t00000002\ti915\n\tExclusive fence: i915 rcs0 signalled\n\tShared fence: i915 bcs0 unsignalled\n\
            \tAttached Devices:\nTotal 0 devices attached\n\n\nTotal 2 objects, 8298496 bytes\n";
        let dump = read(text);
        assert_eq!((dump.buffers.len(), dump.noise, dump.odd), (2, 0, 0));
        let [first, second] = &dump.buffers[..] else {
            panic!("two")
        };
        assert_eq!(
            (first.ino, first.size, first.name.as_deref()),
            (Some(412), 8_294_400, Some("front buffer"))
        );
        assert_eq!(first.attached, ["0000:03:00.0", "0000:00:02.0"]);
        let told = |fence: &DumpedFence| {
            (
                fence.usage,
                fence.driver.clone(),
                fence.timeline.clone(),
                fence.context,
                fence.seqno,
                fence.signaled,
            )
        };
        let text = str::to_owned;
        assert_eq!(
            told(&first.fences[0]),
            (
                Usage::Kernel,
                text("amdgpu"),
                text("sdma0"),
                None,
                Some(7),
                true
            )
        );
        assert_eq!(
            told(&first.fences[1]),
            (
                Usage::Write,
                text("amdgpu"),
                text("gfx 0.0"),
                None,
                Some(4711),
                false
            )
        );
        assert_eq!(
            told(&first.fences[2]),
            (
                Usage::Read,
                text("amdgpu"),
                text("comp 1.0"),
                Some(57),
                Some(12),
                false
            )
        );
        assert_eq!(
            told(&first.fences[3]),
            (Usage::Bookkeep, text(""), text(""), Some(58), Some(3), true)
        );
        assert_eq!(
            (second.ino, &second.name, second.exporter.as_str()),
            (None, &None, "i915")
        );
        assert_eq!(
            told(&second.fences[0]),
            (Usage::Write, text("i915"), text("rcs0"), None, None, true)
        );
        assert_eq!(
            told(&second.fences[1]),
            (Usage::Read, text("i915"), text("bcs0"), None, None, false)
        );
    }

    #[test]
    fn a_pasted_dump_with_noise_around_it() {
        let text = "Hello,\nmy screen freezes. Here is bufinfo:\n```\n> Dma-buf Objects:\n\
            > [   12.345678] 00008192 00080005 00080007 00000002 drm 00000123 <none>\n\
            >     write fence:drm_sched gpu seq 5 unsignalled\n>     write fence:drm_sched gpu seq five unsignalled\n\
            >     Attached Devices:\n>     206400000.gpu\n> Total 1 devices attached\n```\nAny ideas?\n";
        let dump = read(text);
        assert_eq!(dump.buffers.len(), 1);
        assert_eq!(
            (dump.buffers[0].name.as_deref(), dump.buffers[0].ino),
            (None, Some(123))
        );
        assert_eq!(dump.buffers[0].attached, ["206400000.gpu"]);
        assert_eq!(dump.buffers[0].fences.len(), 1);
        assert_eq!((dump.odd, dump.first_odd, dump.noise), (1, Some(7), 3));
    }

    #[test]
    fn nothing_hostile_takes_memory_or_panics() {
        let endless = io::Read::take(io::BufReader::new(io::repeat(b'x')), 50 << 20);
        let dump = Dump::read(io::BufReader::new(endless)).expect("read");
        assert!(dump.buffers.is_empty());
        for text in [
            "write fence:",
            "write fence: signalled",
            "\u{feff}write fence:ä ö seq 1 signalled",
            "[",
            "[]",
            "> > >",
        ] {
            let dump = read(&format!(
                "00008192 00080005 00080007 00000002 drm\n{text}\n"
            ));
            assert_eq!(dump.buffers.len(), 1, "{text}");
        }
        assert_eq!(
            read("99999999999999999999999 00000000 00000000 00000000 drm")
                .buffers
                .len(),
            0
        );
    }
}
