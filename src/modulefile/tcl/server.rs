//! A `tclsh` that runs the Tcl files of one evaluation, one after another.

use std::io::{self, BufRead, BufReader, Read, Write};
use std::os::unix::process::CommandExt;
use std::path::Path;
use std::process::{Child, ChildStdin, Command, Stdio};
use std::sync::mpsc::{self, Receiver, RecvTimeoutError};
use std::time::{Duration, Instant};

use super::super::command::end_group;

/// The program that it runs: our own. One command begins to listen; it never returns.
const PROGRAM: [&str; 6] = [
    include_str!("prelude.tcl"),
    include_str!("guard.tcl"),
    include_str!("said.tcl"),
    include_str!("modulefile.tcl"),
    include_str!("rc.tcl"),
    "\n::host::main\n",
];

/// Between two looks at the memory that it uses.
const LOOK: Duration = Duration::from_millis(20);

/// The answer to one request at most, in bytes.
const LONGEST_ANSWER: usize = 64 << 20;

/// What a request may use.
#[derive(Debug, Clone, Copy)]
pub(super) struct Bounds {
    pub(super) deadline: Instant,
    /// Resident memory of the process.
    pub(super) memory_bytes: u64,
}

/// After the deadline `tclsh` ends Tcl's own loops itself, should nobody else do so. Seconds.
const GRACE: u64 = 5;

impl Bounds {
    /// Whole seconds until `tclsh` has to end a file itself.
    pub(super) fn seconds_left(&self) -> u64 {
        self.deadline.saturating_duration_since(Instant::now()).as_secs().saturating_add(GRACE)
    }
}

/// Why there is no answer.
#[derive(Debug)]
pub(super) enum Failure {
    /// The deadline has passed.
    Time,
    /// It needed too much memory, or said too much.
    Memory,
    /// It ended.
    Gone,
    /// It cannot be talked to.
    Io(io::Error),
}

impl From<io::Error> for Failure {
    fn from(error: io::Error) -> Self {
        Self::Io(error)
    }
}

/// A running `tclsh`. It ends with this value, and so does what it has started.
#[derive(Debug)]
pub(super) struct Server {
    child: Child,
    stdin: Option<ChildStdin>,
    lines: Receiver<Vec<u8>>,
}

/// What a file asks while it runs.
#[derive(Debug)]
pub(super) enum Question {
    /// A variable, or (of an empty name) the environment, which it was not given.
    Environment(String),
    /// Whether there is a module of this name.
    Available(String),
    /// Whether a module of this name is loaded.
    Loaded(String),
}

impl Question {
    fn of(words: &[String]) -> Option<Self> {
        match words {
            [word, name] if word == "environment" => Some(Self::Environment(name.clone())),
            [word, name] if word == "available" => Some(Self::Available(name.clone())),
            [word, name] if word == "loaded" => Some(Self::Loaded(name.clone())),
            _ => None,
        }
    }
}

/// The line for a question of yes or no.
pub(super) fn yes_or_no(yes: bool) -> Vec<u8> {
    (if yes { "yes\n" } else { "no\n" }).into()
}

impl Drop for Server {
    fn drop(&mut self) {
        drop(self.stdin.take());
        end_group(self.child.id());
        // Killed: it is gone at once.
        drop(self.child.wait());
    }
}

impl Server {
    /// Starts `program` in `directory`. Nothing has been read from it then.
    pub(super) fn start(program: &Path, directory: &Path) -> io::Result<Self> {
        let mut child = Command::new(program)
            .env_clear()
            .env("LC_ALL", "C")
            .current_dir(directory)
            .stdin(Stdio::piped())
            .stdout(Stdio::piped())
            .stderr(Stdio::null())
            .process_group(0)
            .spawn()?;
        let (stdin, lines) = (child.stdin.take(), read_lines(child.stdout.take()));
        Ok(Self { child, stdin, lines })
    }

    /// The process, and the group that it leads.
    pub(super) fn id(&self) -> u32 {
        self.child.id()
    }

    /// Hands the prelude over and waits until it listens.
    pub(super) fn greet(&mut self, bounds: Bounds) -> Result<(), Failure> {
        self.write(PROGRAM.concat().as_bytes())?;
        self.next_line(bounds, &mut 0).map(drop)
    }

