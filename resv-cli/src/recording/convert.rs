//! Running the program that owns a binary format, and reading what it prints.
//!
//! Its output is read as it comes. It is ended, with everything it has started, when it prints nothing for a while, when it
//! prints more than such a file can hold, or when nobody reads on. What it says on standard error is kept in part, and told as
//! its own.

use std::io::{self, Read};
use std::path::Path;
use std::process::{Child, Command, Stdio};
use std::sync::mpsc::{Receiver, RecvTimeoutError, SyncSender, sync_channel};
use std::sync::{Arc, Mutex};
use std::thread;
use std::time::{Duration, Instant};

use super::container::{Converter, ConverterFault};
use super::error::ReadError;

/// A program that prints nothing for so long is ended, unless [`SECONDS`] says otherwise.
const PATIENCE: Duration = Duration::from_secs(30);
/// The environment variable that says how many seconds to wait for output.
pub(super) const SECONDS: &str = "RESV_CONVERTER_SECONDS";
/// It may print so many bytes for each byte of the file, and so many besides.
const TIMES: u64 = 256;
const BESIDES: u64 = 256 << 20;
/// Its output is taken in pieces of this size, of which so many may wait.
const PIECE: usize = 64 << 10;
const PIECES: usize = 16;
/// So much of what it says on standard error is kept: the beginning.
const TOLD: usize = 2048;

/// The output of a converter.
pub(super) struct Converted {
    program: &'static str,
    child: Child,
    pieces: Receiver<io::Result<Vec<u8>>>,
    piece: Vec<u8>,
    at: usize,
    left: u64,
    patience: Duration,
    told: Arc<Mutex<Vec<u8>>>,
    teller: Option<thread::JoinHandle<()>>,
    ended: bool,
}

/// Starts the converter on a file of `size` bytes.
///
/// # Errors
/// If it is not installed or cannot be started.
pub(super) fn start(converter: Converter, path: &Path, size: u64) -> Result<Converted, ReadError> {
    let name = path.display().to_string();
    let program = converter.program();
    let mut command = Command::new(program);
    command.args(converter.arguments());
    // A name that begins with a dash is no option.
    match path.is_relative() {
        true => command.arg(Path::new(".").join(path)),
        false => command.arg(path),
    };
    command
        .stdin(Stdio::null())
        .stdout(Stdio::piped())
        .stderr(Stdio::piped());
    #[cfg(unix)]
    std::os::unix::process::CommandExt::process_group(&mut command, 0);
    let mut child = match command.spawn() {
        Ok(child) => child,
        Err(source) if source.kind() == io::ErrorKind::NotFound => {
            return Err(ReadError::NoConverter { name, converter });
        }
        Err(source) => {
            let fault = format!("cannot be started: {source}");
            return Err(ReadError::Converter {
                name,
                line: 1,
                events: 0,
                fault: format!("{program} {fault}"),
            });
        }
    };
    let (sender, pieces) = sync_channel(PIECES);
    if let Some(output) = child.stdout.take() {
        thread::spawn(move || pump(output, &sender));
    }
    let told = Arc::new(Mutex::new(Vec::new()));
    let teller = child.stderr.take().map(|errors| {
        let told = Arc::clone(&told);
        thread::spawn(move || keep(errors, &told))
    });
    let seconds = std::env::var(SECONDS)
        .ok()
        .and_then(|text| text.parse().ok());
    Ok(Converted {
        program,
        child,
        pieces,
        piece: Vec::new(),
        at: 0,
        left: size.saturating_mul(TIMES).saturating_add(BESIDES),
        patience: seconds.map_or(PATIENCE, Duration::from_secs),
        told,
        teller,
        ended: false,
    })
}

/// Hands the output on, until nobody takes it.
fn pump(mut output: impl Read, sender: &SyncSender<io::Result<Vec<u8>>>) {
    loop {
        let mut piece = vec![0; PIECE];
        let read = match output.read(&mut piece) {
            Ok(0) => return,
            Ok(read) => {
                piece.truncate(read);
                sender.send(Ok(piece))
            }
            Err(error) if error.kind() == io::ErrorKind::Interrupted => continue,
            Err(error) => sender.send(Err(error)),
        };
        if read.is_err() {
            return;
        }
    }
}

