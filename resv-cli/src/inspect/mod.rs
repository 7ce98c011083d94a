//! Inspecting a dump of `dma_buf/bufinfo`: which fence holds up which buffer, and what each access would wait for.
//!
//! The dump lists the fences in each buffer's reservation object. They are put into a real object under `usage-levels`, what Linux
//! has meant by them since 5.19, and the object is asked: so the answers are those that `resv script` and the library give.

mod dump;

pub use dump::{Buffer, Dump, DumpedFence};

use std::collections::HashMap;
use std::io::{self, Write};

use resv_api::{Access, BackendKind, Edit, SemanticsKind, Signaler, Timeline, new_reservation};
use serde::Serialize;

use crate::failure::Failure;

/// How many buffers and timelines the text names.
const NAMED: usize = 20;

/// All that a dump says.
#[derive(Clone, Debug, Serialize)]
pub struct Inspection {
    /// The buffers, in order.
    pub buffers: Vec<BufferPart>,
    /// Lines that begin like a fence and go on otherwise: how many, and the first.
    #[serde(skip)]
    pub odd: (u64, Option<u64>),
    /// There was more in the file than is kept.
    #[serde(skip)]
    pub is_cut: bool,
}

/// A buffer.
#[derive(Clone, Debug, Serialize)]
pub struct BufferPart {
    /// The number of its inode.
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
    pub fences: Vec<FencePart>,
    /// What each access waits for.
    pub waits: WaitsPart,
}

/// A fence in a buffer.
#[derive(Clone, Debug, Serialize)]
pub struct FencePart {
    /// `kernel`, `write`, `read` or `bookkeep`.
    pub usage: String,
    /// The driver.
    pub driver: String,
    /// The timeline.
    pub timeline: String,
    /// The place on it, if the kernel prints it.
    pub seqno: Option<u64>,
    /// It has signalled.
    pub signaled: bool,
}

/// What each access waits for, as `TIMELINE:SEQNO`.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize)]
pub struct WaitsPart {
    /// An access that ignores implicit fences.
    pub explicit: Vec<String>,
    /// Reading.
    pub read: Vec<String>,
    /// Writing.
    pub write: Vec<String>,
    /// Moving or freeing the memory.
    #[serde(rename = "move")]
    pub moving: Vec<String>,
}

impl Inspection {
    /// Asks for every buffer of a dump.
    ///
    /// # Errors
    /// When memory cannot be had.
    pub fn of(dump: &Dump) -> Result<Inspection, Failure> {
        let buffers: Result<Vec<BufferPart>, Failure> = dump.buffers.iter().map(part).collect();
        Ok(Inspection {
            buffers: buffers?,
            odd: (dump.odd, dump.first_odd),
            is_cut: dump.is_cut,
        })
    }

    /// Writes the answers for people.
    ///
    /// # Errors
    /// As the writer.
    pub fn to_text(&self, name: &str, out: &mut dyn Write) -> io::Result<()> {
        let bytes: u64 = self
            .buffers
            .iter()
            .fold(0, |sum, buffer| sum.saturating_add(buffer.size));
        let busy = self.buffers.iter().filter(|buffer| buffer.is_busy());
        writeln!(
            out,
            "BUFFERS  {name}: {} buffers, {bytes} bytes; {} with pending fences",
            self.buffers.len(),
            busy.clone().count()
        )?;
        let holders = self.holders();
        if !holders.is_empty() {
            writeln!(
                out,
                "\nWHO HOLDS UP MOST  buffers with a pending fence of the timeline"
            )?;
        }
        for (timeline, count) in holders.iter().take(NAMED) {
            writeln!(out, "  {count:>6}  {timeline}")?;
        }
        for buffer in busy.clone().take(NAMED) {
            buffer.to_text(out)?;
        }
        let more = busy.count().saturating_sub(NAMED);
        if more > 0 {
            writeln!(
                out,
                "\nand {more} more buffers with pending fences; --json lists all"
            )?;
        }
        if let (1.., Some(line)) = self.odd {
            writeln!(
                out,
                "\n{} lines begin like a fence and go on otherwise (the first is line {line})",
                self.odd.0
            )?;
        }
        if self.is_cut {
            writeln!(
                out,
                "\nthere is more in the file than is read; give a part of it"
            )?;
        }
        Ok(())
    }