    /// Runs a file, after `changes` of what it knows. A question in between is answered by the
    /// lines of `answer`.
    pub(super) fn run(
        &mut self,
        changes: Vec<u8>,
        request: &[&[u8]],
        bounds: Bounds,
        mut answer: impl FnMut(Question) -> Vec<u8>,
    ) -> Result<Vec<Vec<String>>, Failure> {
        let mut text = changes;
        add_line(&mut text, b"run", request);
        self.write(&text)?;
        let (mut records, mut said) = (Vec::new(), 0);
        loop {
            let words = self.next_line(bounds, &mut said)?;
            if let Some(question) = Question::of(&words) {
                self.write(&answer(question))?;
            } else if words.first().is_some_and(|word| word == "end") {
                return Ok(records);
            } else {
                records.push(words);
            }
        }
    }

    fn write(&mut self, text: &[u8]) -> io::Result<()> {
        let stdin = self.stdin.as_mut().ok_or(io::ErrorKind::BrokenPipe)?;
        stdin.write_all(text)?;
        stdin.flush()
    }

    fn next_line(&self, bounds: Bounds, said: &mut usize) -> Result<Vec<String>, Failure> {
        loop {
            match self.lines.recv_timeout(LOOK) {
                Ok(line) => {
                    *said += line.len();
                    if *said > LONGEST_ANSWER {
                        return Err(Failure::Memory);
                    }
                    return Ok(line.split(|byte| *byte == b' ').map(word).collect());
                }
                Err(RecvTimeoutError::Disconnected) => return Err(Failure::Gone),
                Err(RecvTimeoutError::Timeout) if Instant::now() >= bounds.deadline => {
                    return Err(Failure::Time);
                }
                Err(RecvTimeoutError::Timeout) => {
                    if resident_bytes(self.id()) > bounds.memory_bytes {
                        return Err(Failure::Memory);
                    }
                }
            }
        }
    }
}

fn read_lines(stdout: Option<impl Read + Send + 'static>) -> Receiver<Vec<u8>> {
    let (sender, receiver) = mpsc::channel();
    std::thread::spawn(move || {
        let Some(stdout) = stdout else { return };
        let mut reader = BufReader::new(stdout);
        loop {
            let mut line = Vec::new();
            let longest = LONGEST_ANSWER as u64 + 2;
            let read = reader.by_ref().take(longest).read_until(b'\n', &mut line);
            if read.is_err() || line.is_empty() {
                break;
            }
            if line.last() == Some(&b'\n') {
                line.pop();
            }
            if sender.send(line).is_err() {
                break;
            }
        }
    });
    receiver
}

/// Memory that the process holds; 0 if that cannot be told.
fn resident_bytes(id: u32) -> u64 {
    let text = std::fs::read_to_string(format!("/proc/{id}/status")).unwrap_or_default();
    let line = text.lines().find_map(|line| line.strip_prefix("VmRSS:"));
    let kibibytes = line.and_then(|line| line.trim().trim_end_matches(" kB").parse::<u64>().ok());
    kibibytes.unwrap_or(0).saturating_mul(1024)
}

pub(super) fn add_line(text: &mut Vec<u8>, first: &[u8], words: &[&[u8]]) {
    text.extend_from_slice(first);
    text.push(b' ');
    add_words(text, words);
}

pub(super) fn add_words(text: &mut Vec<u8>, words: &[&[u8]]) {
    const DIGITS: &[u8; 16] = b"0123456789abcdef";
    for (at, word) in words.iter().enumerate() {
        text.extend_from_slice(if at == 0 { b"x" } else { b" x" });
        for byte in *word {
            let digits = [byte >> 4, byte & 15].map(|digit| DIGITS.get(usize::from(digit)));
            text.extend(digits.into_iter().flatten());
        }
    }
    text.push(b'\n');
}

/// A word of an answer; what is not written as one is taken as it stands.
fn word(text: &[u8]) -> String {
    let digits = text.strip_prefix(b"x").unwrap_or_default();
    let bytes: Option<Vec<u8>> = digits.chunks(2).map(byte).collect();
    match bytes.filter(|_| text.first() == Some(&b'x')) {
        Some(bytes) => String::from_utf8_lossy(&bytes).into_owned(),
        None => String::from_utf8_lossy(text).into_owned(),
    }
}

fn byte(digits: &[u8]) -> Option<u8> {
    u8::from_str_radix(std::str::from_utf8(digits).ok()?, 16).ok()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn words_travel_as_digits() {
        let mut text = Vec::new();
        add_line(&mut text, b"run", &[b"a b", b"", "é\n".as_bytes()]);
        assert_eq!(text, b"run x612062 x xc3a90a\n");
        assert_eq!(word(b"x612062"), "a b");
        assert_eq!(word(b"x"), "");
        assert_eq!(word("xc3a90a".as_bytes()), "é\n");
        assert_eq!(word(b"setenv"), "setenv");
    }
}
