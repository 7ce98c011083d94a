//! What a file is, by its first bytes: text, a recording that another program turns into text, or something to be unpacked first.
//!
//! | file | known by | then |
//! |---|---|---|
//! | `trace.dat` of trace-cmd | its magic | `trace-cmd report` reads it |
//! | `perf.data` | its magic | `perf script` reads it |
//! | a Perfetto trace | packets of field 1 that follow each other | `traceconv systrace` reads it |
//! | zstd, xz, bzip2, zip, zlib (`atrace -z`), tar | their magic | refused, with what unpacks it |
//! | Chrome trace JSON, CTF, UTF-16 text | how they begin | refused, with what to give instead |
//!
//! The name of a file says nothing.

use std::fmt;
/// Bytes looked at to tell what a file is.
pub(super) const PEEK: usize = 4096;

/// Files that are not the text of a recording.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
#[non_exhaustive]
pub enum BinaryKind {
    /// A recording that another program turns into text.
    Converted(Converter),
    /// A compressed file; the program that unpacks it.
    Compressed(&'static str),
    /// An archive of files; the program that unpacks it.
    Archive(&'static str),
    /// What `atrace -z` writes.
    CompressedAtrace,
    /// Chrome trace JSON.
    ChromeJson,
    /// A trace in the Common Trace Format.
    Ctf,
    /// Text in UTF-16.
    Utf16,
}

/// A program that owns a binary format and prints it as text.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
#[non_exhaustive]
pub enum Converter {
    /// `trace-cmd report`
    TraceCmd,
    /// `perf script`
    Perf,
    /// `traceconv systrace`
    Traceconv,
}

impl Converter {
    /// The program.
    pub fn program(self) -> &'static str {
        match self {
            Converter::TraceCmd => "trace-cmd",
            Converter::Perf => "perf",
            Converter::Traceconv => "traceconv",
        }
    }

    /// Its arguments, before the file.
    pub fn arguments(self) -> &'static [&'static str] {
        match self {
            Converter::TraceCmd => &["report", "-i"],
            Converter::Perf => &["script", "-i"],
            Converter::Traceconv => &["systrace"],
        }
    }

    /// The program and its arguments for a file, to be typed.
    pub fn command_line(self, file: &str) -> String {
        format!("{} {} {file}", self.program(), self.arguments().join(" "))
    }

    /// What it reads.
    pub fn format(self) -> &'static str {
        match self {
            Converter::TraceCmd => "a binary trace-cmd file (trace.dat)",
            Converter::Perf => "a binary perf file (perf.data)",
            Converter::Traceconv => "a Perfetto trace",
        }
    }

    /// Where the program comes from.
    pub fn package(self) -> &'static str {
        match self {
            Converter::TraceCmd => "package trace-cmd",
            Converter::Perf => "package linux-perf (linux-tools on Ubuntu)",
            Converter::Traceconv => {
                "https://get.perfetto.dev/traceconv, made executable and put into the PATH"
            }
        }
    }
}

/// First bytes of files that are no text, and what such a file is.
const MAGIC: &[(&[u8], BinaryKind)] = &[
    (
        b"\x17\x08\x44tracing",
        BinaryKind::Converted(Converter::TraceCmd),
    ),
    (b"PERFILE2", BinaryKind::Converted(Converter::Perf)),
    (b"2ELIFREP", BinaryKind::Converted(Converter::Perf)),
    (b"\x28\xb5\x2f\xfd", BinaryKind::Compressed("zstd -d")),
    (b"\xfd7zXZ\x00", BinaryKind::Compressed("xz -d")),
    (b"BZh91AY&SY", BinaryKind::Compressed("bzip2 -d")),
    (b"\x04\x22\x4d\x18", BinaryKind::Compressed("lz4 -d")),
    (b"PK\x03\x04", BinaryKind::Archive("unzip")),
    (b"7z\xbc\xaf\x27\x1c", BinaryKind::Archive("7z x")),
    (b"\xc1\x1f\xfc\xc1", BinaryKind::Ctf),
    (b"\xc1\xfc\x1f\xc1", BinaryKind::Ctf),
    (b"\x57\x1d\xd1\x75", BinaryKind::Ctf),
    (b"\x75\xd1\x1d\x57", BinaryKind::Ctf),
    (b"/* CTF", BinaryKind::Ctf),
];

/// What a file is that begins with `start`, its first [`PEEK`] bytes; `None` for text.
pub(super) fn kind(start: &[u8]) -> Option<BinaryKind> {
    if let Some(&(_, kind)) = MAGIC.iter().find(|(magic, _)| start.starts_with(magic)) {
        return Some(kind);
    }
    if start.get(257..262) == Some(b"ustar") {
        return Some(BinaryKind::Archive("tar -xf"));
    }
    // A mark of the byte order, and then a character that UTF-8 has, too.
    if let [0xff, 0xfe, 1..=0x7f, 0, ..] | [0xfe, 0xff, 0, 1..=0x7f, ..] = start {
        return Some(BinaryKind::Utf16);
    }
    if is_json_trace(start) {
        return Some(BinaryKind::ChromeJson);
    }
    // Text has none of these; so no text is taken for what follows.
    let is_text = |byte: &u8| matches!(byte, b'\t' | b'\n' | b'\r' | 0x20..=0x7e);
    if start.iter().all(is_text) {
        return None;
    }
    if is_zlib(start) {
        return Some(BinaryKind::Compressed("zlib-flate -uncompress"));
    }
    let atrace = start.windows(7).position(|part| part == b"TRACE:\n");
    if atrace.is_some_and(|at| is_zlib(&start[at + 7..])) {
        return Some(BinaryKind::CompressedAtrace);
    }
    is_perfetto(start).then_some(BinaryKind::Converted(Converter::Traceconv))
}