    /// Timelines with pending fences, as `DRIVER TIMELINE`, by the number of buffers that they are in.
    pub fn holders(&self) -> Vec<(String, usize)> {
        let mut counts: HashMap<String, usize> = HashMap::new();
        for buffer in &self.buffers {
            let pending = buffer.fences.iter().filter(|fence| !fence.signaled);
            let mut names: Vec<String> = pending
                .map(|f| format!("{} {}", f.driver, f.timeline))
                .collect();
            names.sort_unstable();
            names.dedup();
            for name in names {
                *counts.entry(name).or_default() += 1;
            }
        }
        let mut holders: Vec<(String, usize)> = counts.into_iter().collect();
        holders.sort_by(|a, b| b.1.cmp(&a.1).then_with(|| a.0.cmp(&b.0)));
        holders
    }
}

impl BufferPart {
    fn is_busy(&self) -> bool {
        self.fences.iter().any(|fence| !fence.signaled)
    }

    fn to_text(&self, out: &mut dyn Write) -> io::Result<()> {
        let ino = self
            .ino
            .map_or_else(|| "?".to_owned(), |ino| ino.to_string());
        let name = self.name.as_deref().unwrap_or("-");
        writeln!(
            out,
            "\nBUFFER {ino}  {} bytes, {}, name {name}",
            self.size, self.exporter
        )?;
        for fence in &self.fences {
            let seqno = fence
                .seqno
                .map_or_else(|| "?".to_owned(), |seqno| seqno.to_string());
            let state = if fence.signaled {
                "signalled"
            } else {
                "PENDING"
            };
            writeln!(
                out,
                "  {:<8}  {} {}:{seqno}  {state}",
                fence.usage, fence.driver, fence.timeline
            )?;
        }
        let waits = &self.waits;
        for (access, fences) in [
            ("explicit", &waits.explicit),
            ("read", &waits.read),
            ("write", &waits.write),
            ("move", &waits.moving),
        ] {
            let told = if fences.is_empty() {
                "-".to_owned()
            } else {
                fences.join(" ")
            };
            writeln!(out, "  waits {access}: {told}")?;
        }
        match self.attached.is_empty() {
            true => Ok(()),
            false => writeln!(out, "  attached: {}", self.attached.join(" ")),
        }
    }
}

fn part(buffer: &Buffer) -> Result<BufferPart, Failure> {
    let object =
        new_reservation(SemanticsKind::UsageLevels, BackendKind::Locked).map_err(Failure::new)?;
    let mut pending: Vec<Signaler> = Vec::new();
    let mut names: HashMap<resv_api::TimelineId, String> = HashMap::new();
    for fence in buffer.fences.iter().filter(|fence| !fence.signaled) {
        // The object holds what it holds: a timeline for each fence, so that none supersedes another.
        let timeline = Timeline::new(&fence.timeline);
        let signaler = timeline.issue().map_err(Failure::new)?;
        names.insert(timeline.id(), name(fence));
        let edit = Edit::Add {
            fence: signaler.fence().clone(),
            usage: fence.usage,
        };
        object.transact(&[edit]).map_err(Failure::new)?;
        pending.push(signaler);
    }
    let waits_for = |access: Access| -> Result<Vec<String>, Failure> {
        let entries = object.waits_for(access).map_err(Failure::new)?;
        let mut ids: Vec<_> = entries
            .iter()
            .map(|entry| entry.fence.timeline_id())
            .collect();
        ids.sort_unstable();
        let mut told: Vec<String> = Vec::new();
        for id in ids {
            if let Some(name) = names.get(&id)
                && !told.contains(name)
            {
                told.push(name.clone());
            }
        }
        Ok(told)
    };
    let waits = WaitsPart {
        explicit: waits_for(Access::Explicit)?,
        read: waits_for(Access::Read)?,
        write: waits_for(Access::Write)?,
        moving: waits_for(Access::Move)?,
    };
    let fences = buffer.fences.iter().map(|fence| FencePart {
        usage: fence.usage.to_string(),
        driver: fence.driver.clone(),
        timeline: fence.timeline.clone(),
        seqno: fence.seqno,
        signaled: fence.signaled,
    });
    Ok(BufferPart {
        ino: buffer.ino,
        size: buffer.size,
        exporter: buffer.exporter.clone(),
        name: buffer.name.clone(),
        attached: buffer.attached.clone(),
        fences: fences.collect(),
        waits,
    })
}

