//! The entries of a batch as one value: each with its length in front.
//!
//! A length and not a line end: an entry carries the JSON of others as it came, which may hold line ends.

use bytes::Bytes;
use goldenpath_core::id::Seq;
use goldenpath_core::wire::EntryBody;

const LENGTH: usize = size_of::<u32>();

/// Joins the entries, none of them encoded again.
pub(crate) fn join(entries: &[EntryBody]) -> Vec<u8> {
    let len = entries.iter().map(|entry| LENGTH + entry.bytes().len()).sum();
    let mut joined = Vec::with_capacity(len);
    for entry in entries {
        let body = entry.bytes();
        // An entry is bounded far below 4 GiB by the limits on messages and results.
        joined.extend_from_slice(&u32::try_from(body.len()).unwrap_or(u32::MAX).to_le_bytes());
        joined.extend_from_slice(body);
    }
    joined
}

/// The entries of a segment that begins at `first`, without copying; stops at what nothing of ours wrote.
pub(crate) fn split(first: Seq, mut joined: Bytes) -> impl Iterator<Item = (Seq, EntryBody)> {
    let mut next = first;
    core::iter::from_fn(move || {
        let (length, _) = joined.split_first_chunk::<LENGTH>()?;
        let end = LENGTH + usize::try_from(u32::from_le_bytes(*length)).ok()?;
        if end > joined.len() {
            return None;
        }
        let body = joined.split_to(end).slice(LENGTH..);
        let seq = next;
        next = next.next();
        Some((seq, EntryBody::from_stored(body)))
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn entries_come_back_as_they_were_line_ends_and_all() {
        let bodies: Vec<_> = ["{}", "", "{\"a\":\n1}"]
            .map(|text| EntryBody::from_stored(Bytes::from_static(text.as_bytes())))
            .into();
        let back: Vec<_> = split(Seq(7), join(&bodies).into()).collect();
        let places: Vec<_> = back.iter().map(|(seq, _)| seq.0).collect();
        assert_eq!(places, [7, 8, 9]);
        assert_eq!(back.into_iter().map(|(_, body)| body).collect::<Vec<_>>(), bodies);
    }

    #[test]
    fn a_torn_segment_ends_where_it_is_torn() {
        let body = EntryBody::from_stored(Bytes::from_static(b"{\"a\":1}"));
        let mut joined = join(&[body.clone(), body.clone()]);
        joined.truncate(joined.len() - 1);
        assert_eq!(split(Seq(1), joined.into()).collect::<Vec<_>>(), [(Seq(1), body)]);
    }
}