fn is_json_trace(start: &[u8]) -> bool {
    let text = start.trim_ascii_start();
    let has = |word: &[u8]| text.windows(word.len()).any(|part| part == word);
    match text.first() {
        Some(b'{') => has(b"\"traceEvents\""),
        Some(b'[') => has(b"\"ph\""),
        _ => false,
    }
}

fn is_zlib(bytes: &[u8]) -> bool {
    match bytes {
        [0x78, flags @ (0x01 | 0x5e | 0x9c | 0xda), ..] => (0x7800 + u16::from(*flags)) % 31 == 0,
        _ => false,
    }
}

/// A Perfetto trace is a list of packets, each with tag (field 1, bytes), length and body; a body begins with a tag, too.
fn is_perfetto(start: &[u8]) -> bool {
    let (mut at, mut packets) = (0, 0);
    while at < start.len() && packets < 3 {
        let Some((length, width)) = varint(&start[at + 1..]) else {
            return packets > 0;
        };
        let body = at + 1 + width;
        let tag = start.get(body).map(|&tag| (tag >> 3, tag & 7));
        let is_tag = tag.is_none_or(|(field, wire)| field > 0 && matches!(wire, 0 | 1 | 2 | 5));
        if start[at] != 0x0a || length == 0 || !is_tag {
            return false;
        }
        packets += 1;
        at = body.saturating_add(usize::try_from(length).unwrap_or(usize::MAX));
    }
    packets > 0
}

fn varint(bytes: &[u8]) -> Option<(u64, usize)> {
    let mut value = 0;
    for (at, &byte) in bytes.iter().take(5).enumerate() {
        value |= u64::from(byte & 0x7f) << (7 * at);
        if byte < 0x80 {
            return Some((value, at + 1));
        }
    }
    None
}

/// Why the output of a converter ended before its end. An [`io::Error`] carries it to where the reading is judged.
#[derive(Debug)]
pub(super) struct ConverterFault {
    pub(super) program: &'static str,
    pub(super) what: String,
}

impl fmt::Display for ConverterFault {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{} {}", self.program, self.what)
    }
}

impl std::error::Error for ConverterFault {}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn files_are_known_by_how_they_begin() {
        let mut tar = vec![b'a'; 512];
        tar[257..262].copy_from_slice(b"ustar");
        let perfetto = b"\x0a\x06\x58\x01\x52\x02\x08\x01\x0a\x04\x58\x01\x50\x07";
        for (start, kind_is) in [
            (
                &b"\x17\x08\x44tracing6"[..],
                BinaryKind::Converted(Converter::TraceCmd),
            ),
            (b"PERFILE2\x68", BinaryKind::Converted(Converter::Perf)),
            (perfetto, BinaryKind::Converted(Converter::Traceconv)),
            (&tar, BinaryKind::Archive("tar -xf")),
            (b"PK\x03\x04\x14", BinaryKind::Archive("unzip")),
            (
                b"\x78\x9c\xed\xbd",
                BinaryKind::Compressed("zlib-flate -uncompress"),
            ),
            (
                b"capturing trace... done\nTRACE:\n\x78\x9c\xed\xbd",
                BinaryKind::CompressedAtrace,
            ),
            (
                b" {\"displayTimeUnit\":\"ns\",\"traceEvents\":[]}",
                BinaryKind::ChromeJson,
            ),
            (
                b"[\n{\"name\": \"a\", \"ph\": \"X\"}]",
                BinaryKind::ChromeJson,
            ),
            (b"/* CTF 1.8 */\ntypealias", BinaryKind::Ctf),
            (b"\xc1\x1f\xfc\xc1\x00", BinaryKind::Ctf),
            (b"\xff\xfe#\0 \0", BinaryKind::Utf16),
        ] {
            assert_eq!(kind(start), Some(kind_is), "{start:?}");
        }
    }

    #[test]
    fn text_is_text_however_it_begins() {
        for text in [
            "# tracer: nop\n",
            "\n\n# tracer: nop\n",
            "\n#  a-1 [000] 1.000000: dma_fence_init: driver=a timeline=b context=1 seqno=1\n",
            "{ a shell's output }\n",
            "[ 1.234567] a line of the kernel's log\n",
            "größe-12 [001] 4.000000: x: y\n",
            "\u{feff}cpus=8\n",
            "x\u{9c}",
            "TRACE:\n# tracer: nop\n",
            "",
        ] {
            assert_eq!(kind(text.as_bytes()), None, "{text}");
        }
    }
}
