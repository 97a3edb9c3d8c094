//! Small ELF files for tests.

/// What the dynamic section of a sample says.
#[derive(Debug, Clone, Copy, Default)]
pub(crate) struct Sample<'a> {
    pub(crate) interpreter: Option<&'a str>,
    pub(crate) needed: &'a [&'a str],
    pub(crate) filter: Option<&'a str>,
    pub(crate) auxiliary: Option<&'a str>,
    pub(crate) audit: Option<&'a str>,
    pub(crate) soname: Option<&'a str>,
    pub(crate) rpath: Option<&'a str>,
    pub(crate) runpath: Option<&'a str>,
    pub(crate) flags_1: u64,
    pub(crate) is_32_bit: bool,
    pub(crate) is_big_endian: bool,
}

impl Sample<'_> {
    /// The file: header, program headers (load, dynamic, interpreter), interpreter, dynamic
    /// section, strings.
    pub(crate) fn bytes(&self) -> Vec<u8> {
        let (strings, entries) = self.dynamic();
        let interpreter: Vec<u8> =
            self.interpreter.map(|path| [path.as_bytes(), &[0]].concat()).unwrap_or_default();
        let word = if self.is_32_bit { 4 } else { 8 };
        let (header, segment) = if self.is_32_bit { (52, 32) } else { (64, 56) };
        let segments = 2 + u64::from(self.interpreter.is_some());
        let interpreter_at = header + segments * segment;
        let length = |bytes: &[u8]| u64::try_from(bytes.len()).unwrap();
        let dynamic_at = (interpreter_at + length(&interpreter)).next_multiple_of(8);
        // with DT_STRTAB and DT_NULL
        let dynamic_size = (u64::try_from(entries.len()).unwrap() + 2) * 2 * word;
        let strings_at = dynamic_at + dynamic_size;
        let total = strings_at + length(&strings);

        let mut out = self.header(segments);
        self.segment(&mut out, 1, 0, total);
        self.segment(&mut out, 2, dynamic_at, dynamic_size);
        if self.interpreter.is_some() {
            self.segment(&mut out, 3, interpreter_at, length(&interpreter));
        }
        out.extend(interpreter);
        out.resize(usize::try_from(dynamic_at).unwrap(), 0);
        for (tag, value) in entries.into_iter().chain([(5, BASE + strings_at), (0, 0)]) {
            self.word(&mut out, tag);
            self.word(&mut out, value);
        }
        out.extend(strings);
        out
    }

    /// String table and entries of the dynamic section.
    fn dynamic(&self) -> (Vec<u8>, Vec<(u64, u64)>) {
        let mut strings = vec![0];
        let mut entries = Vec::new();
        let single = [
            (0x7fff_ffff, self.filter),
            (0x7fff_fffd, self.auxiliary),
            (0x6fff_fefc, self.audit),
            (14, self.soname),
            (15, self.rpath),
            (29, self.runpath),
        ];
        let single = single.into_iter().filter_map(|(tag, text)| Some((tag, text?)));
        for (tag, text) in self.needed.iter().map(|&name| (1, name)).chain(single) {
            entries.push((tag, u64::try_from(strings.len()).unwrap()));
            strings.extend(text.as_bytes());
            strings.push(0);
        }
        if self.flags_1 != 0 {
            entries.push((0x6fff_fffb, self.flags_1));
        }
        (strings, entries)
    }

    fn header(&self, segments: u64) -> Vec<u8> {
        let (class, size, segment) = if self.is_32_bit { (1, 52, 32) } else { (2, 64, 56) };
        let mut out = vec![0x7f, b'E', b'L', b'F', class, 1 + u8::from(self.is_big_endian), 1];
        out.resize(16, 0);
        self.half(&mut out, 3); // ET_DYN
        self.half(&mut out, if self.is_32_bit { 3 } else { 62 });
        self.single(&mut out, 1);
        self.word(&mut out, 0);
        self.word(&mut out, size);
        self.word(&mut out, 0);
        self.single(&mut out, 0);
        for value in [size, segment, segments, 0, 0, 0] {
            self.half(&mut out, value);
        }
        out
    }

    fn segment(&self, out: &mut Vec<u8>, kind: u64, offset: u64, size: u64) {
        self.single(out, kind);
        if !self.is_32_bit {
            self.single(out, 4);
        }
        for value in [offset, BASE + offset, BASE + offset, size, size] {
            self.word(out, value);
        }
        if self.is_32_bit {
            self.single(out, 4);
        }
        self.word(out, 8);
    }

    fn half(&self, out: &mut Vec<u8>, value: u64) {
        self.number(out, value, 2);
    }

    fn single(&self, out: &mut Vec<u8>, value: u64) {
        self.number(out, value, 4);
    }

    fn word(&self, out: &mut Vec<u8>, value: u64) {
        self.number(out, value, if self.is_32_bit { 4 } else { 8 });
    }

    fn number(&self, out: &mut Vec<u8>, value: u64, size: usize) {
        if self.is_big_endian {
            out.extend(&value.to_be_bytes()[8 - size..]);
        } else {
            out.extend(&value.to_le_bytes()[..size]);
        }
    }
}

/// Where the samples are loaded.
const BASE: u64 = 0x10000;
