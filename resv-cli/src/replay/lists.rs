//! A short list for each job, kept in two vectors.

/// Maps a job to a slice; most slices are short or empty.
#[derive(Clone, Debug, Default)]
pub(super) struct Lists<T> {
    starts: Vec<u32>,
    items: Vec<T>,
}

impl<T: Copy> Lists<T> {
    /// The lists of `count` owners. The order of `pairs` is kept within an owner; pairs of owners that do not exist are left
    /// out.
    pub(super) fn new(count: usize, pairs: &[(u32, T)]) -> Self {
        let mut starts = vec![0u32; count + 1];
        let known = |owner: u32| (owner as usize) < count;
        for &(owner, _) in pairs {
            if known(owner) {
                starts[owner as usize + 1] += 1;
            }
        }
        for at in 0..count {
            starts[at + 1] += starts[at];
        }
        let mut order: Vec<usize> = (0..pairs.len()).filter(|&at| known(pairs[at].0)).collect();
        order.sort_by_key(|&at| pairs[at].0);
        Lists {
            starts,
            items: order.into_iter().map(|at| pairs[at].1).collect(),
        }
    }

    /// The list of `owner`; empty for an owner that does not exist.
    pub(super) fn of(&self, owner: u32) -> &[T] {
        let at = owner as usize;
        match (self.starts.get(at), self.starts.get(at + 1)) {
            (Some(&from), Some(&to)) => &self.items[from as usize..to as usize],
            _ => &[],
        }
    }

    /// All items.
    pub(super) fn len(&self) -> usize {
        self.items.len()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn each_owner_has_its_items_in_order() {
        let lists = Lists::new(3, &[(2, 'x'), (0, 'a'), (2, 'y'), (7, 'z'), (0, 'b')]);
        assert_eq!(lists.of(0), ['a', 'b']);
        assert!(lists.of(1).is_empty());
        assert_eq!(lists.of(2), ['x', 'y']);
        assert!(lists.of(3).is_empty() && lists.of(u32::MAX).is_empty());
        assert_eq!(lists.len(), 4);
    }
}
