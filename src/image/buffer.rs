//! Block-sized buffers that go round: a fresh 128 KiB allocation for each block would cost more
//! page faults than reading it costs time.

use std::io::{self, Read};
use std::ops::Range;

use crossbeam_channel::{Receiver, Sender, unbounded};

use super::source::read_full;

/// A block of memory, filled from the front.
#[derive(Debug)]
pub(super) struct Buffer {
    /// Always of full length; what lies behind `filled` is left over from earlier use.
    bytes: Vec<u8>,
    filled: usize,
}

impl Buffer {
    /// Bytes in it.
    pub(super) const fn len(&self) -> usize {
        self.filled
    }

    /// Bytes that still fit.
    pub(super) const fn room(&self) -> usize {
        self.bytes.len() - self.filled
    }

    /// What is in it.
    pub(super) fn filled(&self) -> &[u8] {
        self.slice(0..self.filled)
    }

    /// A part of what is in it; empty where it has no such part.
    pub(super) fn slice(&self, range: Range<usize>) -> &[u8] {
        self.bytes.get(range).unwrap_or_default()
    }

    /// The same, to fill what was left out.
    pub(super) fn slice_mut(&mut self, range: Range<usize>) -> &mut [u8] {
        self.bytes.get_mut(range).unwrap_or_default()
    }

    /// Appends `length` bytes that mean nothing, as far as they fit.
    pub(super) fn leave(&mut self, length: usize) {
        self.filled += length.min(self.room());
    }

    /// Appends `bytes`, as far as they fit.
    pub(super) fn append(&mut self, bytes: &[u8]) {
        let mut room = self.bytes.get_mut(self.filled..).unwrap_or_default();
        // writing to a slice stops at its end and cannot fail
        self.filled += io::Write::write(&mut room, bytes).unwrap_or(0);
    }

    /// Appends up to `limit` bytes from `from`, as far as they fit; returns how many came before
    /// the end.
    pub(super) fn read_from(&mut self, from: &mut impl Read, limit: usize) -> io::Result<usize> {
        let room = self.bytes.get_mut(self.filled..).unwrap_or_default();
        let size = room.len().min(limit);
        let got = read_full(from, room.get_mut(..size).unwrap_or_default())?;
        self.filled += got;
        Ok(got)
    }
}

/// The spare buffers of one run.
#[derive(Debug)]
pub(super) struct Pool {
    block: usize,
    spare: (Sender<Buffer>, Receiver<Buffer>),
    output: (Sender<Vec<u8>>, Receiver<Vec<u8>>),
}

impl Pool {
    /// A pool of buffers of `block` bytes.
    pub(super) fn new(block: usize) -> Self {
        Self { block, spare: unbounded(), output: unbounded() }
    }

    /// Bytes of a buffer.
    pub(super) const fn block(&self) -> usize {
        self.block
    }

    /// An empty buffer.
    pub(super) fn take(&self) -> Buffer {
        self.spare.1.try_recv().unwrap_or_else(|_| Buffer { bytes: vec![0; self.block], filled: 0 })
    }

    /// Takes `buffer` back.
    pub(super) fn give(&self, mut buffer: Buffer) {
        buffer.filled = 0;
        // both ends live as long as the pool
        let _ = self.spare.0.send(buffer);
    }

    /// A vector for a compressor's output; its content means nothing.
    pub(super) fn take_output(&self) -> Vec<u8> {
        self.output.1.try_recv().unwrap_or_default()
    }

    /// Takes such a vector back.
    pub(super) fn give_output(&self, output: Vec<u8>) {
        let _ = self.output.0.send(output);
    }
}
