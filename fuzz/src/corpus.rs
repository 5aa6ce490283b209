//! What a search has found, as the replay reads it; and a way to change it a little.
//!
//! A corpus is one text file: each line is one input in base64 (RFC 4648), in any order. That is what
//! `fuzz/grow` writes after minimising, so that hundreds of tiny files do not fill the repository.

use base64::Engine as _;
use base64::engine::general_purpose::STANDARD;
use std::fs;
use std::io;
use std::path::Path;

/// Reads the inputs of a corpus.
///
/// # Errors
/// When there is no such file, a line is no base64, or there is no input in it.
pub fn read(path: &Path) -> io::Result<Vec<Vec<u8>>> {
    let invalid = |why: String| io::Error::new(io::ErrorKind::InvalidData, why);
    let inputs: Vec<Vec<u8>> = fs::read_to_string(path)?
        .lines()
        .map(|line| {
            STANDARD.decode(line.trim()).map_err(|error| invalid(format!("{line}: {error}")))
        })
        .collect::<io::Result<_>>()?;
    if inputs.is_empty() {
        Err(invalid(format!("{} is empty", path.display())))
    } else {
        Ok(inputs)
    }
}

/// Reads every file of a folder as one input each; none when there is no such folder.
///
/// # Errors
/// When a file cannot be read.
pub fn read_folder(path: &Path) -> io::Result<Vec<Vec<u8>>> {
    let mut files: Vec<_> = match fs::read_dir(path) {
        Err(error) if error.kind() == io::ErrorKind::NotFound => return Ok(Vec::new()),
        entries => {
            entries?.map(|entry| entry.map(|entry| entry.path())).collect::<io::Result<_>>()?
        }
    };
    files.sort();
    files.iter().filter(|path| path.is_file()).map(fs::read).collect()
}

/// Changes inputs the same way every time.
#[derive(Clone, Debug)]
pub struct Mutator(goldenpath_core::seed::Seed);

impl Mutator {
    /// The same seed makes the same changes.
    #[must_use]
    pub const fn new(seed: u64) -> Self {
        Self(goldenpath_core::seed::Seed::new(seed))
    }

    /// One of the inputs with up to four changes: bits, bytes, lengths, or a part of another input.
    pub fn mutate(&mut self, inputs: &[Vec<u8>]) -> Vec<u8> {
        let mut input = self.choose(inputs).cloned().unwrap_or_default();
        for _ in 0..=self.0.below(4) {
            self.change(&mut input, inputs);
        }
        input
    }

    fn change(&mut self, input: &mut Vec<u8>, inputs: &[Vec<u8>]) {
        let at = self.0.below(input.len() as u64 + 1) as usize;
        let byte = self.0.draw() as u8;
        match self.0.below(6) {
            0 if at < input.len() => input[at] ^= 1 << (byte & 7),
            1 if at < input.len() => input[at] = byte,
            2 => input.insert(at, byte),
            3 => input.truncate(at),
            4 => {
                let count = self.0.below(16) as usize;
                let part: Vec<u8> = input.iter().skip(at).take(count).copied().collect();
                input.extend(part);
            }
            _ => {
                let other = self.choose(inputs).cloned().unwrap_or_default();
                let from = self.0.below(other.len() as u64 + 1) as usize;
                let part = other.into_iter().skip(from).take(64);
                input.splice(at.., part);
            }
        }
    }

    fn choose<'i>(&mut self, inputs: &'i [Vec<u8>]) -> Option<&'i Vec<u8>> {
        inputs.get(self.0.below(inputs.len() as u64) as usize)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_same_seed_makes_the_same_changes_and_they_are_changes() {
        let inputs = vec![b"{\"type\":\"ping\"}".to_vec(), vec![0; 40]];
        let run = |seed| -> Vec<Vec<u8>> {
            let mut mutator = Mutator::new(seed);
            (0..200).map(|_| mutator.mutate(&inputs)).collect()
        };
        assert_eq!(run(1), run(1));
        assert_ne!(run(1), run(2));
        let unchanged = run(1).into_iter().filter(|input| inputs.contains(input)).count();
        assert!(unchanged < 40, "{unchanged} of 200");
    }
}
