//! Reading a file of any size: counted lines and bytes, and a bound on a single record.

use core::cell::Cell;
use std::io::{self, BufRead, BufReader, Chain, Cursor, Read};
use std::rc::Rc;

/// No record is larger than this; beyond, the file is broken (an unclosed quote) or hostile.
pub(super) const MAX_RECORD_BYTES: u64 = 4 * 1024 * 1024;
/// How much of the file is looked at to tell its format.
const SNIFF_BYTES: usize = 64 * 1024;

/// Counts what passes, and refuses to go on without a record for too long.
#[derive(Clone, Debug, Default)]
pub(super) struct Gauge(Rc<Counts>);

#[derive(Debug, Default)]
struct Counts {
    lines: Cell<u64>,
    value_line: Cell<u64>,
    bytes: Cell<u64>,
    since_record: Cell<u64>,
}

impl Gauge {
    /// The line of the last byte that was not white space: where the last value ends. From 1.
    pub(super) fn value_line(&self) -> u64 {
        self.0.value_line.get().max(1)
    }

    /// The line being read, from 1.
    pub(super) fn line(&self) -> u64 {
        self.0.lines.get() + 1
    }

    pub(super) fn bytes(&self) -> u64 {
        self.0.bytes.get()
    }

    /// A record is complete.
    pub(super) fn record_done(&self) {
        self.0.since_record.set(0);
    }

    fn pass(&self, bytes: &[u8]) -> io::Result<()> {
        if let Some(last) = bytes.iter().rposition(|byte| !byte.is_ascii_whitespace()) {
            let before = bytes.iter().take(last).filter(|byte| **byte == b'\n').count() as u64;
            self.0.value_line.set(self.line() + before);
        }
        let add = |cell: &Cell<u64>, more: u64| cell.set(cell.get() + more);
        add(&self.0.bytes, bytes.len() as u64);
        add(&self.0.lines, bytes.iter().filter(|byte| **byte == b'\n').count() as u64);
        add(&self.0.since_record, bytes.len() as u64);
        if self.0.since_record.get() > MAX_RECORD_BYTES {
            return Err(io::Error::new(io::ErrorKind::FileTooLarge, RECORD_TOO_LONG));
        }
        Ok(())
    }
}

/// The text of the error that [`is_too_long`] recognises through other error types.
const RECORD_TOO_LONG: &str = "a single record exceeds 4 MiB";

/// Whether an error of a parser above comes from the bound on records.
pub(super) fn is_too_long(error: &dyn std::error::Error) -> bool {
    error.to_string().contains(RECORD_TOO_LONG)
}

/// The beginning, which was read already, and the rest.
type Whole = Chain<Cursor<Vec<u8>>, Box<dyn Read + Send>>;

/// The file, metered.
pub(super) struct Metered {
    inner: BufReader<Whole>,
    gauge: Gauge,
}

impl Metered {
    /// Skips a byte order mark. Waits for the whole beginning: a network delivers it in pieces of any
    /// size, and what a file contains must not depend on them.
    pub(super) fn new(mut inner: Box<dyn Read + Send>) -> io::Result<Self> {
        let mut beginning = Vec::new();
        inner.by_ref().take(SNIFF_BYTES as u64).read_to_end(&mut beginning)?;
        let whole = Cursor::new(beginning).chain(inner);
        let mut inner = BufReader::with_capacity(SNIFF_BYTES, whole);
        if inner.fill_buf()?.starts_with(b"\xef\xbb\xbf") {
            inner.consume(3);
        }
        Ok(Self { inner, gauge: Gauge::default() })
    }

    pub(super) fn gauge(&self) -> Gauge {
        self.gauge.clone()
    }

    /// The beginning of the file, without consuming it.
    pub(super) fn beginning(&mut self) -> io::Result<&[u8]> {
        self.inner.fill_buf()
    }

    /// Skips white space; `false` at the end of the file.
    pub(super) fn skip_whitespace(&mut self) -> io::Result<bool> {
        loop {
            let available = self.inner.fill_buf()?;
            let space = available.iter().take_while(|byte| byte.is_ascii_whitespace()).count();
            let (more, ended) = (space < available.len(), available.is_empty());
            self.gauge.pass(&available[..space])?;
            self.inner.consume(space);
            if more || ended {
                return Ok(more);
            }
        }
    }

    /// The next line without its end; `None` at the end of the file.
    pub(super) fn next_line(&mut self) -> io::Result<Option<Vec<u8>>> {
        let mut line = Vec::new();
        loop {
            let available = self.inner.fill_buf()?;
            if available.is_empty() {
                return Ok((!line.is_empty()).then_some(line));
            }
            let end = available.iter().position(|byte| *byte == b'\n');
            let taken = end.map_or(available.len(), |at| at + 1);
            let bytes = &available[..taken];
            self.gauge.pass(bytes)?;
            line.extend_from_slice(bytes);
            self.inner.consume(taken);
            if end.is_some() {
                let without_end = line.trim_ascii_end().len();
                line.truncate(without_end);
                return Ok(Some(line));
            }
        }
    }
}

impl Read for Metered {
    fn read(&mut self, buffer: &mut [u8]) -> io::Result<usize> {
        let read = self.inner.read(buffer)?;
        self.gauge.pass(&buffer[..read])?;
        Ok(read)
    }
}
