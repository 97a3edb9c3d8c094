//! The end of the image under construction.

use std::io::{self, Seek, SeekFrom, Write};

use sha2::Digest as _;

/// Where the image goes: everything is written through this, so that position and identity are
/// always right.
pub(super) struct Output<'a, W> {
    out: &'a mut W,
    /// The image's start in `out`.
    base: u64,
    position: u64,
    reached: u64,
    /// Over all that is written from a point on, if asked for.
    identity: Option<sha2::Sha256>,
}

impl<'a, W: Write + Seek> Output<'a, W> {
    /// An image that starts where `out` stands.
    pub(super) fn new(out: &'a mut W) -> io::Result<Self> {
        let base = out.stream_position()?;
        Ok(Self { out, base, position: 0, reached: 0, identity: None })
    }

    /// Makes an identity of `contents` and of all that is written from here on: where the digests
    /// of all contents are known, there is no need to hash the data once more.
    pub(super) fn begin_identity<'b>(&mut self, contents: impl Iterator<Item = &'b [u8]>) {
        let mut identity = sha2::Sha256::default();
        contents.for_each(|digest| identity.update(digest));
        self.identity = Some(identity);
    }

    /// The place of the next byte, from the image's start.
    pub(super) const fn position(&self) -> u64 {
        self.position
    }

    /// The end of all that was ever written, from the image's start.
    pub(super) const fn reached(&self) -> u64 {
        self.reached
    }

    /// Goes back to `position`, as if nothing had been written since.
    pub(super) fn take_back(&mut self, position: u64) -> io::Result<()> {
        self.position = position;
        self.out.seek(SeekFrom::Start(self.base + self.position)).map(drop)
    }

    /// Fills up with zeros to a multiple of `bytes`.
    pub(super) fn pad(&mut self, bytes: u64) -> io::Result<()> {
        let missing = self.position.next_multiple_of(bytes) - self.position;
        io::copy(&mut io::Read::take(io::repeat(0), missing), self).map(drop)
    }

    /// Writes the image's first bytes, where zeros were until now, and leaves `out` at the image's
    /// end. Returns the identity, these bytes counted last.
    pub(super) fn finish(mut self, first: &[u8]) -> io::Result<Option<[u8; 32]>> {
        self.out.seek(SeekFrom::Start(self.base))?;
        self.out.write_all(first)?;
        self.out.seek(SeekFrom::Start(self.base + self.position))?;
        Ok(self.identity.take().map(|identity| identity.chain_update(first).finalize().into()))
    }
}

impl<W: Write> Write for Output<'_, W> {
    fn write(&mut self, bytes: &[u8]) -> io::Result<usize> {
        let written = self.out.write(bytes)?;
        self.position += written as u64;
        self.reached = self.reached.max(self.position);
        if let (Some(identity), Some(bytes)) = (&mut self.identity, bytes.get(..written)) {
            identity.update(bytes);
        }
        Ok(written)
    }

    fn flush(&mut self) -> io::Result<()> {
        self.out.flush()
    }
}