/// Keeps the beginning, and reads the rest so that the program that writes it is not held up.
fn keep(mut errors: impl Read, told: &Mutex<Vec<u8>>) {
    let mut piece = vec![0; 4096];
    while let Ok(read @ 1..) = errors.read(&mut piece) {
        if let Ok(mut told) = told.lock() {
            let room = TOLD.saturating_sub(told.len());
            told.extend_from_slice(&piece[..read.min(room)]);
        }
    }
}

impl Converted {
    /// Ends the program and what it has started.
    fn kill(&mut self) {
        #[cfg(unix)]
        if let Some(group) = i32::try_from(self.child.id())
            .ok()
            .and_then(rustix::process::Pid::from_raw)
        {
            let _ = rustix::process::kill_process_group(group, rustix::process::Signal::KILL);
        }
        let _ = self.child.kill();
        let _ = self.child.wait();
    }

    fn fault(&mut self, what: String) -> io::Error {
        self.ended = true;
        self.kill();
        let program = self.program;
        io::Error::other(ConverterFault { program, what })
    }

    /// What the program said, on one line.
    fn words(&mut self) -> String {
        if self
            .teller
            .as_ref()
            .is_some_and(thread::JoinHandle::is_finished)
        {
            let _ = self.teller.take().map(thread::JoinHandle::join);
        }
        let told = self
            .told
            .lock()
            .map(|told| told.clone())
            .unwrap_or_default();
        let told = String::from_utf8_lossy(&told);
        let words: Vec<&str> = told.split_whitespace().collect();
        words
            .join(" ")
            .chars()
            .map(|c| if c.is_control() { '?' } else { c })
            .collect()
    }

    /// The output has ended: so should the program.
    fn finish(&mut self) -> io::Result<usize> {
        let until = Instant::now() + self.patience;
        loop {
            match self.child.try_wait() {
                Ok(Some(status)) => {
                    self.ended = true;
                    if status.success() {
                        return Ok(0);
                    }
                    // Its last words may still be on their way.
                    thread::sleep(Duration::from_millis(20));
                    let words = self.words();
                    return Err(self.fault(format!("failed ({status}): {words}")));
                }
                Ok(None) if Instant::now() < until => thread::sleep(Duration::from_millis(5)),
                Ok(None) => return Err(self.fault("does not end, and was ended".to_owned())),
                Err(error) => return Err(self.fault(format!("cannot be waited for: {error}"))),
            }
        }
    }
}

impl Read for Converted {
    fn read(&mut self, buffer: &mut [u8]) -> io::Result<usize> {
        if self.at == self.piece.len() {
            if self.ended {
                return Ok(0);
            }
            match self.pieces.recv_timeout(self.patience) {
                Ok(Ok(piece)) => (self.piece, self.at) = (piece, 0),
                Ok(Err(error)) => return Err(self.fault(format!("cannot be read: {error}"))),
                Err(RecvTimeoutError::Disconnected) => return self.finish(),
                Err(RecvTimeoutError::Timeout) => {
                    let seconds = self.patience.as_secs();
                    return Err(self.fault(format!(
                        "has printed nothing for {seconds} s, and was ended (wait longer with {SECONDS}=N)"
                    )));
                }
            }
            match self.left.checked_sub(self.piece.len() as u64) {
                Some(left) => self.left = left,
                None => {
                    return Err(self
                        .fault("prints more than such a file can hold, and was ended".to_owned()));
                }
            }
        }
        let count = buffer.len().min(self.piece.len() - self.at);
        buffer[..count].copy_from_slice(&self.piece[self.at..self.at + count]);
        self.at += count;
        Ok(count)
    }
}

impl Drop for Converted {
    fn drop(&mut self) {
        if !self.ended {
            self.kill();
        }
    }
}