/// `TIMELINE:SEQNO`
fn name(fence: &DumpedFence) -> String {
    match fence.seqno {
        Some(seqno) => format!("{}:{seqno}", fence.timeline),
        None => format!("{}:?", fence.timeline),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const DUMP: &str = "\
        00008192 00000002 00080007 00000003 amdgpu 00000412 front\n\
        \tkernel fence:amdgpu sdma0 seq 7 unsignalled\n\
        \twrite fence:amdgpu gfx seq 4711 unsignalled\n\
        \twrite fence:amdgpu gfx seq 4700 signalled\n\
        \tread fence:amdgpu comp seq 12 unsignalled\n\
        \tbookkeep fence:amdgpu vm seq 3 unsignalled\n\
        \tAttached Devices:\n\t0000:03:00.0\nTotal 1 devices attached\n\
        00004096 00000002 00080007 00000003 amdgpu 00000413 <none>\n\
        \tread fence:amdgpu comp seq 12 unsignalled\n\
        00004096 00000002 00080007 00000003 amdgpu 00000414 <none>\n";

    #[test]
    fn each_access_waits_for_what_usage_levels_says() {
        let dump = Dump::read(DUMP.as_bytes()).expect("read");
        let inspection = Inspection::of(&dump).expect("memory");
        let json = serde_json::to_value(&inspection).expect("a document");
        let expected = serde_json::json!({
            "ino": 412, "size": 8192, "exporter": "amdgpu", "name": "front", "attached": ["0000:03:00.0"],
            "fences": [
                {"usage": "kernel", "driver": "amdgpu", "timeline": "sdma0", "seqno": 7, "signaled": false},
                {"usage": "write", "driver": "amdgpu", "timeline": "gfx", "seqno": 4711, "signaled": false},
                {"usage": "write", "driver": "amdgpu", "timeline": "gfx", "seqno": 4700, "signaled": true},
                {"usage": "read", "driver": "amdgpu", "timeline": "comp", "seqno": 12, "signaled": false},
                {"usage": "bookkeep", "driver": "amdgpu", "timeline": "vm", "seqno": 3, "signaled": false},
            ],
            "waits": {
                "explicit": ["sdma0:7"],
                "read": ["sdma0:7", "gfx:4711"],
                "write": ["sdma0:7", "gfx:4711", "comp:12"],
                "move": ["sdma0:7", "gfx:4711", "comp:12", "vm:3"],
            },
        });
        assert_eq!(json["buffers"][0], expected);
        assert_eq!(json.as_object().map(serde_json::Map::len), Some(1));
        assert_eq!(inspection.holders()[0], ("amdgpu comp".to_owned(), 2));
        let mut text = Vec::new();
        inspection
            .to_text("demo", &mut text)
            .expect("memory takes all");
        let text = String::from_utf8(text).expect("text");
        assert!(
            text.contains("3 buffers, 16384 bytes; 2 with pending fences"),
            "{text}"
        );
        assert!(
            text.contains("  waits write: sdma0:7 gfx:4711 comp:12\n"),
            "{text}"
        );
    }
}
